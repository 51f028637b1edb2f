"""Bodies of full size as files beside the SQLite file: it would write each of them twice, and hold
all of it in its cache meanwhile.

A file has its name for good and is durable before a row names it. A row that lets go of its file
notes it (by a trigger) in `retired_file`, and it is removed when that transaction is over; a file
that no row came to name, because its writer died, is removed by a later start.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final

from tandem.backends.file.ahead import AheadFiles
from tandem.backends.file.ahead_file import AheadFile
from tandem.backends.file.turn import Turn
from tandem.core.limits import MIB
from tandem.runtime.clock import Clock
from tandem.runtime.stable_files import sync_directory

FILED_ABOVE_BYTES: Final = MIB
_RETIRED_AT_ONCE_MAX: Final = 16
_UNNAMED_LIFE_US: Final = 3_600_000_000
"""A writer names its file within LEG_DEADLINE_S, or never."""


class BodyFiles:
    """The files of one home, in this process; their directory is made with the first."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._directory = path.with_name(f"{path.name}-bodies")
        self._clock = clock
        self._numbers = count()
        self._doubtful: set[str] = set()
        self.ahead = AheadFiles(self._new_path, self._make_directory)
        """Those that are written before their records exist."""
        self.untidy = False
        """Whether there is something for `tidy`."""

    def write(self, body: bytes, ahead: AheadFile | None = None) -> str:
        """The name of a file with this body, on stable storage: the one that was begun `ahead`, if
        it has come so far. Raises OSError."""
        file = ahead.finished(body) if ahead is not None else None
        if file is None:
            file = self._written(body)
        try:
            sync_directory(self._directory)
        except OSError:
            file.unlink(missing_ok=True)
            raise
        return file.name

    def _written(self, body: bytes) -> Path:
        self._make_directory()
        file = self._new_path()
        try:
            with file.open("xb", buffering=0) as out:
                _write_all(out.fileno(), body)
                os.fsync(out.fileno())
        except OSError:
            file.unlink(missing_ok=True)  # a full disk needs the space at once
            raise
        return file

    def _new_path(self) -> Path:
        name = f"{self._clock.now_us():x}-{os.getpid():x}-{next(self._numbers):x}"
        return self._directory / name

    def read(self, name: str) -> bytes:
        """The body; raises OSError."""
        return (self._directory / name).read_bytes()

    def doubt(self, names: Iterable[str]) -> None:
        """Takes files whose rows may have been written or not: `tidy` will see."""
        self._doubtful.update(names)
        self.untidy = True

    def look(self, connection: sqlite3.Connection) -> None:
        """Sees in a transaction whether it leaves files without rows; they stay until `tidy`, since
        others wait meanwhile."""
        found = connection.execute("select 1 from retired_file limit 1").fetchone()
        self.untidy = self.untidy or found is not None

    def tidy(self, connection: sqlite3.Connection, turn: Turn) -> None:
        """Removes files that no row names any more, some at a time. Raises sqlite3.Error and
        OSError."""
        retired = connection.execute(
            "select file from retired_file limit ?", (_RETIRED_AT_ONCE_MAX,)
        ).fetchall()
        for (name,) in retired:
            (self._directory / name).unlink(missing_ok=True)
        with turn:
            connection.execute("begin immediate")
            try:
                connection.executemany("delete from retired_file where file = ?", retired)
                self._remove_doubtful(connection)
                self.untidy = False
                self.look(connection)
            finally:
                connection.execute("commit")

    def _remove_doubtful(self, connection: sqlite3.Connection) -> None:
        for name in list(self._doubtful):
            self._remove_unnamed(connection, name)
            self._doubtful.discard(name)

    def remove_unnamed(self, connection: sqlite3.Connection) -> None:
        """Removes what writers that died have left. Raises sqlite3.Error and OSError."""
        for name in self._old():
            self._remove_unnamed(connection, name)

    def _remove_unnamed(self, connection: sqlite3.Connection, name: str) -> None:
        named = connection.execute("select 1 from objects where file = ?", (name,)).fetchone()
        if named is None:
            (self._directory / name).unlink(missing_ok=True)

    def _old(self) -> Iterator[str]:
        old_s = (self._clock.now_us() - _UNNAMED_LIFE_US) / 1e6
        if self._directory.is_dir():
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another process has just removed it
                        if entry.stat().st_mtime < old_s:
                            yield entry.name

    def _make_directory(self) -> None:
        if not self._directory.is_dir():
            self._directory.mkdir(exist_ok=True)
            sync_directory(self._directory.parent)


def _write_all(descriptor: int, body: bytes) -> None:
    left = memoryview(body)
    while left:
        left = left[os.write(descriptor, left) :]
