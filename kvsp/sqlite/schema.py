"""What a cluster's file looks like, who it says it belongs to, and when it is refused."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kvsp.identity import Identity, Meta
from tandem.errors import ConfigurationError

APPLICATION_ID: Final = 0x544B5653
SCHEMA_VERSION: Final = 1

_PRAGMAS: Final = """
pragma journal_mode = wal;
pragma synchronous = full;
pragma cache_size = -16384;
pragma wal_autocheckpoint = 4000;
"""

# The columns that a listing needs come first: SQLite then finds them without the pages of a long
# envelope. A blob that no row names any more is retired by trigger, whatever statement let it go;
# the collector dates it (`retired_us`) when it first sees it.
_TABLES: Final = """
create table meta (
    one integer primary key check (one = 1),
    cluster text not null,
    ring text not null,
    clusters integer not null,
    incarnation text not null,
    commits integer not null,
    ring_complete integer not null
) strict;
create table record (
    namespace text not null,
    name blob not null,
    version blob not null,
    kind integer not null,
    expires_at_s integer not null,
    size integer not null,
    digest blob not null,
    blob text,
    metadata blob not null,
    envelope blob,
    primary key (namespace, name)
) without rowid, strict;
create table floor (
    namespace text not null,
    start blob not null,
    version blob not null,
    primary key (namespace, start)
) without rowid, strict;
create table deleted_namespace (id text primary key) without rowid, strict;
create table blob_pending (blob text primary key, entered_us integer not null)
    without rowid, strict;
create table blob_retired (blob text primary key, retired_us integer) without rowid, strict;
create trigger retire_replaced after update of blob on record
when old.blob is not null and old.blob is not new.blob
begin insert or ignore into blob_retired values (old.blob, null); end;
create trigger retire_removed after delete on record when old.blob is not null
begin insert or ignore into blob_retired values (old.blob, null); end;
"""

_BESIDE: Final = ("-journal", "-shm", "-wal")


def create(path: Path, identity: Identity, incarnation: str) -> None:
    """Makes a new file, which has its name once it is whole; the name is not stable yet."""
    unfinished = path.with_name(f"{path.name}.new")
    for left in (unfinished, *(unfinished.with_name(unfinished.name + s) for s in _BESIDE)):
        left.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished, isolation_level=None)
    try:
        prepare(connection)
        connection.execute("begin")
        for statement in _statements(_TABLES):
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")
        connection.execute(
            "insert into meta values (1, ?, ?, ?, ?, 0, 0)",
            (identity.cluster, identity.ring, identity.clusters, incarnation),
        )
        connection.execute("commit")
    finally:
        connection.close()
    unfinished.replace(path)


def prepare(connection: sqlite3.Connection) -> None:
    """Sets what SQLite does not remember in the file."""
    connection.executescript(_PRAGMAS)


def read_meta(connection: sqlite3.Connection) -> Meta:
    """What the file says of itself; ConfigurationError when it is no cluster of ours."""
    application = connection.execute("pragma application_id").fetchone()[0]
    version = connection.execute("pragma user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise ConfigurationError(["is not a cluster file of Tandem"])
    if version != SCHEMA_VERSION:
        raise ConfigurationError([f"has schema {version}; this program knows {SCHEMA_VERSION}"])
    cluster, ring, clusters, incarnation, commits, complete = connection.execute(
        "select cluster, ring, clusters, incarnation, commits, ring_complete from meta"
    ).fetchone()
    return Meta(Identity(cluster, ring, clusters), incarnation, commits, bool(complete))


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
