"""A worker's writes on a failing disk, and what must hold of each whenever it or the power goes.

A write that was acknowledged, and that a home lacks, is owed to it: its intent is in the journal,
or its task in the repair queue, or the home is marked dirty. It is so at every system call.
"""

import asyncio
import enum
from collections.abc import Sequence
from contextlib import suppress

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.writes import Writer
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import one_by_one
from kvgateway.process.left_intents import LeftIntents
from kvgateway.state.journal import DiskJournal, JournalBounds
from kvgateway.state.journal_slots import Slot, claim, recover
from kvgateway.state.ports import Intent, RepairTask
from tandem.backends.heal import Healed, heal
from tandem.backends.port import Puts, Replied
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Reason, Side, WriteReply
from tandem.core.request import Put, Written
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.one_gateway import NAMESPACE, Counting, FixedView
from tests.kvgateway.state.failing_disk import FailingDisk, Fault, Thread
from tests.memory.home import MemoryHome
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim.loop import VirtualClock, current

ROWS_MAX = 4
SMALL = JournalBounds(
    segment_bytes_max=160, carried_above_bytes=320, bytes_max=4_000, live_max=1_000
)
_DOWN = Failed(Reason.UNREACHABLE, "it is down")
_TIMEOUT = Failed(Reason.TIMEOUT, "no answer by the deadline")


class Leg(enum.Enum):
    """What becomes of one leg: whether the home takes the record, what it answers, and when."""

    STORED = (True, True, 0.002)
    LATER = (True, True, 3.0)
    DOWN = (False, False, 0.002)
    DOWN_LATER = (False, False, 3.0)
    UNHEARD = (True, False, 3.0)
    LOST = (False, False, 30.0)


class LegHome(MemoryHome):
    """A home whose next leg goes as a test says."""

    def __init__(self, side: Side, clock: VirtualClock) -> None:
        super().__init__(side, clock)
        self.next = Leg.STORED

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self._leg, puts, deadline_s, replied)

    def _leg(self, key: Key, record: Record, deadline_s: float) -> "asyncio.Future[WriteReply]":
        taken, heard, after_s = self.next.value
        reply: asyncio.Future[WriteReply] = current().create_future()

        def arrive() -> None:
            outcome: WriteReply = _DOWN if after_s < deadline_s else _TIMEOUT
            if taken:
                stored = self.put_if_newer(key, record, deadline_s).result()
                outcome = stored if heard else _TIMEOUT
            if not reply.done():
                reply.set_result(outcome)

        current().call_later(after_s, arrive)
        return reply

    def version(self, key: Key) -> Version:
        """What it holds under a key; NO_VERSION for nothing."""
        found = self.get(key, 1.0).result()
        return found.record.version if isinstance(found, Found) else NO_VERSION


class QueueFault(enum.Enum):
    """What the queue's disk does to additions."""

    NONE = "none"
    REFUSES = "refuses"
    UNHEARD = "unheard"
    """They are taken, and nobody is told."""


class FailingQueue(MemoryQueue):
    """A queue whose disk may refuse."""

    def __init__(self) -> None:
        super().__init__(ROWS_MAX)
        self.fault = QueueFault.NONE

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        await asyncio.sleep(0.003)
        if self.fault is QueueFault.REFUSES:
            raise OSError("no space is left")
        await super().add(tasks, due_us)
        if self.fault is QueueFault.UNHEARD:
            raise OSError("the disk is dying")


class Worker:
    """One worker process."""

    def __init__(self, gateway: "Gateway") -> None:
        self._disk = gateway.disk
        self._slots: list[Slot] = []
        self.journal = DiskJournal(self._claim, SMALL, retry_s=0.5)
        self.inbox = RepairInbox(gateway.queue, gateway.time, with_writes_max=6)
        self.writer = Writer(
            homes=gateway.homes, machine=gateway.machine, journal=self.journal, inbox=self.inbox,
            time=gateway.time, view=FixedView(),
        )  # fmt: skip
        self._moving = current().create_task(self.inbox.run())

    def _claim(self) -> Slot:
        slot = claim(self._disk.directory)
        self._slots.append(slot)
        return slot

    def die(self) -> None:
        """As SIGKILL does it: what is in memory is gone, and no thread goes on."""
        for slot in self._slots:
            self._disk.end_process(slot.directory)
        self._moving.cancel()
        thread = self.journal._disk
        assert isinstance(thread, Thread)
        thread.dead = True


class Gateway:
    """A machine with one worker, two homes, and the memory of who was told what."""

    def __init__(self, disk: FailingDisk) -> None:
        self.disk = disk
        self.clock = VirtualClock(current())
        self.time = HomeTime(self.clock)
        for side in Side:
            self.time.observe(side, self.clock.now_us())
        self.homes = {side: LegHome(side, self.clock) for side in Side}
        self.queue = FailingQueue()
        self.worker: Worker | None = None
        self._entropy = Counting()
        self._answers: list[tuple[Key, asyncio.Future[Written]]] = []
        self.broken: list[str] = []
        disk.before = self.check
        self.power_on()

    def power_on(self) -> None:
        """The machine starts with what is on its disk."""
        self.machine = MemoryMachine(gateway_id=b"gate", random=self._entropy.token)
        self.machine.extend_clock(2**51)
        self.left = LeftIntents(self.queue, self.machine, self._pin)
        self._threads = Thread()
        current().set_default_executor(self._threads)
        self._supervisor = current().create_task(self._supervise())

    async def _supervise(self) -> None:
        """No worker before every intent is wanted by reads, however often that is tried; and what
        the queue has refused is tried again."""
        while True:
            if self.worker is None or not self.left.settled:
                with suppress(OSError):
                    await self._recover()
                    self.worker = self.worker or Worker(self)
            await asyncio.sleep(0.1)

    async def _recover(self) -> None:
        leftovers = await asyncio.to_thread(recover, self.disk.directory)
        await self.left.recover(leftovers, self.clock.now_us())

    async def _pin(self, intents: Sequence[Intent]) -> None:
        self.machine.pin(intents)

    def write(self, name: str, kvsp: Leg, s3: Leg) -> None:
        """Begins a write, if there is a worker."""
        if self.worker is None:
            return
        self.homes[Side.KVSP].next, self.homes[Side.S3].next = kvsp, s3
        key = Key(NAMESPACE, name)
        self.time.observe(Side.S3, self.clock.now_us())
        [answer] = self.worker.writer.write([Put(key, b"value")])
        assert isinstance(answer, asyncio.Future)
        self._answers.append((key, answer))

    def kill(self) -> None:
        """The worker dies."""
        self.check()
        if self.worker is not None:
            self.worker.die()
            self.worker = None
        self.check()

    def cut_power(self) -> None:
        """The machine stops, and starts again."""
        self.kill()
        self._supervisor.cancel()
        self._threads.dead = True
        self.disk.end_process()
        self.disk.cut_power()
        self.power_on()

    def acknowledged(self) -> list[tuple[Key, Version]]:
        """What callers were told."""
        return [
            (key, answer.result().version)
            for key, answer in self._answers
            if answer.done() and not answer.cancelled() and answer.exception() is None
        ]

    def check(self) -> None:
        """Whatever went now, nothing that was acknowledged would be forgotten. What would be is
        noted in `broken`: who calls this takes an exception for one of the disk."""
        lacking = [
            (side, key, version)
            for key, version in self.acknowledged()
            for side, home in self.homes.items()
            if home.version(key) < version
        ]
        unqueued = [one for one in lacking if not self._queued(*one)]
        if unqueued:
            kept = self.disk.left(power=True) & self.disk.left(power=False)
            self.broken += [
                f"{side.value} lacks {key.name} {version}, and nobody knows"
                for side, key, version in unqueued
                if Intent(key, version) not in kept
            ]

    def _queued(self, side: Side, key: Key, version: Version) -> bool:
        row = self.queue._rows.get(key)
        held = row is not None and row.version >= version and side in row.missing
        return held or (side, key.namespace) in self.queue._dirty

    async def calm(self) -> None:
        """All is well again, for long enough; what is owed is repaired then."""
        self.disk.fault = Fault.NONE
        self.queue.fault = QueueFault.NONE
        await asyncio.sleep(40.0)
        worker = self.worker
        assert worker is not None
        assert self.left.settled
        assert worker.inbox.waiting == 0
        assert worker.writer.under_way == 0
        assert worker.journal.live() <= worker.inbox.left_to_intents
        self.cut_power()
        await asyncio.sleep(1.0)
        self.time.observe(Side.S3, self.clock.now_us())
        while taken := await self.queue.take(10, self.time.now_us() + 10**8, 10**6):
            for one in taken:
                assert isinstance(await heal(self.homes, one.task.key, 1.0), Healed)
            await self.queue.done(taken)
        self.check()
        dirty = {mark.side for mark in await self.queue.dirty()}
        for key, version in self.acknowledged():
            for side, home in self.homes.items():
                assert home.version(key) >= version or side in dirty
