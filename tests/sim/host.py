"""One machine with its worker processes, and what `kvgateway.main` does as their supervisor."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from random import Random
from typing import Any, Final, cast

from kvgateway.homes import identity
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import Trust
from kvgateway.process.left_intents import LeftIntents
from kvgateway.process.preparation import agree_on_store, pin_queue
from kvgateway.state.clock_bound import EXTEND_EACH_S
from kvgateway.state.ports import Intent, RepairQueue
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.backends.port import Backend
from tandem.core.reply import Side
from tests.memory.machine import MemoryMachine
from tests.sim.faults import Link
from tests.sim.lives import Disk, Leftover, SupervisorsQueue
from tests.sim.loop import SeededEntropy, VirtualClock
from tests.sim.standstill import context_of
from tests.sim.worker import STORE_ID, Ground, Worker

CLOCK_SPARE_S: Final = 0.05
LISTEN_S: Final = 4.0
"""Four times production's, since nothing but the bound of the clock hangs on what supervisors hear,
and half of all calls were theirs."""
REPLACE_S: Final = 0.05
RETRY_S: Final = 1.0


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
        self._dead: list[Worker] = []
        """Kept, since what is collected of them would run once more."""
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
        for leftover in self.disk.leftovers:
            leftover.release()

    def lose_disk(self) -> None:
        """The machine, which is off, gets an empty disk."""
        assert not self.on
        self._disks += 1
        self.disk = Disk(bytes([*self.disk.gateway_id[:3], self._disks]))

    def stop(self, for_s: float) -> None:
        """All its processes stand still for a while, as by SIGSTOP."""
        self.ground.history.note(self.name, f"stands still for {for_s:.1f} s")
        self.ground.loop.hold(self.name, for_s)

    def empty_memory(self) -> None:
        """As where there is no room for news; its workers go on."""
        self.ground.history.note(self.name, "has its memory emptied")
        self.memory.empty(self._time.now_or_zero_us())

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
            self._dead.append(worker)
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
        await asyncio.sleep(self.disk.wait_us(time.now_us()) / 1e6 + CLOCK_SPARE_S)
        bound_us = self.disk.begin_clock(time.now_us(), entropy.token)
        self.memory = MemoryMachine(
            gateway_id=self.disk.gateway_id, random=entropy.token, clock=self.clock
        )
        self.memory.extend_clock(bound_us)
        queue = cast(RepairQueue, SupervisorsQueue(self.disk))
        self._left = LeftIntents(queue, self.memory, self._pinned)
        await self._recover()
        await pin_queue(self.disk.queue, self.memory)
        self._begin(self._keep_trying())
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
        worker = Worker(self, slot, name, homes, links)
        await worker.keeper.round()
        worker.start()
        self.workers[slot] = worker
        self.ground.history.note(worker.name, "serves")

    async def _recover(self) -> None:
        """No worker serves before reads want what was left; the queue may take it later."""
        await self._left.recover(self._found(), self._time.now_or_zero_us())

    async def _keep_trying(self) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            if not self._left.settled:
                await self._recover()

    def _found(self) -> Sequence[Leftover]:
        found = [leftover for leftover in self.disk.leftovers if not leftover.held]
        for leftover in found:
            leftover.held = True
        return found

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
