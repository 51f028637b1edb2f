"""What a cluster's database looks like, who it says it belongs to, and when it is refused."""

from typing import Final

import asyncpg

from kvsp.identity import Identity, Meta
from kvsp.postgres.connecting import Connection, session_settings
from tandem.errors import ConfigurationError

SCHEMA_VERSION: Final = 1
SERVER_VERSION_MIN: Final = 130_000
"""PostgreSQL 13."""
POOLER: Final = (
    "a pooler seems to stand before it, and KVSP keeps a few connections of its own: give it the"
    " address of PostgreSQL itself"
)
_IS_MADE: Final = """
select exists (select 1 from pg_tables where schemaname = 'tandem' and tablename = 'meta')
"""
_MAKING_LOCK: Final = 0x544B5653

# As the file of the SQLite engine, with large values beside the rows: a blob is whole once its last
# piece, which is empty, is there. Text compares bytewise, as all else does.
_TABLES: Final = """
create table meta (
    one integer primary key check (one = 1),
    schema_version integer not null,
    cluster text not null,
    ring text not null,
    clusters integer not null,
    incarnation text not null,
    commits bigint not null,
    ring_complete boolean not null
);
create table record (
    namespace text collate "C" not null,
    name bytea not null,
    version bytea not null,
    kind integer not null,
    expires_at_s bigint not null,
    size bigint not null,
    digest bytea not null,
    blob text collate "C",
    metadata bytea not null,
    envelope bytea,
    primary key (namespace, name)
);
create table floor (
    namespace text collate "C" not null,
    start bytea not null,
    version bytea not null,
    primary key (namespace, start)
);
create table deleted_namespace (id text collate "C" primary key);
create table blob_pending (blob text collate "C" primary key, entered_us bigint not null);
create table blob_retired (blob text collate "C" primary key, retired_us bigint);
create table blob_piece (
    blob text collate "C" not null,
    number integer not null,
    bytes bytea not null,
    primary key (blob, number)
);
alter table blob_piece alter column bytes set storage external;
create function retire_blob() returns trigger language plpgsql as $$
begin
    insert into blob_retired values (old.blob, null) on conflict do nothing;
    return null;
end $$;
create trigger retire_replaced after update of blob on record for each row
when (old.blob is not null and old.blob is distinct from new.blob)
execute function retire_blob();
create trigger retire_removed after delete on record for each row
when (old.blob is not null) execute function retire_blob();
"""


async def server_mistakes(connection: Connection) -> list[str]:
    """Why what is acknowledged could be lost on this server, or cannot be kept there."""
    wanted = session_settings()
    rows = await connection.fetch(
        "select name, setting from pg_settings where name = any($1::text[])", list(wanted)
    )
    others = sorted(name for name, setting in rows if setting != wanted[name])
    if others:
        return [f"does not keep {', '.join(others)} as KVSP sets it: {POOLER}"]
    row = await connection.fetchrow(
        "select current_setting('server_version_num')::integer as version,"
        " current_setting('server_encoding') as encoding,"
        " current_setting('fsync') as fsync,"
        " current_setting('synchronous_commit') as synchronous"
    )
    assert row is not None
    mistakes = []
    if row["version"] < SERVER_VERSION_MIN:
        mistakes.append("is older than PostgreSQL 13")
    if row["encoding"] != "UTF8":
        mistakes.append(f"has the encoding {row['encoding']}: make it with encoding UTF8")
    if row["fsync"] == "off":
        mistakes.append(
            "has fsync = off: a crash of its machine loses acknowledged writes, and may damage"
            " the rest; set fsync = on"
        )
    if row["synchronous"] in {"off", "local"}:
        mistakes.append(
            f"has synchronous_commit = {row['synchronous']} for this user: a write would be"
            " acknowledged before it is on stable storage, or on the synchronous standby; set it"
            " to on or remote_apply"
        )
    return mistakes


async def read_meta(connection: Connection) -> Meta | None:
    """What the database says of itself; None when it is empty.

    ConfigurationError when it is no cluster of ours.
    """
    if not await connection.fetchval(_IS_MADE):
        return None
    try:
        row = await connection.fetchrow("select * from meta")
        if row is None:
            raise ConfigurationError(["has lost the row of its table meta: bring it back"])
        if row["schema_version"] != SCHEMA_VERSION:
            version = row["schema_version"]
            raise ConfigurationError([f"has schema {version}; this program knows {SCHEMA_VERSION}"])
        identity = Identity(row["cluster"], row["ring"], row["clusters"])
        return Meta(identity, row["incarnation"], row["commits"], row["ring_complete"])
    except (KeyError, asyncpg.InsufficientPrivilegeError) as error:
        raise ConfigurationError([f"is not a cluster of Tandem: {error}"]) from error


async def create(connection: Connection, identity: Identity, incarnation: str) -> None:
    """Makes the tables, unless another KVSP is quicker."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _MAKING_LOCK)
        if await connection.fetchval(_IS_MADE):
            return
        await connection.execute("create schema if not exists tandem")
        await connection.execute(_TABLES)
        await connection.execute(
            "insert into meta values (1, $1, $2, $3, $4, $5, 0, false)",
            SCHEMA_VERSION, identity.cluster, identity.ring, identity.clusters, incarnation,
        )  # fmt: skip


async def mark_complete(connection: Connection) -> None:
    """From now on a missing one of the ring is a loss."""
    await connection.execute("update meta set ring_complete = true where not ring_complete")
