"""What the keeper keeps on disk and in the machine's memory, and what a fault there stops."""

import asyncio

import pytest
from structlog.testing import capture_logs

from kvgateway.homes.trust import ALL
from kvgateway.state.ports import Intent, RepairTask
from kvgateway.state.switches import Switches
from tandem.core.key import Key
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.reply import Failed, Side
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.homes.keeper_world import KEY, OFF, Kept, kept
from tests.kvgateway.two_homes import NAMESPACE
from tests.sim.loop import EPOCH_US


@kept
async def test_a_queue_that_fails_hides_no_home_that_misses_writes(here: Kept) -> None:
    here.queue.fails = True
    here.switches.store(Switches(1, kvsp=OFF))
    with pytest.raises(OSError, match="the disk is gone"):
        await here.keeper.round()
    assert here.behind() == (Side.KVSP,)
    assert here.file.trust.behind(NAMESPACE) == (Side.KVSP,), "the other workers hear of it"


@kept
async def test_an_operators_word_is_on_disk_before_he_hears_that_it_is_taken(here: Kept) -> None:
    here.file.free.clear()
    marking = asyncio.create_task(here.keeper.mark_behind(Side.S3))
    await asyncio.sleep(5.0)
    assert not marking.done()
    here.file.free.set()
    await marking
    assert here.file.trust.behind(NAMESPACE) == (Side.S3,)


@kept
async def test_what_one_worker_missed_the_others_and_the_next_run_know(here: Kept) -> None:
    here.file.trust.missed(Side.S3, ALL, here.pair.time.now_us())
    await here.keeper.round()
    assert here.behind() == (Side.S3,)


@kept
async def test_what_a_crawl_of_every_namespace_has_outlived_is_forgotten(here: Kept) -> None:
    here.trust.missed(Side.S3, ALL, here.pair.time.now_us())
    await here.keeper.round()
    assert here.file.trust.open_marks(Side.S3) == [ALL]
    await here.crawled()
    await here.keeper.round()
    assert here.file.trust.open_marks(Side.S3) == []


@kept
async def test_memory_that_spilled_asks_the_queue_and_has_what_is_under_way_pinned(
    here: Kept,
) -> None:
    await here.queue.add([RepairTask(KEY, Version.at(EPOCH_US), (Side.S3,))], EPOCH_US)
    under_way = Intent(Key(NAMESPACE, "under way"), Version.at(EPOCH_US + 5))
    here.journal.intents = [under_way]
    here.machine.note_spill()
    await here.keeper.round()
    assert here.machine.spilled(), "the queue has something that memory may lack"
    [known] = here.machine.lookup([under_way.key], here.pair.time.now_us())
    assert known is not None
    assert (known.version, known.pinned) == (under_way.version, True)
    await here.queue.done(await here.queue.take(1, here.pair.time.now_us(), 1))
    await here.keeper.round()
    assert not here.machine.spilled()
    assert await here.queue.wanted(KEY) == NO_VERSION


@kept
async def test_memory_that_was_emptied_is_not_settled_before_every_leg_of_then_has_ended(
    here: Kept,
) -> None:
    await asyncio.sleep(1.0)
    here.machine.empty(here.pair.time.now_us())
    await here.keeper.round()
    assert here.machine.spilled(), "an empty queue does not know of writes that are under way"
    await asyncio.sleep(LEG_DEADLINE_S)
    await here.keeper.round()
    assert not here.machine.spilled()


@kept
async def test_nothing_is_noted_while_the_homes_time_is_not_known(here: Kept) -> None:
    for home in here.pair.homes.values():
        home.down()
    await asyncio.sleep(100.0)
    await here.keeper.round()
    assert not here.pair.time.known()
    for home in here.pair.homes.values():
        home.up()
    await here.keeper.round()
    assert here.pair.time.known()


@kept
async def test_a_full_disk_keeps_no_worker_from_knowing_what_homes_have_missed(here: Kept) -> None:
    here.file.trust.missed(Side.S3, ALL, here.pair.time.now_us())
    here.file.refuses = True
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    assert here.keeper.errors == 1


@pytest.mark.parametrize("what", ["queue", "disk", "home"])
def test_a_round_that_raises_is_counted_and_the_next_one_comes(what: str) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        here.queue.fails = what == "queue"
        here.file.refuses = what == "disk"
        if what == "home":
            here.pair.s3.answer = _raise
        running = asyncio.create_task(here.keeper.run())
        await asyncio.sleep(4.5)
        assert here.keeper.errors == 5
        here.queue.fails = here.file.refuses = False
        here.pair.s3.up()
        here.trust.missed(Side.S3, NAMESPACE, here.pair.time.now_us())
        await asyncio.sleep(1.0)
        assert here.keeper.errors == 5
        assert here.file.trust.behind(NAMESPACE) == (Side.S3,)
        running.cancel()

    scenario()


@kept
async def test_a_disk_that_refuses_is_one_line_and_no_trace(here: Kept) -> None:
    here.queue.fails = here.file.refuses = True
    with capture_logs() as logs:
        running = asyncio.create_task(here.keeper.run())
        await asyncio.sleep(0.5)
        running.cancel()
    assert logs == [
        {"event": event, "part": "keeper", "log_level": "error", "why": why}
        for event, why in (
            ("trust_not_kept", "no space is left"), ("keeper_disk_failed", "the disk is gone"),
        )
    ]  # fmt: skip


def _raise() -> Failed:
    raise KeyError("a bug")
