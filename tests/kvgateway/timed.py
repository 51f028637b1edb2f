"""One gateway over two homes that take the time which a test tells them, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, ParamSpec

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.read_bounds import READ_BOUNDS, ReadBounds
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.writes import WriteBounds, Writer
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import one_by_one
from kvgateway.state.ports import RepairTask
from tandem.backends.port import Gets, Got, Heal, Puts, Replied, ScanPage
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.mode import ACTIVE, Mode
from tandem.core.reading import ReadMode
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.core.request import Read, ReadResult
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.errors import TandemError
from tests.kvgateway.one_gateway import NAMESPACE, Counting, FixedView
from tests.memory.home import MemoryHome
from tests.memory.journal import MemoryJournal
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim import loop as virtual
from tests.sim.loop import VirtualClock, VirtualLoop

P = ParamSpec("P")

KEY: Final = Key(NAMESPACE, "key")
QUICK_S: Final = 0.005
WRITE_BOUNDS: Final = WriteBounds()


def in_virtual_time(
    test: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, None]:
    """Runs an async test on a loop whose time is exact."""

    @wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        virtual.run(test(*arguments, **named))

    return run


@dataclass(frozen=True, slots=True)
class Call:
    """How one call goes: answered after so long, by the home or with a failure."""

    after_s: float = QUICK_S
    failure: Failed | None = None


DOWN: Final = Failed(Reason.UNREACHABLE, "it is down")


class TimedHome:
    """A home in memory whose next calls take as long as a test says; then each takes 5 ms."""

    def __init__(self, side: Side, loop: VirtualLoop, clock: VirtualClock) -> None:
        self.memory = MemoryHome(side, clock)
        self.side = side
        self.clock_skew_max_us = self.memory.clock_skew_max_us
        self.calls = 0
        self.groups: list[int] = []
        """How many reads came together, each time."""
        self._loop = loop
        self._next: list[Call] = []

    def takes(self, after_s: float, failure: Failed | None = None) -> None:
        """Says how the next call goes that nothing has been said of."""
        self._next.append(Call(after_s, failure))

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> "asyncio.Future[ReadReply]":
        return self._reply(lambda: self.memory.get(key, deadline_s).result(), deadline_s)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> "asyncio.Future[WriteReply]":
        return self._reply(
            lambda: self.memory.put_if_newer(key, record, deadline_s, heal).result(), deadline_s
        )

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        self.groups.append(len(gets))
        one_by_one(lambda key, needed, left_s: self.get(key, left_s, needed), gets, deadline_s, got)

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self.put_if_newer, puts, deadline_s, replied)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        return await self.memory.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self.memory.incarnation(deadline_s)

    async def aclose(self) -> None:
        await self.memory.aclose()

    def _reply(self, apply: Callable[[], Any], deadline_s: float) -> "asyncio.Future[Any]":
        self.calls += 1
        call = self._next.pop(0) if self._next else Call()
        reply: asyncio.Future[Any] = self._loop.create_future()
        if call.after_s > deadline_s:
            timeout = Failed(Reason.TIMEOUT, "too slow")
            self._loop.call_later(deadline_s, reply.set_result, timeout)
        elif call.failure is not None:
            self._loop.call_later(call.after_s, reply.set_result, call.failure)
        else:
            self._loop.call_later(call.after_s, lambda: reply.set_result(apply()))
        return reply


class Draws(Counting):
    """Lots that are drawn only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = False
        self.lot: float | None = None

    def uniform(self, low: float, high: float) -> float:
        if self.lot is not None:
            return self.lot
        return low if self.drawn else high


class TimedGateway:
    """Reader and writer of one gateway, and the parts that they stand on."""

    def __init__(
        self,
        *,
        policy: AckPolicy = AckPolicy.FIRST_INTENT,
        sync_s: float = 0.0003,
        writes: WriteBounds = WRITE_BOUNDS,
        reads: ReadBounds = READ_BOUNDS,
        mode: ReadMode = ReadMode.RACE,
        namespace_mode: Mode = ACTIVE,
    ) -> None:
        self.loop = virtual.current()
        self.clock = VirtualClock(self.loop)
        self.kvsp = TimedHome(Side.KVSP, self.loop, self.clock)
        self.s3 = TimedHome(Side.S3, self.loop, self.clock)
        self.homes = {Side.KVSP: self.kvsp, Side.S3: self.s3}
        self.time = HomeTime(self.clock)
        for side in Side:
            self.time.observe(side, self.clock.now_us())
        self.machine = MemoryMachine(
            gateway_id=b"gate", random=Counting().token, clock_bound_us=2**51, clock=self.clock
        )
        self.journal = MemoryJournal(sync_s)
        self.queue = MemoryQueue()
        self.view = FixedView(policy, mode, namespace_mode)
        self.draws = Draws()
        self.inbox = RepairInbox(self.queue, self.time)
        self.writer = Writer(
            homes=self.homes, machine=self.machine, journal=self.journal, inbox=self.inbox,
            time=self.time, view=self.view, bounds=writes,
        )  # fmt: skip
        self.reader = Reader(
            homes=self.homes, machine=self.machine, queue=self.queue, inbox=self.inbox,
            time=self.time, view=self.view, entropy=self.draws,
            bounds=reads,
        )  # fmt: skip
        self._moving = self.loop.create_task(self.inbox.run())

    def value(self, ms: int = 0, text: bytes = b"value") -> Record:
        """A value written `ms` after five seconds ago."""
        return seal(Version.at(self.clock.now_us() - 5_000_000 + ms * 1000), text)

    async def hold(self, record: Record, *sides: Side) -> None:
        """Puts a record into these homes, both by default, at once."""
        for side in sides or tuple(Side):
            await self.homes[side].memory.put_if_newer(KEY, record, 1.0)

    async def read(self, read: Read) -> tuple[float, ReadResult]:
        """How long a read takes, and what it finds."""
        began_s = self.loop.time()
        answer = self.reader.read([read])[0]
        if isinstance(answer, TandemError):
            raise answer
        result = answer if isinstance(answer, ReadResult) else await answer
        return round(self.loop.time() - began_s, 6), result

    async def queued(self) -> list[RepairTask]:
        """What is in the repair queue."""
        return [queued.task for queued in await self.queue.sample(100)]
