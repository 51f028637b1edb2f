"""A keeper of a test's own: two homes of one store, a file that others share, virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kvgateway.homes.keeper import Keeper
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.state.ports import Intent, QueueStats
from kvgateway.state.switches import HomeSwitch
from tandem.backends.port import Heal
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.backoff import BreakerRule
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.two_homes import NAMESPACE, Numbers, Pair
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.memory.switches import MemorySwitches
from tests.sim.loop import VirtualClock, current, run

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
        clock = VirtualClock(current())
        self.pair = Pair(clock, rule=RULE)
        self.machine = MemoryMachine(
            gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51, clock=clock
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
