"""One worker process, made of production's parts over memory, and the calls that wait for it."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.lists import Lister
from kvgateway.data_path.read_bounds import ReadBounds
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.data_path.view import View
from kvgateway.data_path.writes import WriteBounds, Writer
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.keeper import Keeper
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.state.journal import DiskJournal
from kvgateway.state.ports import Machine, RepairQueue
from tandem.backends.port import Backend
from tandem.core.mode import Mode
from tandem.core.reading import ReadMode
from tandem.core.reply import Reason, Side
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.core.write_race import AckPolicy
from tandem.errors import TandemError
from tests.memory.journal import MemoryJournal
from tests.sim.faults import Link
from tests.sim.history import ConnectionLost, History
from tests.sim.lives import Leftover, Life, LivingJournal, LivingMachine, LivingQueue
from tests.sim.loop import SeededEntropy, VirtualLoop
from tests.sim.registered import Registered

if TYPE_CHECKING:
    from tests.sim.host import Host

T = TypeVar("T")

STORE_ID: Final = "5" * 32
POLICIES: Final = {"a" * 32: AckPolicy.FIRST_INTENT, "b" * 32: AckPolicy.BOTH}
"""The namespaces of every universe."""
READ_DEADLINE_S: Final = 5.0
PIN_US: Final = 2 * int(READ_DEADLINE_S * 1e6)
CACHE_TTL_S: Final = 8
SAMPLE_SHARE: Final = 0.1
READ_BOUNDS: Final = ReadBounds(
    READ_DEADLINE_S, CACHE_TTL_S, sample_share=SAMPLE_SHARE, latency_known_from=2, company_from=2,
    remembered_s=60,
)  # fmt: skip
"""A universe is too short for the numbers of production, and would be read in races alone."""
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
    registered: bool
    """Whether workers go by a registry, which others are stepped in; see `registered`."""


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


class _Drawn:
    """A `View`: what was drawn stays."""

    def __init__(self, ground: Ground, trust: Trust) -> None:
        self.policy_of = POLICIES.__getitem__
        self.read_mode_of = ground.read_mode_of
        self.mode_of = ground.mode_of
        self.behind = trust.behind


class Worker:
    """One worker process: its objects, its tasks, and the clients that wait for it."""

    def __init__(
        self, host: "Host", slot: int, name: str, homes: Mapping[Side, Backend],
        links: Sequence[Link],
    ) -> None:  # fmt: skip
        ground = host.ground
        self.name = name
        self.host = host
        self.links = links
        self._life = Life()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._calls_made = 0
        self._works: set[asyncio.Task[Any]] = set()
        """What calls wait for; kept when the worker is dead, so that nothing of it ever runs on."""
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
        self.registered = Registered(self) if ground.registered else None
        view: View = self.registered.view if self.registered else _Drawn(ground, self.trust)
        entropy = SeededEntropy(Random(ground.random.getrandbits(64)))
        machine = cast(Machine, self.machine)
        journal = cast(DiskJournal, LivingJournal(self.journal, self._life))
        queue = cast(RepairQueue, LivingQueue(host.disk, self._life, ground.random, ground.queue_s))
        self.queue, self.switches = queue, SwitchBoard(host.disk)
        self.inbox = RepairInbox(queue, self.time)
        self.reader = Reader(
            homes=self.guards, machine=machine, queue=queue, inbox=self.inbox, time=self.time,
            view=view, entropy=entropy, bounds=READ_BOUNDS,
        )  # fmt: skip
        self.writer = Writer(
            homes=self.guards, machine=machine, journal=journal, inbox=self.inbox,
            time=self.time, view=view, bounds=WriteBounds(pin_us=PIN_US),
        )  # fmt: skip
        self.lister = Lister(
            homes=self.guards, machine=machine, reader=self.reader, time=self.time,
            view=view,
        )  # fmt: skip
        self.keeper = Keeper(
            store_id=STORE_ID, guards=self.guards, time=self.time,
            machine=machine, journal=journal,
            switches=self.switches, queue=queue, trust=self.trust,
            trust_file=host.disk, namespaces=self._namespaces, entropy=entropy,
        )  # fmt: skip
        self.repair = RepairWorker(
            homes=self.guards, queue=queue, machine=machine, time=self.time, entropy=entropy,
            rule=REPAIR, monotonic_us=host.clock.monotonic_us, view=view,
        )  # fmt: skip
        if self.registered is not None:
            self.registered.build(slot, machine, queue, entropy)

    def start(self) -> None:
        """Its loops begin."""
        works = [self.keeper.run(), self.inbox.run(), self.repair.run()]
        if self.registered is not None:
            works += [self.registered.registry.run(), self.registered.presence.run()]
        for work in works:
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
    def knows_modes(self) -> bool:
        """Whether it may go by the modes that it has seen; see `kvgateway.registry.presence`."""
        return self.registered is None or self.registered.presence.stands()

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
        return self.call(self.lister.list(listing))

    def call(self, work: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Has it work at this; ConnectionLost when it dies first, or is dead already."""
        if self._life.over:
            work.close()
            raise ConnectionLost(self.name)
        loop, context = self.host.ground.loop, self.host.context.copy()
        task = loop.create_task(work, context=context)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return self._answer(task)

    def _namespaces(self) -> frozenset[str]:
        return self.registered.namespaces() if self.registered else frozenset(POLICIES)

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
