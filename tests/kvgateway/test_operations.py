"""What an operator sees and does: of homes that differ, fail or are switched off."""

import pytest

from kvgateway.homes.trust import ALL
from kvgateway.state.ports import QueueStats
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.operations import CrawlReport, QueuedRepair
from tandem.core.reply import Side
from tandem.core.settings_in_force import SettingsInForce
from tandem.errors import ConfigurationError, InvalidArgument, Unavailable
from tests.kvgateway.operated import Operated
from tests.kvgateway.two_homes import NAMESPACE, OTHER


@pytest.fixture
def here() -> Operated:
    return Operated()


async def test_a_status_shows_homes_queue_and_journal(here: Operated) -> None:
    await here.queued("a", 5_000_000)
    here.trust.missed(Side.S3, ALL, here.now_us())
    here.switches.current = Switches(7, s3=HomeSwitch(reads=True, writes=False))
    here.pair.guards[Side.KVSP].barred = "it belongs to another store"
    here.apply_switches()
    status = await here.operations.status()
    kvsp, s3 = status.homes
    assert (kvsp.side, kvsp.last_failure) == (Side.KVSP, "it belongs to another store")
    assert (s3.reads_enabled, s3.writes_enabled, s3.behind) == (True, False, (ALL,))
    assert (s3.kind, s3.location, s3.breaker, s3.switch_epoch) == ("s3", "at s3", "closed", 7)
    assert (status.queue.depth, status.journal_pending, status.journal_writable) == (1, 3, True)
    assert (status.now_us, status.workers, status.process) == (here.now_us(), 2, 4711)
    assert status.worker_restarts == 3
    assert status.settings == SettingsInForce(5, ("a mistake",), ("data",))


async def test_a_repair_that_the_disk_has_not_taken_is_shown_as_one_that_waits(
    here: Operated,
) -> None:
    await here.queued("a", 5_000_000)
    here.unqueued(4)
    assert (await here.operations.status()).queue.depth == 5


async def test_what_dead_workers_left_is_shown_until_the_queue_has_it(here: Operated) -> None:
    here.left_over = 5
    assert (await here.operations.status()).journal_pending == 3 + 5


async def test_a_repair_that_enters_the_queue_during_a_look_is_seen(here: Operated) -> None:
    """It leaves the journal once it is in the queue, which may have been looked at just before."""
    look = here.queue.stats

    async def stats() -> QueueStats:
        counted = await look()
        here.journal.intents = 0
        here.inbox._waiting.clear()
        return counted

    here.unqueued(3)
    here.queue.stats = stats  # type: ignore[method-assign]
    status = await here.operations.status()
    assert (status.queue.depth, status.journal_pending) == (3, 3)


@pytest.mark.parametrize(("known", "shown"), [(True, True), (False, False), (None, False)])
async def test_namespaces_that_cannot_be_compared_are_not_called_equal(
    here: Operated, known: bool | None, shown: bool
) -> None:
    here.namespaces_equal = known
    assert (await here.operations.status()).namespaces_equal is shown


async def test_a_status_tells_of_a_double(here: Operated) -> None:
    for doubled in (False, True):
        here.doubled = doubled
        assert (await here.operations.status()).doubled is doubled


async def test_a_status_of_homes_that_are_silent_is_given_all_the_same(here: Operated) -> None:
    await here.queued("a", 5_000_000)
    here.clock.advance(3600)
    assert not here.pair.time.known()
    status = await here.operations.status()
    assert status.now_us == here.pair.time.reckoned_us()
    assert status.queue.oldest_age_us > 3500 * 1_000_000


async def test_a_switch_is_in_force_here_at_once_and_on_disk(here: Operated) -> None:
    status = await here.operations.switch(Side.S3, reads_enabled=False, writes_enabled=True)
    half = HomeSwitch(reads=False, writes=True)
    assert here.pair.guards[Side.S3].switch == half
    assert here.pair.guards[Side.KVSP].switch == HomeSwitch()
    assert here.disk.load() == Switches(1, s3=half)
    assert [home.reads_enabled for home in status.homes] == [True, False]


@pytest.mark.parametrize(
    "failure", [OSError("no space is left"), ConfigurationError(["the kill switches: damaged"])]
)
async def test_a_switch_that_the_disk_refuses_is_not_in_force_and_says_why(
    here: Operated, failure: Exception
) -> None:
    here.disk.failure = failure
    with pytest.raises(Unavailable, match=str(failure)):
        await here.operations.switch(Side.S3, reads_enabled=False, writes_enabled=False)
    assert here.pair.guards[Side.S3].switch == HomeSwitch()


async def test_a_home_is_behind_on_an_operators_word(here: Operated) -> None:
    status = await here.operations.mark_behind(Side.S3)
    assert [home.behind for home in status.homes] == [(), (ALL,)]


async def test_a_mark_that_the_disk_refuses_says_why(here: Operated) -> None:
    here.disk.failure = OSError("no space is left")
    with pytest.raises(Unavailable, match="no space is left"):
        await here.operations.mark_behind(Side.S3)


async def test_the_queue_is_shown_in_the_order_in_which_it_is_due(here: Operated) -> None:
    await here.queued("late", 5_000_000)
    here.clock.advance(-1)
    await here.queued("early", 3_000_000)
    here.clock.advance(1)
    first, second = await here.operations.queue(10)
    assert (first.key.name, second.key.name) == ("early", "late")
    version = here.version(5_000_000)
    assert second == QueuedRepair(Key(NAMESPACE, "late"), version, 0, second.age_us, 2_000_000)
    assert len(await here.operations.queue(1)) == 1


async def test_a_crawl_that_found_all_equal_clears_what_is_older(here: Operated) -> None:
    await here.dirty()
    here.trust.missed(Side.S3, NAMESPACE, here.now_us())
    here.trust.missed(Side.S3, OTHER, here.now_us())
    here.clock.advance(5)
    await here.operations.crawled(CrawlReport(NAMESPACE, here.now_us(), equal=True))
    assert here.trust.behind(NAMESPACE) == ()
    assert here.trust.behind(OTHER) == (Side.S3,)
    assert await here.queue.dirty() == []


@pytest.mark.parametrize(("equal", "later_s"), [(False, 5), (True, -5)])
async def test_a_crawl_that_found_differences_or_began_before_clears_nothing(
    here: Operated, equal: bool, later_s: int
) -> None:
    await here.dirty()
    here.trust.missed(Side.S3, NAMESPACE, here.now_us())
    here.clock.advance(max(0, later_s))
    began_us = here.now_us() + min(0, later_s) * 1_000_000
    await here.operations.crawled(CrawlReport(NAMESPACE, began_us, equal))
    assert here.trust.behind(NAMESPACE) == (Side.S3,)
    assert await here.queue.dirty()


async def test_a_crawl_that_is_still_to_begin_is_refused(here: Operated) -> None:
    """Believed, it would hide whatever a home misses until then."""
    ahead_us = here.now_us() + 3_600_000_000
    with pytest.raises(InvalidArgument, match="began_at_us"):
        await here.operations.crawled(CrawlReport(NAMESPACE, ahead_us, equal=True))
    here.trust.missed(Side.S3, NAMESPACE, here.now_us())
    assert here.trust.behind(NAMESPACE) == (Side.S3,)
    just_begun_us = here.now_us() + 1_000_000  # by a home's clock, which this gateway is behind
    await here.operations.crawled(CrawlReport(NAMESPACE, just_begun_us, equal=True))
    assert here.trust.behind(NAMESPACE) == ()


async def test_a_disk_that_refuses_is_told_to_the_operator(here: Operated) -> None:
    here.queue.refuses = True
    with pytest.raises(Unavailable, match="the repair queue: disk I/O error"):
        await here.operations.status()
    with pytest.raises(Unavailable, match="disk I/O error"):
        await here.operations.queue(1)
    with pytest.raises(Unavailable, match="disk I/O error"):
        await here.operations.crawled(CrawlReport(NAMESPACE, here.now_us(), equal=True))


async def test_steps_are_asked_for_and_taken(here: Operated) -> None:
    shadow = Mode(Stage.SHADOW, Side.S3)
    assert not (await here.operations.mode(NAMESPACE, shadow)).stepped
    assert (await here.operations.step(NAMESPACE, shadow, 3, force=True)).stepped
    assert here.steps.asked == [(NAMESPACE, shadow), (NAMESPACE, shadow, 3, True)]
