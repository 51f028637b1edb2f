"""The operations of one gateway over two homes, its queue and its disk, that a test decides on."""

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import ALL, Trust
from kvgateway.operations import GatewayOperations
from kvgateway.overview import Overview, ThisWorker
from kvgateway.state.ports import QueuedTask, QueueStats, RepairTask
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.backends.opening import HomeLabel
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import Namespace
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.settings_in_force import SettingsInForce
from tandem.core.version import Version
from tests.kvgateway.one_gateway import FixedView
from tests.kvgateway.two_homes import NAMESPACE, Numbers, Pair
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.memory.switches import MemorySwitches
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
    """See `kvgateway.overview.JournalState`."""

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
        self.doubled = False
        self.left_over = 0
        self.inbox = RepairInbox(self.queue, self.pair.time)
        repair = RepairWorker(
            homes=self.pair.guards, queue=self.queue, time=self.pair.time, entropy=Numbers(),
            machine=MemoryMachine(
                gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51
            ),
            rule=RepairRule(), monotonic_us=self.clock.monotonic_us, view=FixedView(),
        )  # fmt: skip
        worker = ThisWorker(
            "67617465", process=4711, workers=2, restarts=lambda: 3,
            settings=lambda: SettingsInForce(5, ("a mistake",), ("data",)),
        )  # fmt: skip
        overview = Overview(
            guards=self.pair.guards,
            labels={side: HomeLabel(side.value, f"at {side.value}", lambda: "") for side in Side},
            time=self.pair.time,
            trust=self.trust,
            switches=self.switches,
            journal=self.journal,
            left_over=lambda: self.left_over,
            inbox=self.inbox,
            queue=self.queue,
            repair=repair,
            namespaces_equal=lambda: self.namespaces_equal,
            doubled=lambda: self.doubled,
            worker=worker,
        )
        self.operations = GatewayOperations(
            overview=overview,
            guards=self.pair.guards,
            time=self.pair.time,
            trust=self.trust,
            queue=self.queue,
            repair=repair,
            switches=self.switches,
            keeper=self,
            steps=self.steps,
            prefix=PREFIX,
        )

    def apply_switches(self) -> None:
        """See `kvgateway.operations.Keeper`."""
        for side, guard in self.pair.guards.items():
            guard.switch = self.switches.current.of(side)

    async def mark_behind(self, side: Side) -> None:
        """See `kvgateway.operations.Keeper`."""
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
        await self.queue.add([self._task(name, ago_us)], self.now_us() + 2_000_000)

    def unqueued(self, count: int) -> None:
        """So many repairs that the queue's disk has not taken yet."""
        for number in range(count):
            self.inbox.add(self._task(f"u{number}", 0))

    def _task(self, name: str, ago_us: int) -> RepairTask:
        return RepairTask(Key(NAMESPACE, name), self.version(ago_us), (Side.S3,))

    async def dirty(self) -> None:
        """More repairs than the queue holds: they collapse into a mark."""
        for number in range(17):
            await self.queued(f"k{number}", 1_000_000)
        assert await self.queue.dirty()
