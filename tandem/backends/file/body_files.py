"""Bodies of full size as files beside the SQLite file: it would write each of them twice, and hold
all of it in its cache meanwhile.

A file has its name for good and is durable before a row names it. A row that lets go of its file
notes it (by a trigger) in `retired_file`, and the next transaction removes it; a file that no row
came to name, because its writer died, is removed by a later start.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

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

    def write(self, body: bytes) -> str:
        """The name of a new file with this body, on stable storage. Raises OSError."""
        name = f"{self._clock.now_us():x}-{os.getpid():x}-{next(self._numbers):x}"
        self._make_directory()
        file = self._directory / name
        try:
            with file.open("xb", buffering=0) as out:
                _write_all(out.fileno(), body)
                os.fsync(out.fileno())
            sync_directory(self._directory)
        except OSError:
            file.unlink(missing_ok=True)  # a full disk needs the space at once
            raise
        return name

    def read(self, name: str) -> bytes:
        """The body; raises OSError."""
        return (self._directory / name).read_bytes()

    def doubt(self, names: Iterable[str]) -> None:
        """Takes files whose rows may have been written or not: the next transaction will see."""
        self._doubtful.update(names)

    def remove_retired(self, connection: sqlite3.Connection) -> None:
        """Removes files that no row names any more; begins a transaction that writes."""
        for name in list(self._doubtful):
            self._remove_unnamed(connection, name)
            self._doubtful.discard(name)
        retired = connection.execute(
            "select file from retired_file limit ?", (_RETIRED_AT_ONCE_MAX,)
        ).fetchall()
        for (name,) in retired:
            (self._directory / name).unlink(missing_ok=True)
        if retired:
            connection.executemany("delete from retired_file where file = ?", retired)

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
