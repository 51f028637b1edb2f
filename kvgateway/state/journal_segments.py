"""The files of one worker's journal. Blocking: for a thread of its own, one call at a time."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvgateway.state.journal_slots import SEGMENT_SUFFIX, sync_directory


@dataclass(frozen=True, slots=True)
class Written:
    """Where data now lies, on stable storage."""

    segment: int
    segment_bytes: int


class Segments:
    """Appends to the newest segment; a segment that has failed once is never written again, since
    nobody knows what a failed sync has left of it."""

    def __init__(self, directory: Path, segment_bytes_max: int) -> None:
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._descriptor: int | None = None
        self._number = 0
        self._bytes = 0

    def write(self, data: bytes, doomed: Sequence[int]) -> Written:
        """Appends `data`, syncs it, and removes the segments in `doomed`; OSError if not."""
        try:
            if self._descriptor is None or self._bytes >= self._segment_bytes_max:
                self._begin()
            assert self._descriptor is not None
            self._bytes += len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            self.close()
            raise
        for number in doomed:
            self._path(number).unlink(missing_ok=True)
        return Written(self._number, self._bytes)

    def close(self) -> None:
        """Ends the newest segment."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self) -> None:
        self.close()
        self._number += 1
        self._bytes = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(self._number), flags, 0o600)
        os.fsync(self._descriptor)
        sync_directory(self._directory)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:016}{SEGMENT_SUFFIX}"
