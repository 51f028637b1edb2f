"""When the name of a blob is entered, and when a blob goes; each is part of one transaction."""

from typing import Final

from kvsp.postgres.connecting import Connection
from kvsp.rules import UNUSED_BLOB_LIFE_US, Held, Write, verdict
from tandem.core.reply import WriteReply
from tandem.core.version import NO_VERSION
from tandem.wire.storage_codec import LargePut

_COLLECTED_AT_ONCE_MAX: Final = 20
_COLLECTING_LOCK: Final = 0x544B5654
_MET: Final = """
select version, digest, blob is null or exists (
    select 1 from blob_piece where blob_piece.blob = record.blob and number = 0)
from record where namespace = $1 and name = $2
"""
_TAKE: Final = """
with taken as (delete from blob_pending where entered_us <= $1 returning blob)
insert into blob_retired select blob, 0 from taken
"""


async def enter(
    connection: Connection, now_us: int, *, blob: str, put: LargePut
) -> WriteReply | None:
    """Enters the name; instead, the put's outcome where it is known without its bytes."""
    row = await connection.fetchrow(_MET, put.key.namespace, put.raw_name)
    if row is not None:
        outcome = verdict(put, Held(*row), NO_VERSION)
        if not isinstance(outcome, Write):
            return outcome
    await connection.execute("insert into blob_pending values ($1, $2)", blob, now_us)
    return None


async def collect_some(connection: Connection, *, now_us: int) -> bool:
    """Removes blobs that nobody uses, unless another KVSP is doing so; whether more may be left."""
    async with connection.transaction():
        if await connection.fetchval("select pg_try_advisory_xact_lock($1)", _COLLECTING_LOCK):
            return await _collect_some(connection, now_us)
        return False


async def _collect_some(connection: Connection, now_us: int) -> bool:
    old_us = now_us - UNUSED_BLOB_LIFE_US
    await connection.execute(_TAKE, old_us)
    await connection.execute(
        "update blob_retired set retired_us = $1 where retired_us is null", now_us
    )
    rows = await connection.fetch(
        "select blob from blob_retired where retired_us <= $1 limit $2",
        old_us, _COLLECTED_AT_ONCE_MAX,
    )  # fmt: skip
    due = [row[0] for row in rows]
    await connection.execute("delete from blob_piece where blob = any($1::text[])", due)
    await connection.execute("delete from blob_retired where blob = any($1::text[])", due)
    return len(due) == _COLLECTED_AT_ONCE_MAX
