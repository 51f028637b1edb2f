"""Whose journal is whose: each worker has a directory of its own, locked while it lives.

    <journal>/lock          held for a moment by whoever makes, takes over or removes a slot
    <journal>/<n>/lock      held by the worker that writes there, for as long as it lives
    <journal>/<n>/*.log     its segments

A worker makes a slot for its first intent; anybody recovers and removes it once its lock is free.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kvgateway.state.journal_frames import UnknownFrame, is_damaged, left_over
from kvgateway.state.ports import Intent
from tandem.errors import ConfigurationError
from tandem.runtime.stable_files import sync_directory

_LOCK = "lock"
SEGMENT_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class Slot:
    """A directory whose lock this process holds."""

    directory: Path
    lock: int

    def release(self) -> None:
        """Lets others recover what is there."""
        os.close(self.lock)

    def remove(self) -> None:
        """Removes all that is there, while nobody else looks at slots."""
        for path in sorted(self.directory.iterdir()):
            path.unlink()
        self.directory.rmdir()


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a dead worker left; nobody else recovers it until it is dropped or released."""

    intents: tuple[Intent, ...]
    damaged: bool
    """Whether it had more, which cannot be read any more."""
    _slot: Slot

    async def drop(self) -> None:
        """Removes the slot: its intents are in the repair queue, durably. It is nobody's any more,
        even if that fails (OSError)."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        directory = self._slot.directory
        try:
            with _all_slots(directory.parent):
                self._slot.remove()
        finally:
            self._slot.release()
        sync_directory(directory.parent)

    def release(self) -> None:
        """Leaves it to others, or for later."""
        self._slot.release()


def claim(journal: Path) -> Slot:
    """Makes a slot for this worker. Raises OSError, and leaves nothing behind then."""
    journal.mkdir(parents=True, exist_ok=True)
    with _all_slots(journal):
        number = max((int(path.name) for path in _slots(journal)), default=-1) + 1
        directory = journal / str(number)
        directory.mkdir()
        try:
            lock = _try_lock(directory)
        except OSError:
            directory.rmdir()  # without a lock nobody could recover the others either
            raise
        assert lock is not None
        slot = Slot(directory, lock)
        try:
            sync_directory(journal)
        except OSError:
            slot.remove()
            slot.release()
            raise
    return slot


def recover(journal: Path) -> list[Leftover]:
    """Takes over the slots of all dead workers. Reads files: not for the event loop's thread.

    Raises ConfigurationError when a newer version left what this one cannot read, and OSError; then
    nothing is taken over, and whoever tries again finds all of it.
    """
    if not journal.is_dir():
        return []
    taken: list[Slot] = []
    try:
        with _all_slots(journal):
            for path in _slots(journal):
                lock = _try_lock(path)
                if lock is not None:
                    taken.append(Slot(path, lock))
        return [_read(slot) for slot in taken]
    except BaseException:
        for slot in taken:
            slot.release()
        raise


def segments(directory: Path) -> list[Path]:
    """The segments of a slot, oldest first."""
    return sorted(directory.glob(f"*{SEGMENT_SUFFIX}"))


def _read(slot: Slot) -> Leftover:
    try:
        data = [path.read_bytes() for path in segments(slot.directory)]
        intents = left_over(data)
    except UnknownFrame as error:
        advice = "start the version that wrote it, which brings its writes to both homes"
        raise ConfigurationError(
            [f"{slot.directory}: the journal has {error}; {advice}"]
        ) from error
    return Leftover(tuple(intents), any(map(is_damaged, data)), slot)


def _slots(journal: Path) -> list[Path]:
    return sorted((p for p in journal.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))


def _try_lock(directory: Path) -> int | None:
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _all_slots(journal: Path) -> Iterator[None]:
    descriptor = os.open(journal / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
