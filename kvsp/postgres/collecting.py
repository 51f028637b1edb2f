"""What a cluster does when something goes for good; each is a step of one write transaction.

Each names the life that its evidence is about, and is given the time of the home. A row that goes
takes its blob along: a trigger retires it.
"""

from collections.abc import Sequence

from kvsp.postgres.connecting import Connection
from kvsp.postgres.reading import life_in
from kvsp.rules import HeldRow, forgotten_ranges, purge_verdict, raised_floors
from tandem.core.cluster_life import next_incarnation, upheld_floors
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.removal import (
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    Span,
)
from tandem.core.version import NO_VERSION, Version

_PURGED = """
select version, digest, kind, expires_at_s,
    (select floor.version from floor
        where floor.namespace = $1 and floor.start <= key.name
        order by floor.start desc limit 1) as floor
from unnest($2::bytea[]) with ordinality as key (name, place)
left join record on record.namespace = $1 and record.name = key.name
order by place
"""


async def raise_floor(
    connection: Connection, _: int, *, named: str, span: Span, floor: Version
) -> FloorReply:
    """Raises the floor of a range."""
    assert span.namespace not in RESERVED_NAMESPACES
    life = await life_in(connection)
    if life.named != named:
        return FloorReply.OTHER_INCARNATION
    raised = raised_floors(life.floors, span, floor)
    if raised is None:
        return FloorReply.TOO_MANY_RANGES
    await connection.executemany(
        "insert into floor values ($1, $2, $3)"
        " on conflict (namespace, start) do update set version = excluded.version",
        [(span.namespace, *one) for one in raised.new],
    )
    return FloorReply.RAISED


async def purge_rows(
    connection: Connection, now_us: int, *, named: str, namespace: str, rows: Sequence[PurgeRow]
) -> list[Removal]:
    """Removes dead rows that are still what they were, at or below the floor; what became of each,
    in order."""
    life = await life_in(connection, floors=False)
    if life.named != named:
        return [Removal.OTHER_INCARNATION] * len(rows)
    met = await connection.fetch(_PURGED, namespace, [row.raw_name for row in rows])
    outcomes = []
    going: set[bytes] = set()
    for row, (version, digest, kind, expires_at_s, raw_floor) in zip(rows, met, strict=True):
        absent = version is None or row.raw_name in going
        held = None if absent else HeldRow(version, digest, kind, expires_at_s)
        floor = NO_VERSION if raw_floor is None else Version(raw_floor)
        outcomes.append(purge_verdict(row, held, floor, now_us))
        if outcomes[-1] is Removal.DONE:
            going.add(row.raw_name)
    await connection.execute(
        "delete from record where namespace = $1 and name = any($2::bytea[])",
        namespace, sorted(going),
    )  # fmt: skip
    return outcomes


async def renew(
    connection: Connection, now_us: int, *, renewal: Renewal, random: str
) -> Renewed | Removal:
    """Begins a new life: another incarnation, and nothing of what its past had outlived."""
    life = await life_in(connection)
    if life.named != renewal.incarnation:
        return Removal.OTHER_INCARNATION
    incarnation = next_incarnation(random, now_us, life.incarnation, renewal.past.incarnation)
    removed = 0
    for forgotten in forgotten_ranges(life.floors, renewal.past.floors):
        removed += _count(
            await connection.execute(
                "delete from record where namespace = $1 and name >= $2 and name < $3"
                " and version <= $4",
                *forgotten,
            )
        )
    await connection.execute("delete from floor")
    await connection.executemany(
        "insert into floor values ($1, $2, $3)",
        [
            (namespace, start, floor)
            for namespace, ranges in upheld_floors(life.floors, renewal.past).items()
            for start, floor in ranges
        ],
    )
    await connection.execute("update meta set incarnation = $1", incarnation)
    return Renewed(incarnation, removed)


async def purge_namespace(
    connection: Connection, _: int, *, namespace: str, limit: int
) -> NamespacePurge | Removal:
    """Removes rows of a namespace that this cluster refuses; more may be left when as many as
    allowed went."""
    if not await connection.fetchval(
        "select exists (select 1 from deleted_namespace where id = $1)", namespace
    ):
        return Removal.LIVE
    removed = _count(
        await connection.execute(
            "delete from record where namespace = $1 and name in"
            " (select name from record where namespace = $1 order by name limit $2)",
            namespace, limit,
        )
    )  # fmt: skip
    return NamespacePurge(removed, more=removed == limit)


def _count(tag: str) -> int:
    """How many rows a statement has changed, as its tag says."""
    return int(tag.rpartition(" ")[2])
