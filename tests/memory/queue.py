"""The repair queue in the simulator; it survives a crash as a file would."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvgateway.state.ports import (
    QUEUE_COLLAPSE_SHARE,
    QUEUE_ROWS_MAX,
    DirtyMark,
    QueuedTask,
    QueueStats,
    RepairTask,
    Taken,
)
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version


@dataclass(slots=True)
class _Row:
    version: Version
    missing: tuple[Side, ...]
    generation: int
    due_us: int
    queued_us: int
    leased_us: int = 0
    attempts: int = 0
    failure: str = ""
    needs_person: bool = False


class MemoryQueue:
    """See `ports.RepairQueue`."""

    def __init__(self, rows_max: int = QUEUE_ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._rows: dict[Key, _Row] = {}
        self._dirty: dict[tuple[Side, str], int] = {}
        self._generation = 0

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        """See `ports.RepairQueue`."""
        for task in tasks:
            self._add(task, due_us)
        while len(self._rows) > self._rows_max:
            self._collapse(due_us)

    async def take(self, limit: int, now_us: int, lease_us: int) -> list[Taken]:
        """See `ports.RepairQueue`."""
        due = [
            key
            for key, row in self._rows.items()
            if not row.needs_person and row.due_us <= now_us and row.leased_us <= now_us
        ]
        due.sort(key=lambda key: (self._rows[key].due_us, key))
        return [self._lease(key, now_us + lease_us) for key in due[:limit]]

    async def free(self) -> None:
        """See `ports.RepairQueue`."""
        for row in self._rows.values():
            row.leased_us = 0

    async def done(self, taken: Sequence[Taken]) -> None:
        """See `ports.RepairQueue`."""
        for each in taken:
            row = self._rows.get(each.task.key)
            if row is None:
                continue
            if row.generation == each.generation:
                del self._rows[each.task.key]
            else:
                row.leased_us = 0

    async def later(self, taken: Taken, due_us: int, failure: str) -> None:
        """See `ports.RepairQueue`."""
        generation = self._next_generation()
        row = self._rows.get(taken.task.key)
        if row is None or row.generation < taken.generation or row.attempts != taken.attempts:
            return
        row.leased_us, row.due_us, row.failure = 0, due_us, failure
        row.attempts += 1
        row.generation = generation

    async def park(self, taken: Taken, reason: str) -> None:
        """See `ports.RepairQueue`."""
        generation = self._next_generation()
        row = self._rows.get(taken.task.key)
        if row is None or row.generation != taken.generation:
            return
        row.needs_person, row.leased_us, row.failure = True, 0, reason
        row.generation = generation

    async def wanted(self, key: Key) -> Version:
        """See `ports.RepairQueue`."""
        row = self._rows.get(key)
        return NO_VERSION if row is None else row.version

    async def queued(self, key: Key) -> Taken | None:
        """See `ports.RepairQueue`."""
        row = self._rows.get(key)
        if row is None:
            return None
        return Taken(RepairTask(key, row.version, row.missing), row.generation, row.attempts)

    async def stats(self) -> QueueStats:
        """See `ports.RepairQueue`."""
        rows = self._rows.values()
        return QueueStats(
            depth=len(rows),
            depth_kvsp=sum(Side.KVSP in r.missing and not r.needs_person for r in rows),
            depth_s3=sum(Side.S3 in r.missing and not r.needs_person for r in rows),
            needs_person=sum(row.needs_person for row in rows),
            oldest_us=min((row.queued_us for row in rows), default=None),
            dirty_marks=len(self._dirty),
        )

    async def sample(self, limit: int) -> list[QueuedTask]:
        """See `ports.RepairQueue`."""
        ordered = sorted(
            self._rows.items(), key=lambda item: (item[1].needs_person, item[1].due_us, item[0])
        )
        return [
            QueuedTask(
                RepairTask(key, row.version, row.missing),
                row.attempts,
                row.queued_us,
                row.due_us,
                row.failure,
                row.needs_person,
            )
            for key, row in ordered[:limit]
        ]

    async def dirty(self) -> list[DirtyMark]:
        """See `ports.RepairQueue`."""
        marks = [DirtyMark(*place, marked_us) for place, marked_us in self._dirty.items()]
        return sorted(marks, key=lambda mark: (mark.side.value, mark.namespace))

    async def clear_dirty(self, side: Side, namespace: str, began_us: int) -> None:
        """See `ports.RepairQueue`."""
        if self._dirty.get((side, namespace), began_us) < began_us:
            del self._dirty[side, namespace]

    def _next_generation(self) -> int:
        self._generation += 1
        return self._generation

    def _add(self, task: RepairTask, due_us: int) -> None:
        missing = tuple(side for side in Side if side in task.missing)
        generation = self._next_generation()
        row = self._rows.get(task.key)
        if row is None:
            self._rows[task.key] = _Row(task.version, missing, generation, due_us, due_us)
            return
        if task.version > row.version:
            row.version, row.needs_person = task.version, False
        row.missing = tuple(s for s in Side if s in row.missing or s in missing)
        row.generation = generation
        if row.attempts == 0:
            row.due_us = min(row.due_us, due_us)

    def _lease(self, key: Key, until_us: int) -> Taken:
        row = self._rows[key]
        row.leased_us = until_us
        row.generation = self._next_generation()
        return Taken(RepairTask(key, row.version, row.missing), row.generation, row.attempts)

    def _collapse(self, now_us: int) -> None:
        sizes: dict[str, int] = {}
        for key in self._rows:
            sizes[key.namespace] = sizes.get(key.namespace, 0) + 1
        namespace = min(sizes, key=lambda each: (-sizes[each], each))
        rows = {key: row for key, row in self._rows.items() if key.namespace == namespace}
        for side in Side:
            if any(side in row.missing for row in rows.values()):
                before = self._dirty.get((side, namespace), now_us)
                self._dirty[side, namespace] = max(before, now_us)
        excess = len(self._rows) - (self._rows_max - self._rows_max // QUEUE_COLLAPSE_SHARE)
        oldest = sorted(rows, key=lambda key: (rows[key].queued_us, key))
        for key in oldest[:excess]:
            del self._rows[key]
