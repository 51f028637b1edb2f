"""The SQLite file of the file home: its tables, and the settings of its connections.

The table of objects has row ids, because rows in the order of their names would cost a page write
for each random name. A row whose body lies in a file (`body_files`) has none of its own, but the
file's name and its length.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tandem.core.limits import KIB, MIB

APPLICATION_ID: Final = 0x544B564F
"""Marks the file as ours ("TKVO") in SQLite's header."""
FORMAT: Final = 2

BUSY_TIMEOUT_MS: Final = 5_000
"""How long one process waits while another one commits."""
_CHECKPOINT_PAGES: Final = 4096
_WAL_BYTES_KEPT: Final = 64 * MIB
_CACHE_KIB: Final = 32 * KIB

_SCHEMA: Final = """
create table objects (name blob not null unique, version blob not null, etag blob not null,
    body blob not null, file text, size integer) strict;
create index objects_by_file on objects (file) where file is not null;
create table retired_file (file text primary key) without rowid, strict;
create trigger retire_replaced after update of file on objects
when old.file is not null and old.file is not new.file
begin insert or ignore into retired_file values (old.file); end;
create trigger retire_removed after delete on objects when old.file is not null
begin insert or ignore into retired_file values (old.file); end;
"""


class ForeignFile(sqlite3.DatabaseError):
    """A SQLite file that some other program, or another format of this one, has written."""


def check_place(path: Path) -> None:
    """Raises OSError where SQLite could not open the file: it would not say why."""
    if path.is_dir():
        raise IsADirectoryError("it is a directory")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError("it may not be read and written")


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether there is nothing in the file yet."""
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (form,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_schema").fetchone()
    return (application_id, form, tables) == (0, 0, 0)


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Settings of a connection that only reads."""
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
    connection.execute("pragma query_only = on")


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Settings of a connection that writes; makes the table in a new file.

    Raises ForeignFile, or another sqlite3.Error where the file cannot be used.
    """
    connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute(f"pragma cache_size = -{_CACHE_KIB}")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"pragma journal_size_limit = {_WAL_BYTES_KEPT}")
    connection.execute("begin immediate")
    try:
        _claim(connection)
    finally:
        connection.execute("commit")


def _claim(connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (form,) = connection.execute("pragma user_version").fetchone()
    if is_new(connection):
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {FORMAT}")
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
    elif application_id != APPLICATION_ID:
        raise ForeignFile("it is another program's file")
    elif form != FORMAT:
        raise ForeignFile(f"it has format {form}; this program knows format {FORMAT}")


def _statements(script: str) -> Iterator[str]:
    """One by one, since `executescript` would commit first."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
