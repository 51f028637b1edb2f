"""What an operator sees and does: of homes that differ, fail or are switched off."""

import pytest

from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import ALL, Trust
from kvgateway.operations import GatewayOperations
from kvgateway.state.memory import MemoryMachine
from kvgateway.state.memory_queue import MemoryQueue
from kvgateway.state.ports import QueuedTask, QueueStats, RepairTask
from kvgateway.state.switches import HomeSwitch, MemorySwitches, Switches
from tandem.backends.opening import HomeLabel
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key, object_name
from tandem.core.mode import Mode, Stage
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import Namespace
from tandem.core.operations import Compared, Copy, CrawlReport, Healed, QueuedRepair
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError, InvalidArgument, Unavailable
from tests.kvgateway.two_homes import NAMESPACE, OTHER, Numbers, Pair
from tests.runtime.clocks import StillClock

KEY = Key(NAMESPACE, "key")
PREFIX = "kv/"
OFF = HomeSwitch(reads=False, writes=False)


class Queue(MemoryQueue):
    """A queue of few rows, on a disk that may refuse."""

    refuses = False

    def __init__(self) -> None:
        super().__init__(rows_max=16)

    async def stats(self) -> QueueStats:
        self._check()
        return await super().stats()

    async def sample(self, limit: int) -> list[QueuedTask]:
        self._check()
        return await super().sample(limit)

    async def clear_dirty(self, side: Side, namespace: str, began_us: int) -> None:
        self._check()
        await super().clear_dirty(side, namespace, began_us)

    def _check(self) -> None:
        if self.refuses:
            raise OSError("the repair queue: disk I/O error")


class Steps:
    """Notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    async def report(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        self.asked.append((namespace_id, wanted))
        return ModeReport(Namespace(namespace_id, "a"))

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        self.asked.append((namespace_id, wanted, mode_epoch, force))
        return ModeReport(Namespace(namespace_id, "a"), stepped=True)


class SwitchDisk(MemorySwitches):
    """A disk that may refuse a switch, or hold one that cannot be understood."""

    failure: Exception | None = None

    def store(self, switches: Switches) -> Switches:
        if self.failure is not None:
            raise self.failure
        return super().store(switches)


class Journal:
    """See `kvgateway.operations.JournalState`."""

    writable = True
    intents = 3

    def live(self) -> int:
        return self.intents


class Operated:
    """The operations of one gateway over two homes that a test decides on."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.pair = Pair(self.clock)
        self.pair.admit()
        self.queue, self.trust, self.journal = Queue(), Trust(), Journal()
        self.disk, self.steps = SwitchDisk(), Steps()
        self.switches = SwitchBoard(self.disk)
        self.namespaces_equal: bool | None = True
        self.unqueued = 0
        repair = RepairWorker(
            homes=self.pair.guards, queue=self.queue, time=self.pair.time, entropy=Numbers(),
            machine=MemoryMachine(
                gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51
            ),
            rule=RepairRule(), monotonic_us=self.clock.monotonic_us,
        )  # fmt: skip
        self.operations = GatewayOperations(
            guards=self.pair.guards,
            labels={side: HomeLabel(side.value, f"at {side.value}", lambda: "") for side in Side},
            time=self.pair.time,
            trust=self.trust,
            queue=self.queue,
            unqueued=lambda: self.unqueued,
            repair=repair,
            switches=self.switches,
            apply_switches=self._applied,
            mark_behind=self._marked,
            journal=self.journal,
            namespaces_equal=lambda: self.namespaces_equal,
            steps=self.steps,
            gateway_id="67617465",
            workers=2,
            restarts=lambda: 3,
            process=4711,
            prefix=PREFIX,
        )

    def _applied(self) -> None:
        for side, guard in self.pair.guards.items():
            guard.switch = self.switches.current.of(side)

    async def _marked(self, side: Side) -> None:
        if self.disk.failure is not None:
            raise self.disk.failure
        self.trust.missed(side, ALL, self.now_us())

    def now_us(self) -> int:
        return self.pair.time.now_us()

    def version(self, ago_us: int) -> Version:
        return Version.at(self.now_us() - ago_us)

    async def hold(self, record: Record, *sides: Side) -> Record:
        for side in sides or tuple(Side):
            await self.pair.homes[side].memory.put_if_newer(KEY, record, 1.0)
        return record

    async def queued(self, name: str, ago_us: int) -> None:
        task = RepairTask(Key(NAMESPACE, name), self.version(ago_us), (Side.S3,))
        await self.queue.add([task], self.now_us() + 2_000_000)

    async def dirty(self) -> None:
        """More repairs than the queue holds: they collapse into a mark."""
        for number in range(17):
            await self.queued(f"k{number}", 1_000_000)
        assert await self.queue.dirty()


@pytest.fixture
def here() -> Operated:
    return Operated()


async def test_a_status_shows_homes_queue_and_journal(here: Operated) -> None:
    await here.queued("a", 5_000_000)
    here.trust.missed(Side.S3, ALL, here.now_us())
    here.switches.current = Switches(7, s3=HomeSwitch(reads=True, writes=False))
    here.pair.guards[Side.KVSP].barred = "it belongs to another store"
    here._applied()
    status = await here.operations.status()
    kvsp, s3 = status.homes
    assert (kvsp.side, kvsp.last_failure) == (Side.KVSP, "it belongs to another store")
    assert (s3.reads_enabled, s3.writes_enabled, s3.behind) == (True, False, (ALL,))
    assert (s3.kind, s3.location, s3.breaker, s3.switch_epoch) == ("s3", "at s3", "closed", 7)
    assert (status.queue.depth, status.journal_pending, status.journal_writable) == (1, 3, True)
    assert (status.now_us, status.workers, status.process) == (here.now_us(), 2, 4711)
    assert status.worker_restarts == 3


async def test_a_repair_that_the_disk_has_not_taken_is_shown_as_one_that_waits(
    here: Operated,
) -> None:
    await here.queued("a", 5_000_000)
    here.unqueued = 4
    assert (await here.operations.status()).queue.depth == 5


async def test_a_repair_that_enters_the_queue_during_a_look_is_seen(here: Operated) -> None:
    """It leaves the journal once it is in the queue, which may have been looked at just before."""
    look = here.queue.stats

    async def stats() -> QueueStats:
        counted = await look()
        here.journal.intents = here.unqueued = 0
        return counted

    here.unqueued = 3
    here.queue.stats = stats  # type: ignore[method-assign]
    status = await here.operations.status()
    assert (status.queue.depth, status.journal_pending) == (3, 3)


@pytest.mark.parametrize(("known", "shown"), [(True, True), (False, False), (None, False)])
async def test_namespaces_that_cannot_be_compared_are_not_called_equal(
    here: Operated, known: bool | None, shown: bool
) -> None:
    here.namespaces_equal = known
    assert (await here.operations.status()).namespaces_equal is shown


async def test_a_status_of_homes_that_are_silent_is_given_all_the_same(here: Operated) -> None:
    await here.queued("a", 5_000_000)
    here.clock.advance(3600)
    assert not here.pair.time.known()
    status = await here.operations.status()
    assert status.now_us == here.pair.time.reckoned_us()
    assert status.queue.oldest_age_us > 3500 * 1_000_000


async def test_an_inspection_shows_both_copies_and_what_a_heal_would_do(here: Operated) -> None:
    older = await here.hold(seal(here.version(9_000_000), b"old", metadata=b'{"a":1}'), Side.KVSP)
    newer = await here.hold(seal_tombstone(here.version(1_000_000)), Side.S3)
    shown = await here.operations.inspect(KEY)
    assert shown.copies == (
        Copy(Side.KVSP, True, older.version, older.digest, False, 0, 3, b'{"a":1}'),
        Copy(Side.S3, True, newer.version, newer.digest, True),
    )
    assert not shown.equal
    assert shown.object_name == object_name(PREFIX, KEY)
    await here.operations.heal(KEY)
    assert (await here.operations.inspect(KEY)).equal


async def test_an_inspection_looks_at_homes_that_are_switched_off_or_down(here: Operated) -> None:
    await here.hold(seal(here.version(1_000_000), b"value"))
    await here.operations.switch(Side.KVSP, reads_enabled=False, writes_enabled=False)
    here.pair.s3.down(Failed(Reason.TIMEOUT, "too slow"))
    shown = await here.operations.inspect(KEY)
    assert [copy.found for copy in shown.copies] == [True, False]
    assert "too slow" in shown.copies[1].failure
    assert not shown.equal


async def test_two_homes_without_the_key_are_equal(here: Operated) -> None:
    shown = await here.operations.inspect(KEY)
    assert shown.copies == (Copy(Side.KVSP), Copy(Side.S3))
    assert shown.equal


async def test_a_heal_copies_and_says_where_to(here: Operated) -> None:
    record = await here.hold(seal(here.version(1_000_000), b"value"), Side.KVSP)
    await here.queued(KEY.name, 1_000_000)
    assert await here.operations.heal(KEY) == Healed(True, (Side.S3,))
    reply = (await here.pair.held(KEY))[Side.S3]
    assert isinstance(reply, Found)
    assert reply.record == record
    assert (await here.queue.stats()).depth == 0


async def test_a_heal_that_cannot_be_says_why_and_leaves_the_repair_queued(here: Operated) -> None:
    await here.hold(seal(here.version(1_000_000), b"value"), Side.KVSP)
    await here.queued(KEY.name, 1_000_000)
    here.pair.s3.down()
    healed = await here.operations.heal(KEY)
    assert not healed.equal
    assert "it is down" in " ".join(healed.reasons)
    assert (await here.queue.stats()).depth == 1


async def place(here: Operated, name: str, record: Record, *sides: Side) -> None:
    for side in sides or tuple(Side):
        here.pair.homes[side].memory.place(Key(NAMESPACE, name), record)


async def test_a_comparison_finds_what_no_listing_of_live_keys_shows(here: Operated) -> None:
    live, gone = seal(here.version(9_000_000), b"v"), seal_tombstone(here.version(8_000_000))
    for name in ("a equal", "b equal"):
        await place(here, name, live)
    await place(here, "b deleted in both", gone)
    await place(here, "b only in s3", live, Side.S3)
    await place(here, "b only in kvsp", live, Side.KVSP)
    await place(here, "b deleted in one", live, Side.S3)
    await place(here, "b deleted in one", gone, Side.KVSP)
    await place(here, "c only in s3", live, Side.S3)
    compared = await here.operations.compare(NAMESPACE, "b", "")
    assert compared == Compared(2, ("b deleted in one", "b only in kvsp", "b only in s3"), None)
    for name in compared.differing:
        assert (await here.operations.heal(Key(NAMESPACE, name))).equal
    assert await here.operations.compare(NAMESPACE, "b", "") == Compared(5, (), None)
    assert (await here.operations.compare(NAMESPACE, "", "")).differing == ("c only in s3",)
    assert (await here.operations.compare(NAMESPACE, "", "c only in s3")) == Compared(0, (), None)


async def test_a_comparison_goes_on_page_by_page_to_the_end(
    here: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The homes' pages end at other names; what one is ahead is listed again."""
    monkeypatch.setattr("kvgateway.operations.LIST_PAGE_MAX", 3)
    record, differing = seal(here.version(9_000_000), b"v"), []
    for number in range(40):
        only = {0: (Side.KVSP,), 3: (Side.S3,), 5: (Side.S3,)}.get(number % 7, ())
        await place(here, f"{number:02}", record, *only)
        differing += [f"{number:02}"] * bool(only)
    found: list[str] = []
    equal, after = 0, ""
    while True:
        page = await here.operations.compare(NAMESPACE, "", after)
        found += page.differing
        equal += page.equal
        if page.next_after is None:
            break
        assert page.next_after > after
        after = page.next_after
    assert (found, equal) == (differing, 40 - len(differing))


@pytest.mark.parametrize("side", list(Side))
async def test_a_comparison_needs_both_homes(here: Operated, side: Side) -> None:
    here.pair.homes[side].down()
    with pytest.raises(Unavailable, match=f"{side.value}: unreachable: it is down"):
        await here.operations.compare(NAMESPACE, "", "")


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
