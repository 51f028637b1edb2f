"""The files of one worker's journal. Blocking: for a thread of its own, one call at a time."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvgateway.state.journal_slots import SEGMENT_SUFFIX, Slot
from tandem.runtime.stable_files import sync_directory


@dataclass(frozen=True, slots=True)
class Written:
    """Where data now lies, on stable storage."""

    segment: int
    segment_bytes: int


_TRIAL_BYTES: Final = 64 * 1024
_TRIAL_NAME: Final = "trial"


class Segments:
    """Appends to the newest segment, in a slot that is claimed with the first: a worker may begin
    on a disk that takes no slot.

    A segment that has failed once is never written again, since nobody knows what a failed sync has
    left of it; one in which nothing was ever durable goes. After a failure the disk has to take a
    trial file first: a full one takes new names and empty files.
    """

    def __init__(self, claim: Callable[[], Slot], segment_bytes_max: int) -> None:
        self._claim = claim
        self._slot: Slot | None = None
        self._segment_bytes_max = segment_bytes_max
        self._descriptor: int | None = None
        self._number = 0
        self._bytes = 0
        self._durable = False
        self._failed = False

    def write(self, data: bytes, doomed: Sequence[int]) -> Written:
        """Appends `data`, syncs it, and removes the segments in `doomed`; OSError if not."""
        try:
            if self._failed:
                self._try_out()
            if self._descriptor is None or self._bytes >= self._segment_bytes_max:
                self._begin()
            assert self._descriptor is not None
            self._bytes += len(data)
            _write_whole(self._descriptor, data)
            os.fdatasync(self._descriptor)
        except OSError:
            self._give_up()
            raise
        self._durable = True
        self._failed = False
        for number in doomed:
            self._path(number).unlink(missing_ok=True)
        return Written(self._number, self._bytes)

    def close(self) -> None:
        """Ends the newest segment, and leaves the slot to whoever recovers it."""
        self._end_segment()
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _end_segment(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _give_up(self) -> None:
        self._failed = True
        self._end_segment()
        if self._slot is not None and not self._durable:
            with suppress(OSError):
                self._path(self._number).unlink(missing_ok=True)

    def _try_out(self) -> None:
        path = self._directory() / _TRIAL_NAME
        try:
            with path.open("wb", buffering=0) as file:
                _write_whole(file.fileno(), bytes(_TRIAL_BYTES))
                os.fdatasync(file.fileno())
        finally:
            path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._end_segment()
        directory = self._directory()
        self._number += 1
        self._bytes = 0
        self._durable = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path(self._number), flags, 0o600)
        os.fsync(self._descriptor)
        sync_directory(directory)

    def _directory(self) -> Path:
        if self._slot is None:
            self._slot = self._claim()
        return self._slot.directory

    def _path(self, number: int) -> Path:
        return self._directory() / f"{number:016}{SEGMENT_SUFFIX}"


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
