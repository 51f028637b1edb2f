"""One write transaction: everything that waited, each row with its own answer, one commit.

Plain rows share a statement, as long as it stores all of them. A row that fails alone is undone
alone: then a row is one statement, which SQLite undoes by itself, or runs in a savepoint. An error
that ends the transaction fails all of its rows; an error of COMMIT is raised, since nobody knows
then what the file holds.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from kvsp import rules
from kvsp.rules import STORED, Held, LargeRow, Write, row_of
from kvsp.sqlite.collecting import CollectWork
from kvsp.sqlite.errors import CommitFailed, ends_transaction, is_damage
from kvsp.sqlite.floors import Floors
from tandem.backends.sqlite_rows import marks, together
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.reply import (
    Failed,
    Reason,
    Refusal,
    Refused,
    WriteReply,
)
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import Clock
from tandem.wire.storage_codec import LargePut, Put

_INSERT: Final = f"insert into record ({rules.COLUMNS})"
_IF_NEWER: Final = f"""
on conflict (namespace, name) do update set {rules.REPLACE}
where {rules.IF_NEWER}
"""
_UPSERT: Final = f"""
{_INSERT}
select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
where ?3 > ?11 or exists (select 1 from record where namespace = ?1 and name = ?2)
{_IF_NEWER}
    or (?12 and excluded.version = record.version)
"""
_COLUMNS: Final = 10


Step = Callable[[sqlite3.Connection], object]
"""Any other statements that belong into a transaction."""

Work = Put | LargeRow | CollectWork | Step


class Transactions:
    """The writer of one cluster; lives on the thread of the writing connection."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        commits: int,
        deleted: set[str],
        blob_exists: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._connection = connection
        self.floors = Floors(connection)
        self._deleted = deleted
        self._newly_deleted: list[str] = []
        self._blob_exists = blob_exists
        self._clock = clock
        self._now_us = 0
        self.commits = commits
        """The number of the last transaction that was committed."""

    def run(self, works: Sequence[Work]) -> list[object]:
        """The outcome of each work: a WriteReply of a put, what a step returned, or Failed.

        Raises CommitFailed, and sqlite3.DatabaseError when the file is damaged.
        """
        self._now_us = self._clock.now_us()
        self._newly_deleted.clear()
        self.floors.discard()
        try:
            self._connection.execute("begin immediate")
            outcomes = self._rows(works)
            self._connection.execute("update meta set commits = ?", (self.commits + 1,))
        except sqlite3.Error as error:
            self._roll_back()
            if is_damage(error):
                raise
            return [Failed(Reason.ERROR, f"nothing was written: {error}")] * len(works)
        self._commit()
        return outcomes

    def _commit(self) -> None:
        try:
            self._connection.execute("commit")
        except sqlite3.Error as error:
            raise CommitFailed(error) from error
        self.commits += 1
        self.floors.publish()
        self._deleted.update(self._newly_deleted)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("rollback")

    def _rows(self, works: Sequence[Work]) -> list[object]:
        outcomes: list[object] = []
        for part in together(works):
            if self._stored_together(part):
                outcomes.extend([STORED] * len(part))
            else:
                outcomes.extend(self._one_by_one(part))
        return outcomes

    def _stored_together(self, works: Sequence[Work]) -> bool:
        """Whether one statement has stored all of `works`, which is so unless something is special
        about one of them. If not, one by one tells what has become of each: a row that is stored
        already is found to be so."""
        puts = [work for work in works if isinstance(work, Put) and self._is_plain(work)]
        if len(puts) < len(works):
            return False
        values = [value for put in puts for value in row_of(put, None)]
        try:
            cursor = self._connection.execute(_upsert_of(len(puts)), values)
        except (sqlite3.Error, OverflowError) as error:
            if ends_transaction(self._connection, error):
                raise
            return False
        return cursor.rowcount == len(puts)

    def _is_plain(self, put: Put) -> bool:
        return (
            put.key.namespace != SYSTEM_NAMESPACE
            and put.record.version > self.floors.of(put.key.namespace, put.raw_name)
            and self._refusal(put) is None
        )

    def _one_by_one(self, works: Sequence[Work]) -> list[object]:
        outcomes: list[object] = []
        for work in works:
            try:
                outcomes.append(self._row(work))
            except (sqlite3.Error, OverflowError, OSError) as error:  # OSError: of a blob's disk
                if ends_transaction(self._connection, error):
                    raise
                outcomes.append(Failed(Reason.ERROR, str(error)))
        return outcomes

    def _row(self, work: Work) -> object:
        if isinstance(work, Put):
            return self._put(work, None)
        with _Savepoint(self._connection):
            if isinstance(work, LargeRow):
                return self._put_large(work)
            if isinstance(work, CollectWork):
                return work.run(self._connection, self.floors, self._now_us)
            return work(self._connection)

    def _put_large(self, row: LargeRow) -> WriteReply:
        taken = self._connection.execute("delete from blob_pending where blob = ?", (row.blob,))
        if not taken.rowcount:
            return Failed(Reason.ERROR, "the value was collected before its row was written")
        outcome = self._put(row.put, row.blob)
        if not self._holds_blob(row):
            self._connection.execute("insert into blob_retired values (?, null)", (row.blob,))
        return outcome

    def _holds_blob(self, row: LargeRow) -> bool:
        held = self._connection.execute(
            "select blob from record where namespace = ? and name = ?",
            (row.put.key.namespace, row.put.raw_name),
        ).fetchone()
        return held is not None and held[0] == row.blob

    def _put(self, put: Put | LargePut, blob: str | None) -> WriteReply:
        refusal = self._refusal(put)
        if refusal is not None:
            return Refused(refusal, 0)
        floor = self.floors.of(put.key.namespace, put.raw_name)
        if not self._upsert(put, blob, floor):
            outcome = self._why_not(put, blob)
            if outcome is not None:
                return outcome
        self._note_deleted(put)
        return STORED

    def _refusal(self, put: Put | LargePut) -> Refusal | None:
        """Why this home will never take the write, by its own clock."""
        deleted = put.key.namespace in self._deleted
        return rules.refusal(put, self._now_us, deleted=deleted)

    def _upsert(self, put: Put | LargePut, blob: str | None, floor: Version) -> bool:
        row = row_of(put, blob)
        cursor = self._connection.execute(_UPSERT, (*row, floor, put.over_corrupt))
        return cursor.rowcount > 0

    def _why_not(self, put: Put | LargePut, blob: str | None) -> WriteReply | None:
        """Why the statement changed nothing; None when it did after all, in the place of a row
        without its blob."""
        key = (put.key.namespace, put.raw_name)
        row = self._connection.execute(
            "select version, digest, blob from record where namespace = ? and name = ?", key
        ).fetchone()
        if row is None:
            return Refused(Refusal.FLOOR, 0)
        version, digest, held = row
        whole = held is None or self._blob_exists(held)
        outcome = rules.verdict(put, Held(version, digest, whole), NO_VERSION)
        if not isinstance(outcome, Write):
            return outcome
        self._connection.execute("delete from record where namespace = ? and name = ?", key)
        return None if self._upsert(put, blob, NO_VERSION) else Refused(Refusal.FLOOR, 0)

    def _note_deleted(self, put: Put | LargePut) -> None:
        namespace = rules.deleted_namespace(put)
        if namespace is not None:
            self._connection.execute(
                "insert or ignore into deleted_namespace values (?)", (namespace,)
            )
            self._newly_deleted.append(namespace)


@cache
def _upsert_of(rows: int) -> str:
    return f"{_INSERT} values {marks(_COLUMNS, rows)} {_IF_NEWER}"


class _Savepoint:
    """Undoes the statements inside it when one of them fails, and only those."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("savepoint work")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and self._connection.in_transaction:
            self._connection.execute("rollback to work")
        if self._connection.in_transaction:
            self._connection.execute("release work")
