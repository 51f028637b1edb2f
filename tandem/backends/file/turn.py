"""Whose turn it is to write, among the processes that share one file: a queue kept by the kernel.

SQLite alone lets a process that finds the file taken sleep, and ask again, for up to 100 ms at a
time. Measured with four writers: 14,000 puts a second with a p99 of 110 to 220 ms; in turn, 21,000
with 15 ms. The lock is on a file of its own, since closing any descriptor of a database drops
SQLite's own locks on it.

The wait has no bound of its own: the kernel has no queue with one. The kernel takes the lock from a
process that has died; behind one that is stopped (SIGSTOP) this thread waits, while its callers get
their `TIMEOUT` by the deadlines of the lane.
"""

import fcntl
import os
from pathlib import Path


class Turn:
    """The lock beside the file at `path`; the kernel frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where no file can be made."""
        place = path.with_name(f"{path.name}-turn")
        self._lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        """Waits for the turn; blocks its thread."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        """Lets the next one have it."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Frees the lock; no thread may wait for it any more."""
        os.close(self._lock)
