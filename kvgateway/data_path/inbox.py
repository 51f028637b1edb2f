"""Drift that was noticed, on its way into the durable queue: gathered per loop turn, never lost.

A task that comes from a write brings its intent along; the intent is dropped only once the task is
durable. A task from a read that finds the inbox full is dropped and counted: the next read of the
key, or the crawler, will notice it again. When the queue fails for so long that the bound of writes
is reached too, a task is left to its intent, which the next start recovers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import RepairQueue, RepairTask
from tandem.core.reply import Side
from tandem.runtime import logs

_LOG = logs.get("inbox")
SETTLE_US = 2_000_000
"""A write in flight is given this long before a difference counts as drift."""
GROUP_MAX = 1000
RETRY_S = 1.0

_Entry = tuple[RepairTask, Callable[[], None] | None]


class RepairInbox:
    """Hands tasks to the queue in groups; `run` is its one task."""

    def __init__(
        self,
        queue: RepairQueue,
        time: HomeTime,
        *,
        tasks_max: int = 100_000,
        with_writes_max: int = 200_000,
    ) -> None:
        self._queue = queue
        self._time = time
        self._tasks_max = tasks_max
        self._with_writes_max = with_writes_max
        self._waiting: deque[_Entry] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.dropped = 0
        self.left_to_intents = 0
        self.queue_errors = 0

    @property
    def waiting(self) -> int:
        """How many tasks are not durable yet."""
        return len(self._waiting)

    def lacks(self, side: Side) -> bool:
        """Whether a home has to be repaired by a task that is not durable yet."""
        return any(side in task.missing for task, _ in self._waiting)

    def add(self, task: RepairTask, queued: Callable[[], None] | None = None) -> None:
        """Enters a task; `queued` is called once it is durable, and never if there is no room."""
        waiting = len(self._waiting)
        if queued is None and waiting >= self._tasks_max:
            self.dropped += 1
            return
        if waiting >= self._with_writes_max:
            self.left_to_intents += 1
            return
        self._waiting.append((task, queued))
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Moves tasks into the queue until cancelled; a queue that fails is tried again."""
        while True:
            await self._wake.wait()
            group = [self._waiting[i] for i in range(min(GROUP_MAX, len(self._waiting)))]
            try:
                tasks = [task for task, _ in group]
                await self._queue.add(tasks, self._due_us(tasks))
            except Exception as error:
                self.queue_errors += 1
                _LOG.error("repair_queue_failed", error=repr(error), waiting=len(self._waiting))
                await asyncio.sleep(RETRY_S)
                continue
            for _, queued in group:
                self._waiting.popleft()
                if queued is not None:
                    queued()
            if not self._waiting:
                self._wake.clear()
                self._idle.set()

    async def drained(self) -> None:
        """Returns when every task that was added is durable."""
        await self._idle.wait()

    def _due_us(self, tasks: Sequence[RepairTask]) -> int:
        """While the time is not known, it is at least that of the newest version."""
        now_us = self._time.now_or_none_us()
        if now_us is None:
            now_us = max(task.version for task in tasks).time_us
        return now_us + SETTLE_US
