"""The keeper: whose the homes are, which of them misses writes, and what of that is kept."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kvgateway.homes.home_time import DISAGREEMENT_MAX_US
from kvgateway.homes.keeper import SWITCHES_S, Keeper
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import ALL, Trust
from kvgateway.state.memory import MemoryMachine
from kvgateway.state.memory_queue import MemoryQueue
from kvgateway.state.ports import Intent, QueueStats, RepairTask
from kvgateway.state.switches import HomeSwitch, MemorySwitches, Switches
from tandem.backends.memory import MemoryHome
from tandem.backends.port import Heal
from tandem.backends.store_id import STORE_ID_KEY, shown
from tandem.core.backoff import BreakerRule, BreakerState
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Failed, Missing, Reason, Side
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Unavailable
from tandem.runtime.telemetry import Metrics
from tests.kvgateway.two_homes import DOWN, NAMESPACE, Numbers, Pair
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

STORE, OTHER_STORE = "5" * 32, "6" * 32
KEY = Key(NAMESPACE, "key")
OFF = HomeSwitch(reads=False, writes=False)
RULE = BreakerRule(failures_to_open=3, failing_us_to_open=1, open_us=200_000, successes_to_close=1)


class SharedFile:
    """See `kvgateway.homes.keeper.TrustFile`; a disk that may refuse, and whose lock another
    worker may hold."""

    def __init__(self) -> None:
        self.trust = Trust()
        self.refuses = False
        self.free = asyncio.Event()
        self.free.set()

    async def exchange(self, mine: Trust, namespaces: frozenset[str]) -> None:
        mine.merge(self.trust)
        if self.refuses:
            raise OSError("no space is left")
        mine.settle(namespaces)
        if self.free.is_set():
            self.trust = Trust.from_json(mine.to_json())

    async def enter(self, mine: Trust) -> None:
        await self.free.wait()
        await self.exchange(mine, frozenset())


class Queue(MemoryQueue):
    """A queue that cannot always be asked."""

    fails = False

    async def stats(self) -> QueueStats:
        if self.fails:
            raise OSError("the disk is gone")
        return await super().stats()


class Live:
    """See `kvgateway.homes.keeper.LiveIntents`."""

    def __init__(self) -> None:
        self.intents: list[Intent] = []

    def live_intents(self) -> list[Intent]:
        return self.intents


class Kept:
    """One keeper over two homes of one store."""

    def __init__(self) -> None:
        self.pair = Pair(VirtualClock(current()), rule=RULE)
        self.machine = MemoryMachine(
            gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51
        )
        self.journal, self.queue, self.trust = Live(), Queue(), Trust()
        self.file, self.switches = SharedFile(), MemorySwitches()
        self.keeper = Keeper(
            store_id=STORE, guards=self.pair.guards, time=self.pair.time, machine=self.machine,
            journal=self.journal, switches=SwitchBoard(self.switches), queue=self.queue,
            trust=self.trust, trust_file=self.file,
            namespaces=lambda: frozenset({NAMESPACE}), entropy=Numbers(),
        )  # fmt: skip

    async def begin(self) -> "Kept":
        for side in Side:
            await self.show(side, STORE)
        await self.keeper.round()
        return self

    async def show(self, side: Side, store_id: str, time_us: int = 1) -> None:
        record = seal(Version.at(time_us), store_id.encode())
        just_read = Heal(self.pair.clock.now_us())
        await self.pair.homes[side].memory.put_if_newer(STORE_ID_KEY, record, 1.0, just_read)

    def behind(self) -> tuple[Side, ...]:
        return self.trust.behind(NAMESPACE)

    def barred(self, side: Side) -> str:
        return self.pair.guards[side].barred

    async def crawled(self) -> None:
        """A crawl begins now and finds all equal."""
        await asyncio.sleep(0.001)
        self.trust.crawled(NAMESPACE, self.pair.time.now_us())


def kept(test: Callable[[Kept], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Runs a scenario with a keeper of its own, in virtual time, after its first round."""

    async def scenario() -> None:
        await test(await Kept().begin())

    def run_it() -> None:
        run(scenario())

    run_it.__name__ = test.__name__
    return run_it


@kept
async def test_homes_that_show_the_store_id_are_admitted_and_trusted(here: Kept) -> None:
    assert [here.barred(side) for side in Side] == ["", ""]
    assert here.behind() == ()
    assert here.pair.time.known()


@pytest.mark.parametrize("side", list(Side))
def test_a_home_of_another_store_is_barred_and_left_alone(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        await here.show(side, OTHER_STORE, 2)
        await here.keeper.round()
        assert "another store" in here.barred(side)
        assert here.barred(side.other) == ""
        assert here.behind() == (side,)
        assert shown((await here.pair.held(STORE_ID_KEY))[side]) == OTHER_STORE
        await here.show(side, STORE, 3)
        await here.keeper.round()
        assert here.barred(side) == ""

    scenario()


@pytest.mark.parametrize("side", list(Side))
def test_an_empty_home_is_given_the_id_and_lacks_everything(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        await here.crawled()
        here.pair.homes[side].memory = MemoryHome(side, here.pair.clock)
        await here.keeper.round()
        assert "empty" in here.barred(side)
        await here.keeper.round()
        assert here.barred(side) == ""
        assert shown((await here.pair.held(STORE_ID_KEY))[side]) == STORE
        assert here.behind() == (side,)
        await here.keeper.round()
        await here.crawled()
        assert here.behind() == ()

    scenario()


@kept
async def test_an_empty_home_that_is_switched_off_is_not_written_to(here: Kept) -> None:
    here.switches.store(Switches(1, s3=OFF))
    here.pair.s3.memory = MemoryHome(Side.S3, here.pair.clock)
    for _ in range(3):
        await here.keeper.round()
    assert isinstance((await here.pair.held(STORE_ID_KEY))[Side.S3], Missing)


@kept
async def test_a_home_that_does_not_answer_is_no_other_store(here: Kept) -> None:
    here.pair.s3.down()
    await here.keeper.round()
    assert here.barred(Side.S3) == ""


@kept
async def test_it_shows_which_home_is_behind_and_that_clocks_disagree(here: Kept) -> None:
    metrics = Metrics("test", here.pair.clock)
    here.keeper.show(metrics)
    quiet = b'behind{home="kvsp"} 0.0', b'behind{home="s3"} 0.0', b"clock_alarm 0.0"
    page = metrics.prometheus()
    assert [line for line in quiet if line not in page] == []
    here.trust.missed(Side.S3, NAMESPACE, here.pair.time.now_us())
    for ahead_us in (DISAGREEMENT_MAX_US, 2 * DISAGREEMENT_MAX_US):
        here.pair.time.observe(Side.KVSP, here.pair.clock.now_us() + ahead_us)
    await here.keeper.round()
    page = metrics.prometheus()
    shown = b'behind{home="kvsp"} 0.0', b'behind{home="s3"} 1.0', b"clock_alarm 1.0"
    assert [line for line in shown if line not in page] == []
    metrics.close(1.0)


@pytest.mark.parametrize("side", list(Side))
def test_a_home_with_an_open_breaker_is_behind_until_a_crawl_that_began_later(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        here.pair.homes[side].down()
        for _ in range(4):
            await asyncio.sleep(0.1)
            await here.keeper.round()
        assert here.pair.guards[side].breaker.state is not BreakerState.CLOSED
        assert here.behind() == (side,)
        await here.crawled()
        assert here.behind() == ()
        await here.keeper.round()
        assert here.behind() == (side,), "it still misses writes"
        here.pair.homes[side].up()
        await asyncio.sleep(0.3)
        await here.keeper.round()
        await here.crawled()
        await here.keeper.round()
        assert here.behind() == ()

    scenario()


@kept
async def test_a_breaker_that_opened_and_closed_between_two_rounds_is_noticed(here: Kept) -> None:
    """A round takes as long as the slower home does; a breaker is open for less."""
    guard = here.pair.guards[Side.S3]
    here.pair.s3.down()
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert await guard.get(KEY, 1.0) == DOWN
    states = [guard.breaker.state]
    here.pair.s3.up()
    await asyncio.sleep(0.3)
    assert isinstance(await guard.get(KEY, 1.0), Missing)
    states.append(guard.breaker.state)
    assert states == [BreakerState.OPEN, BreakerState.CLOSED]
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_switch_that_was_off_between_two_rounds_is_noticed(here: Kept) -> None:
    following = asyncio.create_task(here.keeper.follow_switches())
    here.switches.store(Switches(1, kvsp=HomeSwitch(reads=True, writes=False)))
    await asyncio.sleep(SWITCHES_S)
    here.switches.store(Switches(2))
    await asyncio.sleep(SWITCHES_S)
    following.cancel()
    assert here.pair.guards[Side.KVSP].switch == HomeSwitch()
    await here.keeper.round()
    assert here.behind() == (Side.KVSP,)
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_home_without_reads_alone_misses_nothing(here: Kept) -> None:
    here.switches.store(Switches(1, s3=HomeSwitch(reads=False, writes=True)))
    await here.keeper.round()
    assert here.pair.guards[Side.S3].switch == HomeSwitch(reads=False, writes=True)
    assert here.behind() == ()


@kept
async def test_switches_are_followed_while_a_round_waits_for_a_slow_home(here: Kept) -> None:
    here.pair.s3.delay_s = 1.9
    running = asyncio.create_task(here.keeper.round())
    following = asyncio.create_task(here.keeper.follow_switches())
    await asyncio.sleep(0.1)
    here.switches.store(Switches(1, s3=OFF))
    await asyncio.sleep(SWITCHES_S)
    assert not running.done()
    assert here.pair.guards[Side.S3].switch == OFF
    following.cancel()
    await running


@kept
async def test_a_home_is_not_trusted_before_its_repairs_are_done(here: Kept) -> None:
    here.switches.store(Switches(1, s3=OFF))
    await here.keeper.round()
    here.switches.store(Switches(2))
    await here.queue.add([RepairTask(KEY, Version.at(EPOCH_US), (Side.S3,))], EPOCH_US)
    for _ in range(3):
        await here.keeper.round()
        await here.crawled()
        await asyncio.sleep(1.0)
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    await here.queue.done(await here.queue.take(1, here.pair.time.now_us(), 1))
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_repairs_of_a_home_that_missed_nothing_leave_it_trusted(here: Kept) -> None:
    await here.queue.add([RepairTask(KEY, Version.at(EPOCH_US), (Side.S3,))], EPOCH_US)
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_queue_that_fails_hides_no_home_that_misses_writes(here: Kept) -> None:
    here.queue.fails = True
    here.switches.store(Switches(1, kvsp=OFF))
    with pytest.raises(OSError, match="the disk is gone"):
        await here.keeper.round()
    assert here.behind() == (Side.KVSP,)
    assert here.file.trust.behind(NAMESPACE) == (Side.KVSP,), "the other workers hear of it"


@pytest.mark.parametrize("side", Side)
def test_a_home_lacks_everything_on_an_operators_word_until_a_crawl(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        assert here.behind() == ()
        await here.keeper.mark_behind(side)
        assert here.behind() == (side,)
        assert here.file.trust.behind(NAMESPACE) == (side,), "the other workers hear of it"
        await here.keeper.round()
        assert here.behind() == (side,)
        await here.crawled()
        assert here.behind() == ()

    scenario()


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
async def test_without_the_homes_time_nothing_is_marked(here: Kept) -> None:
    await asyncio.sleep(120.0)
    with pytest.raises(Unavailable):
        await here.keeper.mark_behind(Side.S3)
    assert here.file.trust.behind(NAMESPACE) == ()


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


def _raise() -> Failed:
    raise KeyError("a bug")


@kept
async def test_heartbeats_of_a_home_that_fails_them_open_its_breaker(here: Kept) -> None:
    here.pair.s3.down(Failed(Reason.TIMEOUT))
    running = asyncio.create_task(here.keeper.run())
    await asyncio.sleep(3.5)
    assert here.pair.guards[Side.S3].breaker.openings > 0
    running.cancel()
