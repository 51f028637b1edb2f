"""One write transaction: everything that waited, each row with its own answer, one commit.

The row of `meta` is locked first. So the transactions of all KVSPs come one after the other, each
sees all that was committed before it, and what a row meets can be read first, judged by the rules
of every engine, and written in one statement. Only COMMIT is ambiguous when it fails.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from kvsp import rules
from kvsp.postgres.connecting import Connection
from kvsp.postgres.deciding import Decided, Standing, decide
from kvsp.postgres.errors import (
    FAILURES,
    CommitFailed,
    LostCommits,
    failed,
    is_away,
    may_run_again,
)
from kvsp.rules import Held, LargeRow
from tandem.core.limits import MIB
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import Clock
from tandem.wire.storage_codec import Put

_BEGIN: Final = "begin; update meta set commits = commits + 1"
_COMMITS: Final = "select commits from meta"
_MET: Final = """
select record.version, record.digest,
    record.blob is null or exists (
        select 1 from blob_piece where blob_piece.blob = record.blob and number = 0) as whole,
    (select floor.version from floor
        where floor.namespace = key.namespace and floor.start <= key.name
        order by floor.start desc limit 1) as floor,
    exists (select 1 from deleted_namespace where id = key.namespace) as deleted
from unnest($1::text[], $2::bytea[]) with ordinality as key (namespace, name, place)
left join record on record.namespace = key.namespace and record.name = key.name
order by place
"""
_UPSERT: Final = f"""
insert into record ({rules.COLUMNS})
select * from unnest($1::text[], $2::bytea[], $3::bytea[], $4::integer[], $5::bigint[],
    $6::bigint[], $7::bytea[], $8::text[], $9::bytea[], $10::bytea[])
on conflict (namespace, name) do update set {rules.REPLACE}
"""
_COLUMNS: Final = 10
_ENVELOPE: Final = 9
_STATEMENT_BYTES: Final = 8 * MIB
_KEYS_AT_ONCE: Final = 1_000
"""What is answered for them fits into a socket's buffer. A server that has to wait until it can
send is held for as long as the KVSP stands still, and holds up all others."""

Step = Callable[[Connection, int], Awaitable[object]]
"""Any other statements that belong into a transaction, at this time of the home."""

Work = Put | LargeRow | Step


@dataclass(frozen=True, slots=True)
class Done:
    """A transaction that is committed."""

    outcomes: list[object]
    commits: int
    """Its number."""
    deleted: Sequence[str]
    """Namespaces that it has deleted for ever."""


async def run(
    connection: Connection, works: Sequence[Work], clock: Clock, acknowledged: int
) -> Done:
    """The outcome of each work: a WriteReply of a put, what a step returned, or Failed.

    Raises CommitFailed, LostCommits when the database shows less than transaction `acknowledged`,
    and one of FAILURES when nothing was written: the connection is to be given up then, which ends
    the transaction too (`Places` does so).
    """
    await connection.execute(_BEGIN)
    commits = await connection.fetchval(_COMMITS) or 0
    if commits <= acknowledged:
        raise LostCommits(max(commits - 1, 0), acknowledged)
    now_us = clock.now_us()
    steps = {at: await _step(connection, w, now_us) for at, w in enumerate(works) if callable(w)}
    decided = await _write(connection, [w for w in works if not callable(w)], now_us)
    answers = iter(decided.outcomes)
    outcomes = [steps[at] if at in steps else next(answers) for at in range(len(works))]
    await _commit(connection)
    return Done(outcomes, commits, decided.deleted)


async def _write(connection: Connection, writes: Sequence[Put | LargeRow], now_us: int) -> Decided:
    if not writes:
        return Decided([], [], [], [])
    taken = await _taken(connection, [w.blob for w in writes if isinstance(w, LargeRow)])
    decided = decide(writes, await _met(connection, writes), taken, now_us)
    for values in _statements(decided.rows):
        await connection.execute(_UPSERT, *zip(*values, strict=True))
    if decided.unused:
        await connection.execute(
            "insert into blob_retired select unnest($1::text[]), null", decided.unused
        )
    await note_deleted(connection, decided.deleted)
    return decided


async def note_deleted(connection: Connection, namespaces: Sequence[str]) -> None:
    """Refuses these namespaces for ever."""
    if namespaces:
        await connection.execute(
            "insert into deleted_namespace select unnest($1::text[]) on conflict do nothing",
            namespaces,
        )


async def _taken(connection: Connection, blobs: Sequence[str]) -> set[str]:
    if not blobs:
        return set()
    rows = await connection.fetch(
        "delete from blob_pending where blob = any($1::text[]) returning blob", blobs
    )
    return {row["blob"] for row in rows}


async def _met(
    connection: Connection, writes: Sequence[Put | LargeRow]
) -> dict[tuple[str, bytes], Standing]:
    """What each key's writes meet, in the order of the keys."""
    puts = (write.put if isinstance(write, LargeRow) else write for write in writes)
    keys = sorted({(put.key.namespace, put.raw_name) for put in puts})
    met: dict[tuple[str, bytes], Standing] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        rows = await connection.fetch(_MET, *zip(*some, strict=True))
        met.update((key, _standing(row)) for key, row in zip(some, rows, strict=True))
    return met


def _standing(row: asyncpg.Record) -> Standing:
    version, digest, whole, floor, deleted = row
    held = None if version is None else Held(version, digest, whole)
    return Standing(held, NO_VERSION if floor is None else Version(floor), deleted)


def _statements(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    """The rows in parts whose envelopes fit into one message."""
    part: list[tuple[object, ...]] = []
    size = 0
    for row in rows:
        envelope = row[_ENVELOPE]
        length = len(envelope) if isinstance(envelope, bytes) else 0
        if part and size + length > _STATEMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part


async def _step(connection: Connection, step: Step, now_us: int) -> object:
    """What fails alone is undone alone."""
    await connection.execute("savepoint step")
    try:
        return await step(connection, now_us)
    except asyncpg.PostgresError as error:
        if is_away(error) or may_run_again(error):
            raise
        await connection.execute("rollback to step")
        return failed(error)


async def _commit(connection: Connection) -> None:
    """A warning tells that the standby was not waited for, a tag that something failed unseen."""
    warnings: list[str] = []

    def listen(_: object, message: object) -> None:
        warnings.append(str(message))

    connection.add_log_listener(listen)
    try:
        tag = await connection.execute("commit")
    except FAILURES as error:
        raise CommitFailed(failed(error).detail) from error
    finally:
        connection.remove_log_listener(listen)
    if tag != "COMMIT" or warnings:
        raise CommitFailed("; ".join([tag, *warnings]))
