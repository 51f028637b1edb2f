"""A connection to the file, for the thread that opens it.

A file that was removed or replaced stays usable for whoever has it open: what is written into it is
lost with the last of them. So whoever has used a connection checks its place before it answers.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CACHED_STATEMENTS: Final = 300
"""The point read has one text for each number of names."""


class FileReplaced(sqlite3.OperationalError):
    """The file that is open is not the one at its path any more."""


class FileConnection(sqlite3.Connection):
    """A connection that knows its place; made by `connected`."""

    path: Path
    number: int | None
    """Which file it is, as `number_of` says."""

    def check_place(self) -> None:
        """Raises FileReplaced."""
        if number_of(self.path) != self.number:
            raise FileReplaced("the file was removed or replaced; it is opened anew")


def connected(path: Path, prepare: Callable[[FileConnection], None]) -> FileConnection:
    """Prepared; what `prepare` raises is raised, and nothing is left open."""
    before = number_of(path)
    connection = sqlite3.connect(
        path, isolation_level=None, cached_statements=_CACHED_STATEMENTS, factory=FileConnection
    )
    try:
        connection.path = path
        connection.number = number_of(path) if before is None else before
        connection.check_place()
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def number_of(path: Path) -> int | None:
    """By what the file system, and SQLite, tell a file from another one that takes its place; None
    where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
