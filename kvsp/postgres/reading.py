"""What is read of a cluster: points in batches, ordered scans, its life."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from kvsp.answers import Absent, InBlob, ReadAnswer, ScanPart
from kvsp.postgres.connecting import Connection
from kvsp.postgres.errors import LostCommits
from kvsp.rules import ReadRow, checked_row, end_of
from tandem.core.cluster_life import Floors, floors_by_namespace
from tandem.core.version import NO_VERSION, Version
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Get

_POINTS: Final = """
select (select commits from meta) as commits, blob,
    envelope, digest, record.version, size, kind, expires_at_s, metadata,
    case when record.name is null then (
        select floor.version from floor
        where floor.namespace = key.namespace and floor.start <= key.name
        order by floor.start desc limit 1) end as floor
from unnest($1::text[], $2::bytea[]) with ordinality as key (namespace, name, place)
left join record on record.namespace = key.namespace and record.name = key.name
order by place
"""
_SCAN: Final = """
select name, version, digest, size, kind, expires_at_s, metadata, blob,
    blob is null or exists (
        select 1 from blob_piece where blob_piece.blob = record.blob and number = 0) as whole
from record where namespace = $1 and name {above} $2 and name < $3 order by name limit $4
"""
_FROM: Final = _SCAN.format(above=">=")
_AFTER: Final = _SCAN.format(above=">")
_LIFE: Final = """
select incarnation, commits, 'meta'::regclass::oid::bigint as place,
    (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint as started_us
from meta
"""
_FLOORS: Final = "select namespace, start, version from floor order by namespace, start"


async def read_points(
    connection: Connection, gets: Sequence[Get], acknowledged: int
) -> list[ReadAnswer]:
    """Reads every key of the batch, and the floors of those that are absent, from one snapshot.

    Raises LostCommits when that shows less than transaction `acknowledged`.
    """
    if not gets:
        return []
    namespaces = [get.key.namespace for get in gets]
    names = [get.raw_name for get in gets]
    rows = await connection.fetch(_POINTS, namespaces, names)
    commits = rows[0]["commits"] or 0
    if commits < acknowledged:
        raise LostCommits(commits, acknowledged)
    return [_answer(row) for row in rows]


def _answer(row: asyncpg.Record) -> ReadAnswer:
    if row["version"] is None:
        floor = row["floor"]
        return Absent(NO_VERSION if floor is None else Version(floor))
    blob, found = row["blob"], ReadRow._make(row[2:-1])
    if blob is not None:
        return InBlob(blob, found.digest, Version(found.version), found.size)
    return checked_row(found)


async def scan_names(connection: Connection, scan: Scan) -> ScanPart:
    """At most `scan.limit` names in byte order; a row without its blob is left out."""
    end = end_of(scan.prefix)
    sql, start = (_AFTER, scan.after) if scan.after >= scan.prefix else (_FROM, scan.prefix)
    rows = await connection.fetch(sql, scan.namespace, start, end, scan.limit)
    whole = [tuple(row)[:-1] for row in rows if row["whole"]]
    return ScanPart(whole, len(rows) < scan.limit, rows[-1]["name"] if rows else scan.after)


@dataclass(frozen=True, slots=True)
class Life:
    """Which life the database is in, and which opening of it."""

    incarnation: str
    commits: int
    opening: str
    """Another one whenever the server was started or the tables were made anew: a database that an
    old copy of itself took the place of is told by it, whichever KVSP looks."""
    floors: Floors

    @property
    def named(self) -> str:
        """What a request must name."""
        return f"{self.incarnation}/{self.opening}"


async def read_life(connection: Connection, *, floors: bool = True) -> Life:
    """As of one moment, with the floors if they are wanted."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await life_in(connection, floors=floors)


async def life_in(connection: Connection, *, floors: bool = True) -> Life:
    """Like `read_life`, in a transaction that is under way."""
    row = await connection.fetchrow(_LIFE)
    assert row is not None, "the table meta has lost its row"
    rows = await connection.fetch(_FLOORS) if floors else []
    held = floors_by_namespace([(ns, start, Version.parse(raw)) for ns, start, raw in rows])
    return Life(row["incarnation"], row["commits"], f"{row['place']:x}.{row['started_us']:x}", held)
