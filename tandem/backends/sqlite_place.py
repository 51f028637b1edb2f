"""A connection to a SQLite file, for the thread that opens it, which knows the place of the file.

A file that was removed or replaced stays usable for whoever has it open: what is written into it is
lost with the last of them. So whoever has used a connection checks its place before it answers.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

_CACHED_STATEMENTS: Final = 300
"""The point read has one text for each number of names."""
_T = TypeVar("_T")


class FileReplaced(sqlite3.OperationalError):
    """The file that is open is not the one at its path any more."""


class PlacedConnection(sqlite3.Connection):
    """A connection that knows its place; made by `connected`."""

    path: Path
    number: int | None
    """Which file it is, as `number_of` says."""
    log: Path | None
    """Its write-ahead log, if that has to stay in its place, too."""
    log_number: int | None

    def in_place(self, work: "Callable[[PlacedConnection], _T]") -> _T:
        """What `work` returns or raises; FileReplaced when the file is not in its place then."""
        try:
            return work(self)
        finally:
            self.check_place()

    def check_place(self) -> None:
        """Raises FileReplaced."""
        number = number_of(self.path)
        if number is None or number != self.number:
            raise FileReplaced("the file was removed or replaced")
        if self.log is not None and number_of(self.log) != self.log_number:
            raise FileReplaced("the file's write-ahead log was removed or replaced")


def connected(
    path: Path,
    prepare: Callable[[PlacedConnection], None],
    *,
    create: bool = True,
    busy_timeout_s: float = 5.0,
    watch_log: bool = False,
) -> PlacedConnection:
    """Prepared; what `prepare` raises is raised, and nothing is left open.

    Args:
        path: the file.
        prepare: sets what the connection needs.
        create: whether a file that is missing is made.
        busy_timeout_s: how long others who hold the file are waited for.
        watch_log: whether its log has to stay in its place, too: for one whose connections are all
            closed when one of them has found it gone. Each of them alone would open another log
            beside those that the others write.
    """
    before = number_of(path)
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={'rwc' if create else 'rw'}", uri=True,
        isolation_level=None, timeout=busy_timeout_s, cached_statements=_CACHED_STATEMENTS,
        factory=PlacedConnection,
    )  # fmt: skip
    try:
        connection.path = path
        connection.number = number_of(path) if before is None else before
        connection.log = None
        connection.check_place()
        prepare(connection)
        if watch_log:
            connection.log = path.with_name(f"{path.name}-wal")
            connection.log_number = number_of(connection.log)
    except BaseException:
        connection.close()
        raise
    return connection


def number_of(path: Path) -> int | None:
    """By what the file system, and SQLite, tell a file from another one that takes its place; None
    where none can be seen."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
