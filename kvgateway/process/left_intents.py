"""Intents of dead workers: wanted by reads at once, and on their way into the repair queue.

A full disk may keep them on that way for long, and nobody waits for it: until the queue has them,
durably, they stay in their journals, and reads want them as they want a write under way.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from kvgateway.state.ports import Intent, RepairQueue, RepairTask
from tandem.core.reply import Side
from tandem.runtime import logs

_LOG = logs.get("gateway")
QUEUE_GROUP_MAX: Final = 1000
Pin: TypeAlias = Callable[[Sequence[Intent]], Awaitable[None]]
"""`Machine.pin`, for whoever must not stand still while another process is inside a transaction."""


class Leftover(Protocol):
    """What a dead worker left in its journal."""

    @property
    def intents(self) -> Sequence[Intent]:
        """Its intents that were not done."""
        ...

    @property
    def damaged(self) -> bool:
        """Whether it had more, which cannot be read any more."""
        ...

    async def drop(self) -> None:
        """Removes them from the journal: they are in the repair queue, durably. Should that fail
        (OSError), they are left for a later try."""
        ...

    def release(self) -> None:
        """Leaves them for a later try."""
        ...


class Memory(Protocol):
    """The machine's, beside `Pin`."""

    def spills(self) -> int:
        """See `ports.Machine`."""
        ...

    def note_left_over(self, intents: int) -> None:
        """So many intents of dead workers are not in the repair queue yet."""
        ...


class LeftIntents:
    """All that dead workers have left and the queue has not taken yet; one caller at a time."""

    def __init__(self, queue: RepairQueue, memory: Memory, pin: Pin) -> None:
        self._queue = queue
        self._memory = memory
        self._pin = pin
        self._left: list[Leftover] = []
        self._pinned_at: int | None = None
        """How many spills there were before all of them were pinned; None while some are not."""
        self.settled = True
        """Whether the queue has everything, and what the dead had taken from it is free again."""

    async def recover(self, leftovers: Sequence[Leftover], now_us: int) -> None:
        """Makes the intents of these, and of those that are still left, wanted versions and repair
        tasks.

        In this order, so that dying in between forgets nothing: pinned, queued, dropped. They are
        due now, by the homes' time (0 where that is not known): were they due when they were
        minted, and did the queue collapse, a crawl that has begun meanwhile would clear its marks.
        What the queue refuses is left for the next call. Raises OSError when the machine's memory
        has no room for it either: nobody may begin to serve then.
        """
        self.settled = False
        spills = self._memory.spills()
        unpinned = leftovers if spills == self._pinned_at else [*self._left, *leftovers]
        self._left += leftovers
        self._pinned_at = None
        self._note_left()
        for leftover in unpinned:
            for group in _groups(leftover.intents):
                await self._pin(group)
        self._pinned_at = spills
        try:
            await self._settle(now_us)
        except OSError as error:
            fits = self._memory.spills() == spills
            _LOG.error("intents_not_queued", why=str(error), left=self._count(), pinned=fits)
            if not fits:
                raise

    async def _settle(self, now_us: int) -> None:
        """The empty ones first, which no full disk keeps: workers that die again and again leave
        one each."""
        self._left.sort(key=lambda leftover: len(leftover.intents))
        count = self._count()
        try:
            while self._left:
                await self._enqueue(self._left[0].intents, now_us)
                await self._left.pop(0).drop()
        finally:
            self._note_left()
        await self._queue.free()
        self.settled = True
        if count:
            _LOG.info("intents_recovered", count=count)

    async def _enqueue(self, intents: Sequence[Intent], now_us: int) -> None:
        for group in _groups(intents):
            tasks = [RepairTask(i.key, i.version, tuple(Side)) for i in group]
            await self._queue.add(tasks, due_us=max(now_us, *(i.version.time_us for i in group)))

    def _note_left(self) -> None:
        self._memory.note_left_over(self._count())

    def _count(self) -> int:
        return sum(len(leftover.intents) for leftover in self._left)


def _groups(intents: Sequence[Intent]) -> Sequence[Sequence[Intent]]:
    starts = range(0, len(intents), QUEUE_GROUP_MAX)
    return [intents[start : start + QUEUE_GROUP_MAX] for start in starts]
