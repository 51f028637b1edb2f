"""Where the machine's shared memory lies, and that nobody of an earlier start still uses it.

It is in /dev/shm where that has room, else below the data directory. Two locks in there keep starts
apart: one is the supervisor's alone, one is shared by all who use the memory.
"""

import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kvgateway.state import shared
from kvgateway.state.quota_memory import QuotaMemory
from tandem.errors import ConfigurationError

MAP_BYTES: Final = 256 * 1024 * 1024
_SHARED_MEMORY: Final = Path("/dev/shm")
_SPARE: Final = 1.25
_NAME: Final = "tandem-kv-"
_OWNER: Final = "owner"
_METRICS: Final = "metrics"
_LIVES: Final = "lives.json"
_SETTINGS: Final = "settings.json"
_QUOTAS: Final = "quotas"
_QUOTAS_SHARE: Final = 16
"""The memory of quotas takes so many-th a part of the machine's, besides."""
_SUPERVISOR: Final = "supervisor.lock"
_USERS: Final = "machine.lock"


@dataclass(frozen=True, slots=True)
class Place:
    """The memory's directory, for as long as this process uses it."""

    directory: Path
    _locks: tuple[int, ...]

    @classmethod
    def make(
        cls, data: Path, map_bytes: int = MAP_BYTES, shared_memory: Path = _SHARED_MEMORY
    ) -> Self:
        """Makes the memory afresh; blocking; for the supervisor, before it starts workers.

        Raises ConfigurationError while processes of an earlier start are alive, or without room.
        """
        data.mkdir(parents=True, exist_ok=True)
        locks = tuple(_open_lock(data, name) for name in (_SUPERVISOR, _USERS))
        try:
            for lock in locks:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _close(locks)
            raise ConfigurationError([f"{data}: another gateway uses this directory"]) from None
        in_memory, on_disk = _in_memory(data, shared_memory), data / "machine"
        for leftover in (in_memory, on_disk):
            shutil.rmtree(leftover, ignore_errors=True)
        _sweep(shared_memory)
        directory = in_memory if _room(shared_memory) >= map_bytes * _SPARE else on_disk
        try:
            directory.mkdir(mode=0o700)
            (directory / _OWNER).write_text(str(data.resolve()))
            shared.create(directory, map_bytes)
            (directory / _METRICS).mkdir()
            QuotaMemory.create(directory / _QUOTAS, map_bytes // _QUOTAS_SHARE)
        except OSError as error:
            _close(locks)
            raise ConfigurationError(
                [f"{directory}: no room for {map_bytes} bytes: {error.strerror}"]
            ) from error
        fcntl.flock(locks[1], fcntl.LOCK_SH)
        return cls(directory, locks)

    @classmethod
    def join(cls, directory: Path, data: Path) -> Self:
        """Uses the memory that the supervisor has made in `directory`."""
        lock = _open_lock(data, _USERS)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return cls(directory, (lock,))

    @property
    def quotas(self) -> Path:
        """The directory of the memory of quotas."""
        return self.directory / _QUOTAS

    @property
    def metrics(self) -> Path:
        """Where workers leave their numbers: whoever looks at a full disk needs them most."""
        return self.directory / _METRICS

    @property
    def lives(self) -> Path:
        """What became of the workers."""
        return self.directory / _LIVES

    @property
    def settings(self) -> Path:
        """Which settings are in force, and why not others."""
        return self.directory / _SETTINGS

    def leave(self) -> None:
        """Ends this process's use."""
        _close(self._locks)


def _close(locks: tuple[int, ...]) -> None:
    for lock in locks:
        os.close(lock)


def _sweep(shared_memory: Path) -> None:
    """Removes what gateways that were killed have left: reserved memory that nobody gives back,
    since a data directory that is used no more is never started again. What cannot be told, as on
    a read-only disk, stays."""
    for directory in shared_memory.glob(f"{_NAME}*"):
        try:
            owner = Path((directory / _OWNER).read_text())
            left = not owner.is_dir() or _unused(owner)
        except OSError:
            continue
        if left:
            shutil.rmtree(directory, ignore_errors=True)


def _unused(data: Path) -> bool:
    """Whether no process of the gateway there is alive."""
    for name in (_SUPERVISOR, _USERS):
        lock = _open_lock(data, name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
    return True


def _open_lock(data: Path, name: str) -> int:
    return os.open(data / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _in_memory(data: Path, shared_memory: Path) -> Path:
    """One directory for each data directory, so that what a crash has left is found again."""
    name = hashlib.blake2b(str(data.resolve()).encode(), digest_size=8).hexdigest()
    return shared_memory / f"{_NAME}{name}"


def _room(directory: Path) -> int:
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        return 0
    free = os.statvfs(directory)
    return free.f_bavail * free.f_frsize
