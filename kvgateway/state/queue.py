"""The machine's repair queue: one SQLite file that all its processes use, one thread hop a call."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

import aiosqlite

from kvgateway.state import queue_rows
from kvgateway.state.ports import (
    QUEUE_ROWS_MAX,
    DirtyMark,
    QueuedTask,
    QueueStats,
    RepairTask,
    Taken,
)
from kvgateway.state.queue_damage import unusable
from tandem.backends.sqlite_thread import on_thread
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version

_BUSY_TIMEOUT_S: Final = 10.0
_T = TypeVar("_T")


class SqliteQueue:
    """See `ports.RepairQueue`. OSError from any call says that the file is refused, or was for
    too long in use by others; nothing was changed then."""

    def __init__(self, connection: aiosqlite.Connection, rows_max: int) -> None:
        self._connection = connection
        self._rows_max = rows_max
        self._log_is_doubtful = False
        """A disk that failed may have lost pages of the log which count as written since."""

    @classmethod
    async def open(cls, path: Path, rows_max: int = QUEUE_ROWS_MAX) -> Self:
        """Opens the queue, which is made when it is not there. ConfigurationError if it cannot be
        used."""
        try:
            connection = await aiosqlite.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, cached_statements=64
            )
            try:
                await on_thread(connection, _prepare)
            except BaseException:
                await connection.close()
                raise
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        return cls(connection, rows_max)

    async def aclose(self) -> None:
        """Closes the file."""
        await self._connection.close()

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        """See `ports.RepairQueue`."""
        await self._change(lambda db: queue_rows.add(db, tasks, due_us, self._rows_max))

    async def take(self, limit: int, now_us: int, lease_us: int) -> list[Taken]:
        """See `ports.RepairQueue`."""
        return await self._change(lambda db: queue_rows.take(db, limit, now_us, lease_us))

    async def free(self) -> None:
        """See `ports.RepairQueue`."""
        await self._change(queue_rows.free)

    async def done(self, taken: Sequence[Taken]) -> None:
        """See `ports.RepairQueue`."""
        await self._change(lambda db: queue_rows.done(db, taken))

    async def later(self, taken: Taken, due_us: int, failure: str) -> None:
        """See `ports.RepairQueue`."""
        await self._change(lambda db: queue_rows.later(db, taken, due_us, failure))

    async def park(self, taken: Taken, reason: str) -> None:
        """See `ports.RepairQueue`."""
        await self._change(lambda db: queue_rows.park(db, taken, reason))

    async def wanted(self, key: Key) -> Version:
        """See `ports.RepairQueue`."""
        return await self._run(lambda db: queue_rows.wanted(db, key))

    async def queued(self, key: Key) -> Taken | None:
        """See `ports.RepairQueue`."""
        return await self._run(lambda db: queue_rows.queued(db, key))

    async def stats(self) -> QueueStats:
        """See `ports.RepairQueue`."""
        return await self._run(queue_rows.stats)

    async def sample(self, limit: int) -> list[QueuedTask]:
        """See `ports.RepairQueue`."""
        return await self._run(lambda db: queue_rows.sample(db, limit))

    async def dirty(self) -> list[DirtyMark]:
        """See `ports.RepairQueue`."""
        return await self._run(queue_rows.dirty)

    async def clear_dirty(self, side: Side, namespace: str, began_us: int) -> None:
        """See `ports.RepairQueue`."""
        await self._change(lambda db: queue_rows.clear_dirty(db, side, namespace, began_us))

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return await on_thread(self._connection, work)
        except sqlite3.Error as error:
            raise OSError(f"the repair queue: {error}") from error

    async def _change(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await self._run(lambda db: self._transaction(db, work))

    def _transaction(self, db: sqlite3.Connection, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            if self._log_is_doubtful:
                _move_log(db)
                self._log_is_doubtful = False
            with db:
                db.execute("begin immediate")
                return work(db)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0)  # none where no statement was run
            self._log_is_doubtful |= code & 0xFF == sqlite3.SQLITE_IOERR
            raise


def _move_log(db: sqlite3.Connection) -> None:
    """Copies the log into the file, so that no later commit depends on what it held."""
    busy, _, _ = db.execute("pragma wal_checkpoint(truncate)").fetchone()
    if busy:
        raise OSError("the repair queue: its log is doubtful, and in use elsewhere")


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    with db:
        db.executescript("begin immediate;" + queue_rows.SCHEMA + "commit;")
