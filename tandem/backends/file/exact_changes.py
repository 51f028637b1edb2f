"""What goes for good from the file home: exactly one object, or objects of a deleted namespace."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.backends.file.body_files import BodyFiles
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Record, Stamp
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import Failed, Reason
from tandem.core.timeliness import untimely
from tandem.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Change:
    """Puts `record` in the place of exactly the object `seen`; either may be None, for none."""

    name: bytes
    seen: Stamp | None
    record: Record | None
    read_at_us: int

    def run(self, connection: sqlite3.Connection, clock: Clock) -> Removal | Failed:
        """Part of a transaction."""
        now_us = clock.now_us()
        if self.record is not None:
            version = self.record.version
            refusal = untimely(version, self.read_at_us, now_us, CLOCK_SKEW_MAX_US)
            if refusal is not None:
                return Failed(Reason.ERROR, refusal.value, now_us)
        held = connection.execute(
            "select version, etag from objects where name = ?", (self.name,)
        ).fetchone()
        if held is None and self.seen is not None:
            return Removal.ABSENT
        if held != self.seen:
            return Removal.DIFFERENT
        self._write(connection)
        return Removal.DONE

    def _write(self, connection: sqlite3.Connection) -> None:
        connection.execute("delete from objects where name = ?", (self.name,))
        if self.record is not None:
            connection.execute(
                "insert into objects (name, version, etag, body) values (?, ?, ?, ?)",
                (self.name, self.record.version, self.record.digest, self.record.envelope),
            )


@dataclass(frozen=True, slots=True)
class Purge:
    """Removes up to `limit` objects of a namespace."""

    namespace: str
    limit: int

    def run(self, connection: sqlite3.Connection, _: Clock) -> NamespacePurge:
        """Part of a transaction."""
        removed = connection.execute(
            "delete from objects where name in"
            " (select name from objects where name >= ? and name < ? order by name limit ?)",
            (f"{self.namespace}/".encode(), f"{self.namespace}0".encode(), self.limit),
        ).rowcount
        return NamespacePurge(removed, more=removed == self.limit)


Outcome = Removal | NamespacePurge | Failed


def change(
    connection: sqlite3.Connection,
    asked: Sequence[Change | Purge],
    files: BodyFiles,
    clock: Clock,
) -> list[Outcome]:
    """Does all of them in one durable transaction, in order."""
    connection.execute("begin immediate")
    try:
        outcomes: list[Outcome] = [one.run(connection, clock) for one in asked]
        files.look(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.execute("commit")
    return outcomes
