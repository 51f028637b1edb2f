"""What a cluster does when something goes for good; each is part of one write transaction.

Each names the incarnation that its evidence is about. A row that goes takes its blob along: a
trigger retires it, and readers that hold its name have an hour.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvsp.rules import HeldRow, forgotten_ranges, purge_verdict, raised_floors
from kvsp.sqlite.floors import Floors
from tandem.core.cluster_life import ClusterLife, upheld_floors
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.removal import FloorReply, NamespacePurge, PurgeRow, Removal, Renewed, Span
from tandem.core.version import Version

_PURGE: Final = """
delete from record where namespace = ? and name = ? and version = ? and digest = ?
"""
_REMOVE_BELOW: Final = """
delete from record where namespace = ? and name >= ? and name < ? and version <= ?
"""


@dataclass(frozen=True, slots=True)
class RaiseFloor:
    """Raises the floor of a range."""

    incarnation: str
    span: Span
    floor: Version

    def run(self, connection: sqlite3.Connection, floors: Floors, now_us: int) -> FloorReply:
        """Done when the transaction is committed."""
        if incarnation_in(connection) != self.incarnation:
            return FloorReply.OTHER_INCARNATION
        assert self.span.namespace not in RESERVED_NAMESPACES
        raised = raised_floors(floors.current(), self.span, self.floor)
        if raised is None:
            return FloorReply.TOO_MANY_RANGES
        connection.executemany(
            "insert into floor values (?, ?, ?)"
            " on conflict (namespace, start) do update set version = excluded.version",
            [(self.span.namespace, *one) for one in raised.new],
        )
        floors.stage({**floors.current(), self.span.namespace: raised.ranges})
        return FloorReply.RAISED


@dataclass(frozen=True, slots=True)
class PurgeRows:
    """Removes dead rows that are still what they were, at or below the floor."""

    incarnation: str
    namespace: str
    rows: Sequence[PurgeRow]

    def run(self, connection: sqlite3.Connection, floors: Floors, now_us: int) -> list[Removal]:
        """What became of each row, in order."""
        if incarnation_in(connection) != self.incarnation:
            return [Removal.OTHER_INCARNATION] * len(self.rows)
        return [self._purge(row, connection, floors, now_us) for row in self.rows]

    def _purge(
        self, row: PurgeRow, connection: sqlite3.Connection, floors: Floors, now_us: int
    ) -> Removal:
        where = (self.namespace, row.raw_name)
        held = connection.execute(
            "select version, digest, kind, expires_at_s from record"
            " where namespace = ? and name = ?",
            where,
        ).fetchone()
        row_held = None if held is None else HeldRow(*held)
        removal = purge_verdict(row, row_held, floors.of(*where), now_us)
        if removal is Removal.DONE:
            self._remove(connection, row)
        return removal

    def _remove(self, connection: sqlite3.Connection, row: PurgeRow) -> None:
        connection.execute(_PURGE, (self.namespace, row.raw_name, row.version, row.digest))


@dataclass(frozen=True, slots=True)
class Renew:
    """Begins a new life: another incarnation, and nothing of what its past had outlived.

    A cluster that was restored from an old copy still has what was deleted and collected since.
    Where its past had a higher floor than the copy, all that lies at or below that one is in the
    other home unless it was deleted: rows and floor go. Where the copy's floor is as high, the copy
    has forgotten no deletion, and there need not be another home: rows and floor stay.
    """

    incarnation: str
    next: str
    past: ClusterLife

    def run(self, connection: sqlite3.Connection, floors: Floors, now_us: int) -> Renewed | Removal:
        """Done when the transaction is committed."""
        if incarnation_in(connection) != self.incarnation:
            return Removal.OTHER_INCARNATION
        held = floors.current()
        removed = sum(
            connection.execute(_REMOVE_BELOW, forgotten).rowcount
            for forgotten in forgotten_ranges(held, self.past.floors)
        )
        upheld = upheld_floors(held, self.past)
        connection.execute("delete from floor")
        connection.executemany(
            "insert into floor values (?, ?, ?)",
            [(namespace, *one) for namespace, ranges in upheld.items() for one in ranges],
        )
        connection.execute("update meta set incarnation = ?", (self.next,))
        floors.stage(upheld)
        return Renewed(self.next, removed)


@dataclass(frozen=True, slots=True)
class PurgeNamespace:
    """Removes rows of a namespace that nothing may be written to any more."""

    namespace: str
    limit: int

    def run(self, connection: sqlite3.Connection, floors: Floors, now_us: int) -> NamespacePurge:
        """How many rows went; more may be left when as many as allowed did.

        Its floors stay: they cost little, and a cluster without them would look restored.
        """
        removed = connection.execute(
            "delete from record where namespace = ?1 and name in"
            " (select name from record where namespace = ?1 order by name limit ?2)",
            (self.namespace, self.limit),
        ).rowcount
        return NamespacePurge(removed, more=removed == self.limit)


CollectWork = RaiseFloor | PurgeRows | Renew | PurgeNamespace


def incarnation_in(connection: sqlite3.Connection) -> str:
    """The incarnation that the file has now."""
    incarnation: str = connection.execute("select incarnation from meta").fetchone()[0]
    return incarnation
