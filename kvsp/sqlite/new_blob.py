"""A blob while it is written: piece by piece, on threads, durable only when all of it has come."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from tandem.runtime.stable_files import sync_directory


class OtherBytes(Exception):
    """The bytes that came are not those that were announced."""


class NewBlob:
    """One file; `drop` may come at any time, even while another thread adds to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._dropped = self._made = False
        self._out: BinaryIO | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)

    def begin(self) -> None:
        """Makes the file. Raises OSError."""
        with self._lock:
            if not self._dropped:
                self._out = self.path.open("xb")
                self._made = True

    def add(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Writes the next bytes; nothing after `drop`. Raises OSError."""
        with self._lock:
            if self._out is not None:
                for piece in pieces:
                    self._out.write(piece)
                    self._md5.update(piece)

    def finish(self, digest: bytes) -> None:
        """Makes it durable. Raises OSError, and OtherBytes unless `digest` is its MD5."""
        with self._lock:
            if self._md5.digest() != digest:
                raise OtherBytes
            assert self._out is not None, "it was dropped"
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
            sync_directory(self.path.parent)

    def drop(self) -> None:
        """Removes what there is, at once: a full disk needs the space. If that fails, the collector
        removes it, since no row will name it."""
        with self._lock:
            self._dropped = True
            out, self._out = self._out, None
            if self._made:
                self.path.unlink(missing_ok=True)
            if out is not None:
                out.close()
