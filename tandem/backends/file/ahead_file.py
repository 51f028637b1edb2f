"""A body that is written while it arrives: most of it is on the disk before its record exists.

Nobody waits for it. What the disk has not taken, because it does not keep up, the leg writes; where
it fails, the file is dropped, and the leg writes one as if there had been none.
"""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

from tandem.core.limits import MIB

SUFFIX: Final = ".ahead"
"""Of the file's name until it is whole. So who removes old files that no row names cannot remove
one that is about to get a row: its name is another one by then."""
BEHIND_BYTES_MAX: Final = 8 * MIB
"""Of pieces that wait for a disk that does not keep up. Views of the envelope are not counted: it
is there anyway, and goes with them when the file is dropped."""
_WRITTEN_AT_ONCE_BYTES: Final = MIB
_SYNCED_AT_ONCE_BYTES: Final = 4 * MIB
"""The last sync, for which a client waits, has about as much to do."""


class AheadFile:
    """The file that will be at `path`; `finished` is for a writer's thread, the rest for the loop.

    Args:
        submit: runs something on a thread.
        prepare: makes the directory where there is none.
        whole: those whose envelope has come and that no leg has taken, by its MD5.
    """

    def __init__(
        self,
        path: Path,
        submit: Callable[[Callable[[], None]], object],
        prepare: Callable[[], None],
        whole: "dict[bytes, AheadFile]",
    ) -> None:
        self._path = path
        self._name = path.with_name(path.name + SUFFIX)
        self._submit = submit
        self._prepare = prepare
        self._whole = whole
        self._digest: bytes | None = None
        self._pieces: deque[bytes | memoryview] = deque()
        self._added = self._asked = self._written = self._synced = 0
        self._lock = Lock()
        self._out: int | None = None
        self._gap = False  # a piece was passed over, and so are all behind it
        self._dropped = self._finished = False

    def add(self, piece: bytes | memoryview) -> None:
        """The next bytes of the envelope."""
        if isinstance(piece, bytes):
            behind = self._added + len(piece) - self._written
            self._gap = self._gap or behind > BEHIND_BYTES_MAX
        if self._gap or self._dropped:
            return
        self._pieces.append(piece)
        self._added += len(piece)
        if self._added - self._asked >= _WRITTEN_AT_ONCE_BYTES:
            self._asked = self._added
            self._submit(self._write_on)

    def let_go(self) -> None:
        """What the disk has not taken is left to the leg, which has the envelope."""
        self._gap = True
        self._pieces.clear()

    def end(self, digest: bytes) -> None:
        """All has come: the MD5 of the envelope, under which a leg may take the file."""
        if not self._dropped:
            self._digest = digest
            self._whole[digest] = self

    def release(self) -> None:
        """No leg comes any more to take it."""
        if self._digest is None or self._whole.pop(self._digest, None) is self:
            self.drop()

    def drop(self) -> None:
        """Nobody wants it, unless it has been finished."""
        if not self._dropped:
            self._dropped = True
            self._pieces.clear()
            self._submit(self._remove)

    def finished(self, envelope: bytes) -> Path | None:
        """The file with all of the envelope, synced, though its directory is not; None where there
        is none."""
        with self._lock:
            if not self._dropped:
                try:
                    self._finish(envelope)
                except OSError:
                    self._discard()
            return self._path if self._finished else None

    def _finish(self, envelope: bytes) -> None:
        out = self._opened()
        self._pieces.clear()
        self._write(out, memoryview(envelope)[self._written :])
        self._name = self._name.rename(self._path)  # before the sync, which then takes it along
        os.fsync(out)
        self._finished = True
        self._out = None
        os.close(out)

    def _write_on(self) -> None:
        with self._lock:
            if self._dropped or self._finished:
                return
            try:
                out = self._opened()
                while self._pieces:
                    self._write_next(out)
                if self._written - self._synced >= _SYNCED_AT_ONCE_BYTES:
                    os.fdatasync(out)
                    self._synced = self._written
            except OSError:
                self._discard()

    def _write_next(self, out: int) -> None:
        with suppress(IndexError):  # it has just been dropped
            self._write(out, memoryview(self._pieces.popleft()))

    def _opened(self) -> int:
        if self._out is None:
            self._prepare()
            self._out = os.open(
                self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
        return self._out

    def _write(self, out: int, left: memoryview) -> None:
        while left:
            written = os.write(out, left)
            self._written += written
            left = left[written:]

    def _remove(self) -> None:
        with self._lock:
            if not self._finished:
                self._discard()

    def _discard(self) -> None:
        self._dropped = True
        self._pieces.clear()
        if self._out is not None:
            os.close(self._out)
            self._out = None
            self._name.unlink(missing_ok=True)
