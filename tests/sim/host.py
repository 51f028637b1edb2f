"""One machine with its worker processes, built from production's parts over memory."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar, cast

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.lists import Lister
from kvgateway.data_path.reads import ReadBounds, Reader
from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.data_path.writes import WriteBounds, Writer
from kvgateway.homes import identity
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.keeper import Keeper, Spilling
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.process.preparation import agree_on_store, pin_queue, recover_intents
from kvgateway.state.clock_bound import EXTEND_EACH_S
from kvgateway.state.journal import DiskJournal
from kvgateway.state.memory import MemoryMachine
from kvgateway.state.memory_journal import MemoryJournal
from kvgateway.state.ports import Intent, Machine, RepairQueue
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.backends.port import Backend
from tandem.core.mode import Mode
from tandem.core.reading import ReadMode
from tandem.core.reply import Reason, Side
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.core.write_race import AckPolicy
from tandem.errors import TandemError
from tests.sim.faults import Link
from tests.sim.history import ConnectionLost, History
from tests.sim.lives import Disk, Leftover, Life, LivingJournal, LivingMachine, LivingQueue
from tests.sim.loop import SeededEntropy, VirtualClock, VirtualLoop
from tests.sim.standstill import context_of

T = TypeVar("T")

STORE_ID: Final = "5" * 32
POLICIES: Final = {"a" * 32: AckPolicy.FIRST_INTENT, "b" * 32: AckPolicy.BOTH}
"""The namespaces of every universe."""
READ_DEADLINE_S: Final = 5.0
PIN_US: Final = 2 * int(READ_DEADLINE_S * 1e6)
CACHE_TTL_S: Final = 8
SAMPLE_SHARE: Final = 0.1
READ_BOUNDS: Final = ReadBounds(
    READ_DEADLINE_S, CACHE_TTL_S, sample_share=SAMPLE_SHARE, remembered_s=60
)
CLOCK_SPARE_S: Final = 0.05
LISTEN_S: Final = 4.0
"""Four times production's, since nothing but the bound of the clock hangs on what supervisors hear,
and half of all calls were theirs."""
REPLACE_S: Final = 0.05
REPAIR: Final = RepairRule(idle_s=1.0, pin_us=PIN_US)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all machines of a universe stand on."""

    loop: VirtualLoop
    history: History
    random: Random
    home_of: Callable[[Link, Side], Backend]
    link_of: Callable[[str, str, Side], Link]
    """By name of the worker, name of the machine, and home."""
    queue_s: float
    """The longest time that a change of a repair queue takes."""
    read_mode_of: Callable[[str], ReadMode]
    mode_of: Callable[[str], Mode]


class _Observer:
    """See `kvgateway.homes.guard.HomeObserver`."""

    def __init__(self) -> None:
        self.broken = 0

    def replied(
        self, side: Side, operation: str, failure: Reason | None, elapsed_us: int, calls: int = 1
    ) -> None:
        """Nobody counts here."""

    def broke(self, side: Side) -> None:
        self.broken += 1


class Worker:
    """One worker process: its objects, its tasks, and the clients that wait for it."""

    def __init__(
        self, host: "Host", name: str, homes: Mapping[Side, Backend], links: Sequence[Link]
    ) -> None:
        ground = host.ground
        self.name = name
        self.host = host
        self.links = links
        self._life = Life()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._calls_made = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.journal = MemoryJournal(sync_s=ground.random.choice([0.0003, 0.002, 0.02]))
        self.machine = LivingMachine(host.memory, self._life)
        self.observer = _Observer()
        self.time = HomeTime(host.clock, host.believed_us())
        self.trust = Trust()
        self.guards = {
            side: GuardedHome(home, clock=host.clock, time=self.time, observer=self.observer)
            for side, home in homes.items()
        }
        entropy = SeededEntropy(Random(ground.random.getrandbits(64)))
        machine = cast(Machine, self.machine)
        journal = cast(DiskJournal, LivingJournal(self.journal, self._life))
        queue = cast(RepairQueue, LivingQueue(host.disk, self._life, ground.random, ground.queue_s))
        self.inbox = RepairInbox(queue, self.time)
        self.reader = Reader(
            homes=self.guards, machine=machine, queue=queue, inbox=self.inbox, time=self.time,
            trust=self.trust, mode_of=ground.read_mode_of, namespace_mode_of=ground.mode_of,
            entropy=entropy, bounds=READ_BOUNDS,
        )  # fmt: skip
        self.writer = Writer(
            homes=self.guards, machine=machine, journal=journal, inbox=self.inbox,
            time=self.time, policy_of=POLICIES.__getitem__, mode_of=ground.mode_of,
            bounds=WriteBounds(pin_us=PIN_US),
        )  # fmt: skip
        self.lister = Lister(
            homes=self.guards, machine=machine, reader=self.reader, time=self.time,
            trust=self.trust, mode_of=ground.read_mode_of, namespace_mode_of=ground.mode_of,
        )  # fmt: skip
        self.keeper = Keeper(
            store_id=STORE_ID, guards=self.guards, time=self.time,
            machine=cast(Spilling, self.machine), journal=journal,
            switches=SwitchBoard(host.disk), queue=queue, trust=self.trust,
            trust_file=host.disk, namespaces=lambda: frozenset(POLICIES), entropy=entropy,
        )  # fmt: skip
        self.repair = RepairWorker(
            homes=self.guards, queue=queue, machine=machine, time=self.time, entropy=entropy,
            rule=REPAIR, monotonic_us=host.clock.monotonic_us, mode_of=ground.mode_of,
        )  # fmt: skip

    def start(self) -> None:
        """Its loops begin."""
        for work in (self.keeper.run(), self.inbox.run(), self.repair.run()):
            self._tasks.append(self.host.ground.loop.create_task(work))

    def die(self) -> None:
        """Gone at once, as by SIGKILL. What is on the way to the homes stays on its way."""
        self._life.over = True
        for link in self.links:
            link.cut = True
        for task in self._tasks:
            task.cancel()
        intents = self.journal.crash()
        if intents:
            self.host.disk.leftovers.append(Leftover(self.host.disk, intents))
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if not call.done():
                call.set_exception(ConnectionLost(self.name))
                call.exception()

    def busy(self) -> dict[str, int]:
        """What is under way; empty when nothing is."""
        counts = {
            "writes": self.writer.under_way,
            "reads": self.reader.under_way,
            "intents": self.journal.live(),
            "calls": len(self._calls),
            "tasks for the queue": self.inbox.waiting,
        }
        return {what: count for what, count in counts.items() if count}

    @property
    def idle(self) -> bool:
        """Whether nothing at all is under way."""
        return not self.busy()

    def read(self, reads: Sequence[Read]) -> "list[asyncio.Future[ReadResult]]":
        """As a client calls it; ConnectionLost when the worker dies first."""
        answers = self.host.context.run(self.reader.read, reads)
        return [self._answer(answer) for answer in answers]

    def write(self, writes: Sequence[Write]) -> "list[asyncio.Future[Written]]":
        """As a client calls it; ConnectionLost when the worker dies first."""
        answers = self.host.context.run(self.writer.write, writes)
        return [self._answer(answer) for answer in answers]

    def list(self, listing: Listing) -> "asyncio.Future[ListPage]":
        """As a client calls it; ConnectionLost when the worker dies first."""
        loop, context = self.host.ground.loop, self.host.context.copy()
        return self._answer(loop.create_task(self.lister.list(listing), context=context))

    def _answer(self, answer: "T | TandemError | asyncio.Future[T]") -> "asyncio.Future[T]":
        call: asyncio.Future[T] = self.host.ground.loop.create_future()
        if isinstance(answer, asyncio.Future):
            number = self._calls_made = self._calls_made + 1
            self._calls[number] = call
            answer.add_done_callback(lambda future: self._answered(number, call, future))
        elif isinstance(answer, TandemError):
            call.set_exception(answer)
            call.exception()
        else:
            call.set_result(answer)
        return call

    def _answered(
        self, number: int, call: "asyncio.Future[T]", answer: "asyncio.Future[T]"
    ) -> None:
        self._calls.pop(number, None)
        error = answer.exception()
        if call.done() or self._life.over:
            return
        if error is not None:
            call.set_exception(error)
            call.exception()  # a client that has gone away will never look
        else:
            call.set_result(answer.result())


class Host:
    """One machine: its disk, its memory, its clock, the workers that run on it, and what
    `kvgateway.main` does as their supervisor."""

    def __init__(
        self, ground: Ground, name: str, number: int, clock: VirtualClock, workers: int
    ) -> None:
        self.ground = ground
        self.name = name
        self.clock = clock
        self.context = context_of(name)
        self.disk = Disk(bytes([number] * 4))
        self.memory: MemoryMachine
        self.workers: list[Worker | None] = [None] * workers
        self.on = False
        self._made = 0
        self._disks = 0
        self._links: list[Link] = []
        self._tasks: list[asyncio.Task[None]] = []

    def switch(self, side: Side, switch: HomeSwitch) -> None:
        """An operator's hand; workers see it when they look."""
        before = self.disk.switches
        kvsp = switch if side is Side.KVSP else before.kvsp
        s3 = switch if side is Side.S3 else before.s3
        self.disk.store(Switches(before.epoch + 1, kvsp, s3))

    def believed_us(self) -> int | None:
        """What its supervisor believes of the homes' time."""
        return self._time.believed_us()

    @property
    def whole(self) -> bool:
        """Whether every worker serves and nothing of a dead one is left to recover."""
        return len(self.living()) == len(self.workers) and not self.disk.leftovers

    def living(self) -> Sequence[Worker]:
        """The workers that serve."""
        return [worker for worker in self.workers if worker is not None]

    def boot(self) -> None:
        """Power on, if it is off."""
        if not self.on:
            self.on = True
            self._begin(self._boot())

    def crash(self) -> None:
        """Power off: every worker and the memory are gone."""
        self.ground.history.note(self.name, "crashes")
        self.ground.loop.go_on(self.name)
        self.on = False
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        for link in self._links:
            link.cut = True
        for slot in range(len(self.workers)):
            self._kill(slot)

    def lose_disk(self) -> None:
        """The machine, which is off, gets an empty disk."""
        assert not self.on
        self._disks += 1
        self.disk = Disk(bytes([*self.disk.gateway_id[:3], self._disks]))

    def stop(self, for_s: float) -> None:
        """All its processes stand still for a while, as by SIGSTOP."""
        self.ground.history.note(self.name, f"stands still for {for_s:.1f} s")
        self.ground.loop.hold(self.name, for_s)

    @property
    def stands_still(self) -> bool:
        """Whether it neither hears nor says anything."""
        return self.name in self.ground.loop.standstill

    def kill(self, slot: int) -> None:
        """One worker dies, and the supervisor recovers its intents and starts another."""
        if self.workers[slot] is not None:
            self.ground.history.note(self.name, f"worker {slot} dies")
            self._kill(slot)
            self._begin(self._replace(slot))

    def _kill(self, slot: int) -> None:
        worker = self.workers[slot]
        if worker is not None:
            self.workers[slot] = None
            worker.die()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        task = self.ground.loop.create_task(work, context=self.context.copy())
        task.add_done_callback(self.ground.loop.must_not_fail)
        self._tasks.append(task)

    async def _boot(self) -> None:
        entropy = SeededEntropy(Random(self.ground.random.getrandbits(64)))
        self._time = time = HomeTime(self.clock)
        self._links, homes = self._way(self.name)
        trust = Trust()
        await self.disk.exchange(trust)
        await agree_on_store(homes, STORE_ID, entropy, time, trust)
        await self.disk.exchange(trust)
        wait_us = self.disk.clock_bound_us - time.now_us()
        await asyncio.sleep(max(0, wait_us) / 1e6 + CLOCK_SPARE_S)
        self.memory = MemoryMachine(gateway_id=self.disk.gateway_id, random=entropy.token)
        self.memory.extend_clock(self.disk.extend_clock(time.now_us()))
        await self._recover()
        await pin_queue(self.disk.queue, self.memory)
        self._begin(self._keep_clock(time))
        self._begin(self._listen(homes, time))
        for slot in range(len(self.workers)):
            self._begin(self._serve(slot))

    async def _replace(self, slot: int) -> None:
        await asyncio.sleep(REPLACE_S)
        await self._recover()
        await self._serve(slot)

    async def _serve(self, slot: int) -> None:
        self._made += 1
        name = f"{self.name}.{self._made}"
        links, homes = self._way(name)
        worker = Worker(self, name, homes, links)
        await worker.keeper.round()
        worker.start()
        self.workers[slot] = worker
        self.ground.history.note(worker.name, "serves")

    async def _recover(self) -> None:
        """As often as it takes: no worker serves before."""
        while True:
            with suppress(OSError):
                self.disk.check_queue()
                now_us, left = self._time.now_or_zero_us(), list(self.disk.leftovers)
                await recover_intents(left, self.disk.queue, self._pinned, now_us)
                return
            await asyncio.sleep(REPLACE_S)

    async def _pinned(self, intents: Sequence[Intent]) -> None:
        self.memory.pin(intents)

    async def _listen(self, homes: Mapping[Side, Backend], time: HomeTime) -> None:
        while True:
            await identity.look(homes, LISTEN_S, time)
            await asyncio.sleep(LISTEN_S)

    async def _keep_clock(self, time: HomeTime) -> None:
        while True:
            await asyncio.sleep(EXTEND_EACH_S)
            if time.known():
                self.memory.extend_clock(self.disk.extend_clock(time.now_us()))

    def _way(self, name: str) -> tuple[list[Link], dict[Side, Backend]]:
        links = {side: self.ground.link_of(name, self.name, side) for side in Side}
        homes = {side: self.ground.home_of(link, side) for side, link in links.items()}
        return list(links.values()), homes
