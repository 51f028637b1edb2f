"""The connections of one cluster's file, opened and checked together, closed together."""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiosqlite

from kvsp.identity import Meta
from kvsp.sqlite.floors import Floors
from kvsp.sqlite.schema import prepare, read_meta
from kvsp.sqlite.thread import connect, in_place
from kvsp.sqlite.transaction import Transactions
from tandem.backends.sqlite_place import PlacedConnection
from tandem.backends.sqlite_thread import on_thread
from tandem.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Opened:
    """One file, being served."""

    writer: aiosqlite.Connection
    readers: tuple[aiosqlite.Connection, ...]
    scanner: aiosqlite.Connection
    transactions: Transactions
    floors: Floors
    incarnation: str
    number: int | None
    """Which file it is, as `number_of` says."""

    async def aclose(self) -> None:
        """Closes every connection, after what is running on it; may be called again."""
        await _close([self.scanner, *self.readers, self.writer])


@dataclass(frozen=True, slots=True)
class Opener:
    """How to open the file of one cluster, again and again."""

    path: Path
    readers: int
    deleted: set[str]
    """Namespaces that no cluster takes any more: each file tells of those whose record it has, when
    it is opened, since the commit that deletes one may have been carried out without an answer."""
    blob_exists: Callable[[str], bool]
    clock: Clock

    async def open(
        self, meta: Meta, lives: Collection[str], *, commits_min: int, number: int | None,
        log_must_move: bool,
    ) -> Opened:  # fmt: skip
        """Opens the file; sqlite3.Error when it is not what it should be.

        It must be file `number`, if that is not None, and its incarnation one of `lives`.
        It must show transaction `commits_min`. With `log_must_move`, its write-ahead log must have
        been copied into the file, so that nothing depends on the log any more.
        """
        connections: list[aiosqlite.Connection] = []
        prepared = partial(_prepare, number=number)
        try:
            while len(connections) < self.readers + 2:
                is_writer = not connections
                connections.append(await connect(self.path, prepared, watch_log=is_writer))
            writer, scanner, *readers = connections
            number_in_use = await in_place(writer, lambda c: c.number)
            now = await on_thread(writer, lambda c: _check(c, meta, lives, commits_min))
            if log_must_move:
                await on_thread(writer, _move_log)
            transactions = await on_thread(writer, lambda c: self._transactions(c, now.commits))
        except BaseException:
            await _close(connections)
            raise
        return Opened(
            writer, tuple(readers), scanner, transactions, transactions.floors, now.incarnation,
            number_in_use,
        )  # fmt: skip

    def _transactions(self, connection: sqlite3.Connection, commits: int) -> Transactions:
        deleted = connection.execute("select id from deleted_namespace").fetchall()
        self.deleted.update(namespace for (namespace,) in deleted)
        return Transactions(
            connection,
            commits=commits,
            deleted=self.deleted,
            blob_exists=self.blob_exists,
            clock=self.clock,
        )


def _prepare(connection: PlacedConnection, number: int | None) -> None:
    """Leaves a file alone that is not the one that is wanted."""
    if number is not None and connection.number != number:
        raise sqlite3.DatabaseError("another file took its place")
    prepare(connection)


def _check(
    connection: sqlite3.Connection, meta: Meta, lives: Collection[str], commits_min: int
) -> Meta:
    now = read_meta(connection)
    if now.identity != meta.identity or now.incarnation not in lives:
        raise sqlite3.DatabaseError("another file took its place")
    if now.commits < commits_min:
        raise sqlite3.DatabaseError(
            f"it shows transaction {now.commits}, but {commits_min} was acknowledged"
        )
    return now


def _move_log(connection: sqlite3.Connection) -> None:
    busy, _, _ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    if busy:
        raise sqlite3.OperationalError("its log is in use elsewhere")


async def _close(connections: list[aiosqlite.Connection]) -> None:
    for connection in connections:
        await connection.close()
