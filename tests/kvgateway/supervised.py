"""A supervisor over real processes that do what a test says, life by life."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from pathlib import Path
from typing import Final

from kvgateway.process.life import Orders
from kvgateway.process.lives import Lives, write
from kvgateway.process.supervisor import Supervisor
from tandem.runtime.clock import SystemClock

PATIENCE_S: Final = 45.0
_FRONT: Final = """
import os, signal, sys, time
slot, pipe, directory, word = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], b"."
def beat():
    os.write(pipe, word)
def note(word):
    with open(os.path.join(directory, f"{word}-{slot}"), "w"):
        pass
"""
BEATS: Final = "while True: beat(); time.sleep(0.05)"
BEATS_RARELY: Final = "while True: beat(); note('beat'); time.sleep(2.0)"
FALLS_SILENT: Final = "beat(); time.sleep(1000)"
NEVER_BEATS: Final = "note('runs'); time.sleep(1000)"
LETS_GO: Final = "beat(); os.close(pipe); time.sleep(1000)"
STARTS_SLOWLY: Final = "time.sleep(1.5); note('up')\n" + BEATS
DIES: Final = "sys.exit(3)"
DRAINS: Final = (
    """
def drain(*_):
    time.sleep(0.3)
    note('drained')
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
note('up')
"""
    + BEATS
)
SERVES: Final = "word = b'!'" + DRAINS
SERVES_WHEN_TOLD: Final = (
    """
note('waits')
while not os.path.exists(os.path.join(directory, 'go')):
    beat()
    time.sleep(0.01)
"""
    + SERVES
)
IGNORES: Final = "signal.signal(signal.SIGTERM, signal.SIG_IGN); note('up')\n" + BEATS


class JumpingClock(SystemClock):
    """The machine's clock, and how far a test has moved it on."""

    ahead_us = 0

    def monotonic_us(self) -> int:
        return super().monotonic_us() + self.ahead_us


class Supervised:
    """A supervisor, what its workers are in each of their lives, and what it did in between."""

    def __init__(
        self,
        directory: Path,
        lives: Mapping[int, Sequence[str]],
        *,
        silence_max_s: float = 20.0,
        drain_s: float = 10.0,
    ) -> None:
        self.directory = directory
        self.clock = JumpingClock()
        self.events: list[tuple[str, int]] = []
        """Starts and recoveries, with their seats, in order."""
        self.started_us: dict[int, list[int]] = {slot: [] for slot in lives}
        """When the command of each life was asked for."""
        self.recover: Callable[[int], Awaitable[None]] = self._recovered
        self.stop = asyncio.Event()
        self.told: Sequence[Lives] = [Lives()]
        self._lives = lives
        self.lives = directory / "lives.json"
        """What the supervisor tells of its workers."""
        self.supervisor = Supervisor(
            slots=len(lives),
            orders=Orders(self._command, os.environ),
            recover=lambda seat: self.recover(seat),
            tell=self._tell,
            clock=self.clock,
            silence_max_us=int(silence_max_s * 1e6),
            drain_s=drain_s,
        )

    def _command(self, seat: int, pipe: int) -> Sequence[str]:
        slot = seat % len(self._lives)
        lives, started = self._lives[slot], self.started_us[slot]
        work = lives[min(len(started), len(lives) - 1)]
        started.append(self.clock.monotonic_us())
        self.events.append(("start", seat))
        if work.startswith("/"):
            return (work,)
        script = _FRONT + work
        return (
            sys.executable, "-I", "-S", "-c", script, str(slot), str(pipe), str(self.directory)
        )  # fmt: skip

    def _tell(self, told: Sequence[Lives]) -> None:
        self.told = [replace(lives) for lives in told]
        write(self.lives, told)

    async def _recovered(self, seat: int) -> None:
        self.events.append(("recover", seat))

    def has(self, word: str, slot: int = 0) -> bool:
        """Whether the worker in `slot` has left this word."""
        return (self.directory / f"{word}-{slot}").exists()

    def forget(self, word: str, slot: int = 0) -> None:
        """Removes a word, so that the next one can be waited for."""
        (self.directory / f"{word}-{slot}").unlink()

    def pids(self) -> dict[int, int]:
        """Slot and process id of the workers that run."""
        workers = enumerate(self.supervisor._workers)
        return {slot: worker.life.pid for slot, worker in workers if worker.life is not None}

    @property
    def counters(self) -> Lives:
        """What the supervisor has told last, of all its workers."""
        return Lives(*map(sum, zip(*map(astuple, self.told), strict=True)))

    def signal(self, slot: int, number: signal.Signals) -> None:
        """Sends a signal to a worker."""
        os.kill(self.pids()[slot], number)

    async def until(self, condition: Callable[[], object]) -> None:
        """Returns when it holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def supervising(supervised: Supervised) -> AsyncIterator["asyncio.Task[None]"]:
    """The supervisor runs within; it must end by itself once it is told to stop."""
    running = asyncio.create_task(supervised.supervisor.run(supervised.stop))
    try:
        yield running
        assert not running.done(), "a supervisor never ends by itself"
    finally:
        supervised.stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await running
    assert supervised.pids() == {}


def gone(pid: int) -> bool:
    """Whether no process has this id any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
