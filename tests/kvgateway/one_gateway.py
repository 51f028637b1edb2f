"""One gateway's parts over two homes in memory, whose faults the test decides."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Final

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.view import View
from kvgateway.data_path.writes import Writer
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import one_by_one
from tandem.backends.port import Gets, Got, Heal, Puts, Replied, ScanPage
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.mode import ACTIVE, Mode
from tandem.core.reading import ReadMode
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.runtime.done import done
from tests.memory.home import MemoryHome
from tests.memory.journal import MemoryJournal
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.runtime.clocks import StillClock

NAMESPACE: Final = "ab" * 16
DOWN: Final = Failed(Reason.UNREACHABLE, "it is down")


class FaultyHome:
    """A home in memory of which every call may fail, and whose scans may leave names out."""

    def __init__(self, side: Side, clock: StillClock) -> None:
        self.memory = MemoryHome(side, clock)
        self.down = False
        self.failing: Iterator[bool] = repeat(False)
        """Whether the next call fails, call by call."""
        self.unlisted: frozenset[str] | None = None
        """Names that an incomplete scan leaves out; None for a complete one."""
        self.hangs = False
        """Whether it takes calls and answers nothing."""
        self.calls = 0
        self.scan_deadlines_s: list[float] = []
        self.held: asyncio.Event | None = None
        """While set and not signalled, scans hang."""
        self.gets_held: asyncio.Event | None = None
        """While set and not signalled, reads hang."""
        self.puts_held: asyncio.Event | None = None
        """While set and not signalled, writes hang."""

    @property
    def side(self) -> Side:
        return self.memory.side

    @property
    def clock_skew_max_us(self) -> int:
        return self.memory.clock_skew_max_us

    def _fails(self) -> bool:
        self.calls += 1
        return next(self.failing) or self.down

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> Awaitable[ReadReply]:
        if self.hangs:
            return asyncio.ensure_future(_silence(deadline_s))
        if self._fails():
            return done(DOWN)
        if self.gets_held is not None:
            return asyncio.ensure_future(self._get_later(self.gets_held, key))
        return self.memory.get(key, deadline_s, needed)

    async def _get_later(self, when: asyncio.Event, key: Key) -> ReadReply:
        await when.wait()
        return await self.memory.get(key, 1.0)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> Awaitable[WriteReply]:
        if self.hangs:
            return asyncio.ensure_future(_silence(deadline_s))
        if self._fails():
            return done(DOWN)
        if self.puts_held is not None:
            return asyncio.ensure_future(self._put_later(self.puts_held, key, record))
        return self.memory.put_if_newer(key, record, deadline_s, heal)

    async def _put_later(self, when: asyncio.Event, key: Key, record: Record) -> WriteReply:
        await when.wait()
        return await self.memory.put_if_newer(key, record, 1.0)

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        one_by_one(lambda key, needed, left_s: self.get(key, left_s, needed), gets, deadline_s, got)

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self.put_if_newer, puts, deadline_s, replied)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        self.scan_deadlines_s.append(deadline_s)
        if self.hangs:
            return await _silence(deadline_s)
        if self.held is not None:
            await self.held.wait()
        if self._fails():
            return DOWN
        page = await self.memory.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )
        if self.unlisted is None or isinstance(page, Failed):
            return page
        listed = tuple(entry for entry in page.entries if entry.name not in self.unlisted)
        return ScanPage(listed, page.next_after, page.home_time_us, complete=False)

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self.memory.incarnation(deadline_s)

    async def aclose(self) -> None:
        await self.memory.aclose()


@dataclass(slots=True)
class FixedView:
    """Says the same of every namespace, but for `modes`; a `View`."""

    policy: AckPolicy = AckPolicy.FIRST_INTENT
    read_mode: ReadMode = ReadMode.RACE
    mode: Mode = ACTIVE
    late: tuple[Side, ...] = ()
    """The homes that are behind."""
    modes: dict[str, Mode] = field(default_factory=dict)

    def policy_of(self, namespace: str) -> AckPolicy:
        return self.policy

    def read_mode_of(self, namespace: str) -> ReadMode:
        return self.read_mode

    def mode_of(self, namespace: str) -> Mode:
        return self.modes.get(namespace, self.mode)

    def behind(self, namespace: str) -> tuple[Side, ...]:
        return self.late


class Counting:
    """Random bytes that are never the same twice, and the same in each run."""

    def __init__(self, gateway: int = 0) -> None:
        self._numbers = count(gateway << 24)

    def token(self, size: int) -> bytes:
        numbers = (next(self._numbers).to_bytes(16, "big") for _ in range(0, size, 16))
        return b"".join(numbers)[-size:]

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class OneGateway:
    """Reads, writes and memory of one gateway; `homes` may be shared with another one."""

    def __init__(
        self,
        homes: Mapping[Side, FaultyHome],
        clock: StillClock,
        *,
        number: int = 1,
        view: View | None = None,
        memory_bytes_max: int = 1 << 28,
    ) -> None:
        self.homes = homes
        self.clock = clock
        self.entropy = Counting(number)
        self.time = HomeTime(clock)
        for side in Side:
            self.time.observe(side, clock.now_us())
        self.machine = MemoryMachine(
            gateway_id=bytes([number] * 4),
            random=self.entropy.token,
            clock_bound_us=2**51,
            bytes_max=memory_bytes_max,
        )
        self.journal = MemoryJournal()
        self.queue = MemoryQueue()
        view = view or FixedView()
        self.inbox = RepairInbox(self.queue, self.time)
        self.reader = Reader(
            homes=homes,
            machine=self.machine,
            queue=self.queue,
            inbox=self.inbox,
            time=self.time,
            view=view,
            entropy=self.entropy,
        )
        self.writer = Writer(
            homes=homes,
            machine=self.machine,
            journal=self.journal,
            inbox=self.inbox,
            time=self.time,
            view=view,
        )


class TwoHomes:
    """Both homes and their clock."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.kvsp = FaultyHome(Side.KVSP, self.clock)
        self.s3 = FaultyHome(Side.S3, self.clock)
        self.by_side: Mapping[Side, FaultyHome] = {Side.KVSP: self.kvsp, Side.S3: self.s3}

    def version(self, ms: int = 0) -> Version:
        """A version minted `ms` after five seconds ago."""
        return Version.at(self.clock.now_us() - 5_000_000 + ms * 1000)

    def value(self, ms: int = 0, *, expires_at_s: int = 0, metadata: bytes = b"") -> Record:
        return seal(self.version(ms), b"value", expires_at_s=expires_at_s, metadata=metadata)

    def tombstone(self, ms: int = 0) -> Record:
        return seal_tombstone(self.version(ms))

    async def hold(self, name: str, record: Record, *sides: Side) -> None:
        """Puts a record into these homes, both by default."""
        for side in sides or tuple(Side):
            await self.by_side[side].memory.put_if_newer(Key(NAMESPACE, name), record, 1.0)


async def _silence(deadline_s: float) -> Failed:
    await asyncio.sleep(deadline_s)
    return Failed(Reason.TIMEOUT)
