"""The disk below a journal: full, or losing what was to be synced; and the end of its power.

It stands in the place of `os` in the journal's modules and works on real files, so it knows of each
file which bytes are on stable storage and whether its name is.
"""

import asyncio
import enum
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

from kvgateway.state import journal, journal_segments, journal_slots
from kvgateway.state.journal_frames import left_over
from kvgateway.state.ports import Intent
from tandem.runtime import stable_files
from tests.sim.loop import current

P = ParamSpec("P")
T = TypeVar("T")
CALL_S = 0.001


class Fault(enum.Enum):
    """What the disk does to those who use it."""

    NONE = "none"
    FULL = "full"
    """It takes half of a write, then nothing, and no new names."""
    DYING = "dying"
    """A sync fails, and what it was for is lost for good."""


class FailingDisk:
    """See the module; `before` is called before each system call that changes something."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fault = Fault.NONE
        self.calls = 0
        self.before: Callable[[], None] = lambda: None
        self.fails: Callable[[int], bool] = lambda _: True
        """Which call, by number, meets the fault."""
        self._open: dict[int, Path] = {}
        self._stable: dict[Path, int] = {}
        self._named: set[Path] = set()
        self._lost: set[Path] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT and not path.exists():
            if self._meets(Fault.FULL):
                raise OSError(errno.ENOSPC, "no space is left")
            self._forget(path)
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = path
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        if not self._meets(Fault.FULL):
            return os.write(descriptor, data)
        if len(data) > 1:
            return os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "no space is left")

    def fdatasync(self, descriptor: int) -> None:
        path = self._open.get(descriptor)
        if self._meets(Fault.DYING):
            if path is not None:
                self._lost.add(path)
            raise OSError(errno.EIO, "the disk is dying")
        if path is None:
            return
        if path.is_dir():
            self._named.update(path.iterdir())
        elif path not in self._lost:
            self._stable[path] = path.stat().st_size

    fsync = fdatasync

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        os.close(descriptor)

    def end_process(self, slot: Path | None = None) -> None:
        """Closes what the owner of a slot has open, as the kernel does; without one, everything."""
        for descriptor, path in list(self._open.items()):
            if slot is None or path.parent == slot:
                self.close(descriptor)

    def left(self, *, power: bool) -> set[Intent]:
        """What whoever starts next reads from the journal: with `power`, after the process was
        killed; else after the power went."""
        found: set[Intent] = set()
        for slot in self.directory.glob("[0-9]*"):
            logs = sorted(slot.glob("*.log"))
            found.update(left_over(self._content(log, power=power) for log in logs))
        return found

    def cut_power(self) -> None:
        """What is not stable is gone."""
        for log in self.directory.glob("[0-9]*/*.log"):
            log.write_bytes(self._content(log, power=False))

    def _content(self, log: Path, *, power: bool) -> bytes:
        if power:
            return log.read_bytes()
        named = log in self._named and log.parent in self._named
        return log.read_bytes()[: self._stable.get(log, 0)] if named else b""

    def _forget(self, path: Path) -> None:
        """A new file gets a name that another one had."""
        self._stable.pop(path, None)
        self._named.discard(path)
        self._lost.discard(path)

    def _meets(self, fault: Fault) -> bool:
        self.before()
        self.calls += 1
        return self.fault is fault and self.fails(self.calls)


class Thread(ThreadPoolExecutor):
    """Threads of both kinds: what they are given is done a moment later, in virtual time; nothing
    once its process is dead."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(1)
        self.dead = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if self.dead:
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        current().call_later(CALL_S, run)
        return future

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """As a thread of its own does it."""
        return asyncio.wrap_future(self.submit(work))

    end = ThreadPoolExecutor.shutdown


@contextmanager
def failing(directory: Path) -> Iterator[FailingDisk]:
    """Puts such a disk below every journal in `directory`."""
    disk = FailingDisk(directory)
    with (
        patch.object(journal_segments, "os", disk),
        patch.object(journal_slots, "os", disk),
        patch.object(stable_files, "os", disk),
        patch.object(journal, "OwnThread", Thread),
    ):
        try:
            yield disk
        finally:
            for descriptor in list(disk._open):
                disk.close(descriptor)
