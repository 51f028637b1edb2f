"""A namespace that goes from mode to mode at random while it is used, in virtual time.

Three processes with the real registry, registrations, steps, data path and repair stand over two
homes that are slow, fail before or after they apply a write, and hide their listings from a process
for a while, so that it sees steps late or not at all. Clients of each process write and read; an
operator takes whatever step is not objected to; crawls come by. What is judged: a process never
reads below what was acknowledged to its own clients, nor below what was acknowledged to any of them
long ago; those that go by what they have seen are at most one step apart; and in the end both homes
have all that was acknowledged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from crawler.crawl import Crawl
from crawler.report import CrawlRule
from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.read_bounds import ReadBounds
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.data_path.settled_modes import SettledModes
from kvgateway.data_path.writes import WriteBounds, Writer
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import one_by_one
from kvgateway.homes.trust import Trust
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.claims import Claims
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespace_changes import Namespaces
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.presence import Presence
from kvgateway.registry.steps import Steps
from kvgateway.registry.view import RegisteredView
from tandem.backends.port import Backend, Heal, Puts, Replied, ScanPage
from tandem.core.key import Key
from tandem.core.mode import ACTIVE, Mode, Stage, steps_from
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, ReadReply, Reason, Side, WriteReply
from tandem.core.request import Delete, Put, Read
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError
from tests.kvgateway.registry.memory_copy import MemoryCopy
from tests.kvgateway.two_homes import Deaf
from tests.memory.home import MemoryHome
from tests.memory.journal import MemoryJournal
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim import loop as virtual
from tests.sim.loop import SeededEntropy, VirtualClock, VirtualLoop

PROCESSES: Final = 3
NAMES: Final = 120
STORM_S: Final = 400.0
SHOWN_S: Final = 20.0
"""By then every process shows a write that was acknowledged to any of them: repair is done."""
PIN_US: Final = 1_000_000
READS: Final = ReadBounds(deadline_s=0.5, sample_share=0.2)
CRAWL: Final = CrawlRule(page_names=1000, settle_s=0.2, deadline_s=2.0)
BROKEN: Final = Failed(Reason.UNREACHABLE, "it fails")


@dataclass(slots=True)
class Weather:
    """How the homes are for one process."""

    random: Random
    loop: VirtualLoop
    fails: float = 0.0
    hidden_until_s: float = 0.0
    """No listing comes through before."""

    async def delay(self) -> None:
        await asyncio.sleep(self.random.choice([0.001, 0.005, 0.05, 0.3]) * self.random.random())

    def hides(self) -> bool:
        return self.loop.time() < self.hidden_until_s

    def strikes(self) -> bool:
        return self.random.random() < self.fails


class ShakyHome:
    """A process's way to a home."""

    def __init__(self, memory: MemoryHome, weather: Weather) -> None:
        self._memory = memory
        self._weather = weather
        self.side = memory.side
        self.clock_skew_max_us = memory.clock_skew_max_us

    async def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        await self._weather.delay()
        return BROKEN if self._weather.strikes() else await self._memory.get(key, deadline_s)

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        await self._weather.delay()
        if self._weather.strikes():
            return BROKEN
        reply = await self._memory.put_if_newer(key, record, deadline_s, heal)
        await self._weather.delay()
        return BROKEN if self._weather.strikes() else reply

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self._put, puts, deadline_s, replied)

    def _put(self, key: Key, record: Record, deadline_s: float) -> Awaitable[WriteReply]:
        return asyncio.ensure_future(self.put_if_newer(key, record, deadline_s))

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        await self._weather.delay()
        if self._weather.hides() or self._weather.strikes():
            return BROKEN
        return await self._memory.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self._memory.incarnation(deadline_s)

    async def aclose(self) -> None:
        """Stays."""


class Process:
    """One gateway of one process."""

    def __init__(
        self, number: int, memories: Mapping[Side, MemoryHome], random: Random,
        way: type[ShakyHome] = ShakyHome,
    ) -> None:  # fmt: skip
        """`way` is what leads to a home."""
        loop = virtual.current()
        self.clock = VirtualClock(loop)
        self.weather = Weather(Random(random.getrandbits(64)), loop)
        entropy = SeededEntropy(Random(random.getrandbits(64)))
        self.time, self.trust, self.queue = HomeTime(self.clock), Trust(), MemoryQueue()
        ways = {side: way(memory, self.weather) for side, memory in memories.items()}
        self.guards = {
            side: GuardedHome(way, clock=self.clock, time=self.time, observer=Deaf())
            for side, way in ways.items()
        }
        for guard in self.guards.values():
            guard.barred = ""
            self.time.observe(guard.side, self.clock.now_us())
        machine = MemoryMachine(
            gateway_id=bytes([number + 1] * 4), random=entropy.token, clock_bound_us=2**51
        )
        self.inbox = RepairInbox(self.queue, self.time)
        self.view = RegisteredView(self.trust)
        self.reader = Reader(
            homes=self.guards, machine=machine, queue=self.queue, inbox=self.inbox, time=self.time,
            view=self.view, entropy=entropy, bounds=READS,
        )  # fmt: skip
        self.registry = Registry(
            homes=self.guards, reader=self.reader, clock=self.clock, file=MemoryCopy(NAMESPACES),
            home_is_out=lambda: False,
        )  # fmt: skip
        self.writer = Writer(
            homes=self.guards, machine=machine, journal=MemoryJournal(), inbox=self.inbox,
            time=self.time, view=self.view, bounds=WriteBounds(pin_us=PIN_US),
        )  # fmt: skip
        self.presence = Presence(
            process=f"g{number}.0", homes=self.guards, machine=machine, time=self.time,
            clock=self.clock, registry=self.registry,
            modes=SettledModes(self.registry.book, self.writer, self.reader.comparisons),
            inbox=self.inbox, queue=self.queue, trust=self.trust,
        )  # fmt: skip
        self.view.go_by(self.registry, self.presence.stands)
        claims = Claims(self.presence, self.guards, self.time, entropy)
        changes = RecordChanges(self.registry, NAMESPACES, self.writer, _no_switches)
        self.steps = Steps(
            registry=self.registry, changes=changes, time=self.time,
            presence=self.presence, claims=claims, crawled_us=self.trust.crawled_us,
        )  # fmt: skip
        self.namespaces = Namespaces(
            registry=self.registry, changes=changes, time=self.time, entropy=entropy,
            claims=claims,
        )  # fmt: skip
        repair = RepairWorker(
            homes=self.guards, queue=self.queue, machine=machine, time=self.time, entropy=entropy,
            rule=RepairRule(pin_us=PIN_US), monotonic_us=self.clock.monotonic_us,
            view=self.view,
        )  # fmt: skip
        for work in (
            self.inbox.run(), self.registry.run(), self.presence.run(), repair.run(), self._beats()
        ):  # fmt: skip
            loop.create_task(work).add_done_callback(loop.must_not_fail)

    async def _beats(self) -> None:
        """Hears the homes' clocks, as the keeper does."""
        while True:
            for guard in self.guards.values():
                await guard.get(Key("0" * 31 + "1", "store-id"), 1.0)
            await asyncio.sleep(1.0)


class Wrongs(list[str]):
    """What was seen to be wrong."""

    ends: "asyncio.Task[None] | None" = None
    """What the first wrong brings to its end, if that one is enough."""

    def append(self, wrong: str) -> None:
        super().append(wrong)
        if self.ends is not None:
            self.ends.cancel()

    async def judging(self, run: Coroutine[Any, Any, None], *, until_broken: bool) -> None:
        """Runs it to its end, or to the first wrong."""
        running = asyncio.ensure_future(run)
        self.ends = running if until_broken else None
        with suppress(asyncio.CancelledError):
            await running


class Stepping:
    """The whole, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.loop: VirtualLoop = virtual.current()
        clock = VirtualClock(self.loop)
        self.memories = {side: MemoryHome(side, clock) for side in Side}
        self.processes = [Process(n, self.memories, self.random) for n in range(PROCESSES)]
        self.wrong = Wrongs()
        self.steps: list[str] = []
        self.acked: dict[Key, list[tuple[float, Version]]] = {}
        """When which version was acknowledged."""
        self.stormy = True
        self.namespace: Namespace

    async def run(self) -> None:
        """A storm of steps and faults, then the way home, then the last look."""
        await asyncio.sleep(2.0)
        mode = self.random.choice([ACTIVE, Mode(Stage.SINGLE, self.random.choice(list(Side)))])
        first = self.processes[0].namespaces
        self.namespace = await first.create("a", SettingsChange(mode=mode))
        await asyncio.sleep(2.0)
        clients = [self.loop.create_task(self._client(process)) for process in self.processes]
        others = [self.loop.create_task(work) for work in (self._operator(), self._crawls())]
        weather = self.loop.create_task(self._weather())
        await asyncio.sleep(STORM_S)
        self.stormy = False
        for work in (*clients, *others, weather):
            await work
        for process in self.processes:
            process.weather.fails, process.weather.hidden_until_s = 0.0, 0.0
        await asyncio.sleep(60.0)
        await self._go_home()
        await self._crawl()
        await self._last_look()

    async def _client(self, process: Process) -> None:
        """One at a time: what it is told counts from then on."""
        mine: dict[Key, Version] = {}
        while self.stormy:
            await asyncio.sleep(self.random.uniform(0.05, 1.0))
            key = Key(self.namespace.id, f"k{self.random.randrange(NAMES)}")
            try:
                if self.random.random() < 0.4:
                    written = await self._write(process, key)
                    mine[key] = max(mine.get(key, NO_VERSION), written)
                    self.acked.setdefault(key, []).append((self.loop.time(), written))
                else:
                    await self._read(process, key, max(mine.get(key, NO_VERSION), self._old(key)))
            except TandemError:
                continue

    def _old(self, key: Key) -> Version:
        """What everybody has to know."""
        before_s = self.loop.time() - SHOWN_S
        old = (version for at_s, version in self.acked.get(key, []) if at_s < before_s)
        return max(old, default=NO_VERSION)

    async def _write(self, process: Process, key: Key) -> Version:
        write = Put(key, b"v") if self.random.random() < 0.8 else Delete(key)
        [answer] = process.writer.write([write])
        return (await answer).version

    async def _read(self, process: Process, key: Key, known: Version) -> None:
        [answer] = process.reader.read([Read(key, cache_ttl_s=0)])
        if isinstance(answer, TandemError):
            raise answer
        result = await answer if isinstance(answer, asyncio.Future) else answer
        if result.version < known and not (result.stale or result.unconfirmed):
            now = process.view.mode_of(self.namespace.id)
            self.wrong.append(
                f"{self.loop.time():.2f} {process.presence.id} in {now} reads {key.name} at"
                f" {result.version}, but {known} was acknowledged; steps: {self.steps[-5:]}"
            )

    async def _operator(self) -> None:
        while self.stormy:
            await asyncio.sleep(self.random.uniform(0.3, 2.0))
            process = self.random.choice(self.processes)
            now = process.view.mode_of(self.namespace.id)
            wanted = self.random.choice(list(steps_from(now)))
            await self._step(process, wanted)

    async def _step(self, process: Process, wanted: Mode) -> bool:
        try:
            report = await process.steps.report(self.namespace.id, None)
            epoch = report.namespace.settings.mode_epoch
            done = await process.steps.step(self.namespace.id, wanted, epoch, force=False)
        except TandemError:
            return False
        self._close_together()
        if done.stepped:
            self.steps.append(f"{self.loop.time():.1f} {wanted}")
        return done.stepped

    def _close_together(self) -> None:
        standing = [process for process in self.processes if process.presence.stands()]
        seen = [process.registry.book.get(self.namespace.id) for process in standing]
        epochs = [namespace.settings.mode_epoch for namespace in seen if namespace is not None]
        if epochs and max(epochs) - min(epochs) > 1:
            self.wrong.append(f"{self.loop.time():.2f} the epochs are apart: {epochs}")

    async def _crawls(self) -> None:
        while self.stormy:
            await asyncio.sleep(self.random.uniform(5.0, 30.0))
            await self._crawl()

    async def _crawl(self) -> None:
        """As the crawler: nothing where there is one home alone; every process is told."""
        teller = self.processes[0]
        if not teller.registry.mode_of(self.namespace.id).two:
            return
        homes: dict[Side, Backend] = dict(self.memories)
        report = await Crawl(homes, self.namespace.id, CRAWL).run()
        if report.equal:
            for process in self.processes:
                process.trust.crawled(self.namespace.id, report.began_at_us)

    async def _weather(self) -> None:
        """Each process has its own faults, for a while."""
        while self.stormy:
            await asyncio.sleep(self.random.uniform(3.0, 20.0))
            weather = self.random.choice(self.processes).weather
            weather.fails = self.random.choice([0.0, 0.0, 0.02])
            hidden_s = self.random.choice([0.0, 0.0, 6.0, 25.0, 80.0])
            weather.hidden_until_s = max(weather.hidden_until_s, self.loop.time() + hidden_s)

    async def _go_home(self) -> None:
        """Both homes again, by steps that nothing objects to."""
        process = self.processes[0]
        for _ in range(60):
            now = process.registry.mode_of(self.namespace.id)
            if now.whole:
                return
            await self._crawl()
            await self._step(process, next(m for m in reversed([*steps_from(now)]) if _up(now, m)))
            await asyncio.sleep(2.0)
        self.wrong.append(f"no way leads home from {now}")

    async def _last_look(self) -> None:
        for key, acked in self.acked.items():
            version = max(version for _, version in acked)
            for side, memory in self.memories.items():
                reply = await memory.get(key, 1.0)
                held = reply.record.version if isinstance(reply, Found) else NO_VERSION
                if held < version:
                    self.wrong.append(f"LOST: {side.value} holds {key.name} at {held}: {version}")


def _no_switches() -> None:
    """No home is ever switched off here."""


def _up(now: Mode, wanted: Mode) -> bool:
    return len(wanted.may_answer) + len(wanted.legs) > len(now.may_answer) + len(now.legs) or (
        wanted.whole
    )


def stepped(seed: int, *, until_broken: bool = False) -> Stepping:
    """What came of a seed; up to the first wrong, if that is enough."""

    async def main() -> Stepping:
        stepping = Stepping(seed)
        await stepping.wrong.judging(stepping.run(), until_broken=until_broken)
        return stepping

    return virtual.run(main())
