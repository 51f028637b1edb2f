"""One worker process, from its start to its end: how it is started, and what is heard of it."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from kvgateway.process.heartbeat import READY
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("supervisor")
STARTING_S = 30.0
"""A worker need not send its first heartbeat before this."""
_LATE_S = 2.0
"""A worker may need so much longer to stop than its settings say."""


@dataclass(frozen=True, slots=True)
class Orders:
    """How workers are started that go by the same settings."""

    command: Callable[[int, int], Sequence[str]]
    """The command line for a seat, given the number of the pipe that takes its heartbeats."""
    environment: Mapping[str, str]


class Life:
    """One process in one seat."""

    def __init__(
        self, seat: int, process: asyncio.subprocess.Process, pipe: int, clock: Clock
    ) -> None:
        self.seat = seat
        self.pid = process.pid
        self.gone = asyncio.ensure_future(process.wait())
        """Its exit status."""
        self.ready = asyncio.Event()
        """Set once it serves."""
        self.started_us = clock.monotonic_us()
        self.heard_us = self.started_us + int(STARTING_S * 1e6)
        self.killed_for = ""
        self._process = process
        self._pipe = pipe
        self._clock = clock
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe, self._heard)
        self.gone.add_done_callback(lambda _: self._close(loop))

    @classmethod
    async def begin(cls, seat: int, orders: Orders, clock: Clock) -> Self:
        """Starts a process; OSError when the machine has no room for one."""
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *orders.command(seat, write_end),
                env=orders.environment,
                pass_fds=(write_end,),
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        return cls(seat, process, read_end, clock)

    async def end(self, drain_s: float) -> None:
        """Lets it finish its work; kills it when that takes too long."""
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self.gone), drain_s + _LATE_S)
        except TimeoutError:
            _LOG.error("worker_does_not_stop", pid=self.pid)
            self.kill("its work did not end")
            await self.gone

    def kill(self, why: str) -> None:
        """Ends it at once."""
        self.killed_for = why
        self._signal(signal.SIGKILL)

    def ask_to_stop(self) -> None:
        """Lets it finish its work, however long that takes."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return

    def _heard(self) -> None:
        beats = os.read(self._pipe, 4096)
        if not beats:
            asyncio.get_running_loop().remove_reader(self._pipe)
            return
        self.heard_us = self._clock.monotonic_us()
        if READY in beats:
            self.ready.set()

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pipe)
        os.close(self._pipe)


async def first(*futures: "asyncio.Future[Any]", within_s: float | None = None) -> None:
    """Returns when one of the futures is done, or when that takes too long."""
    done = asyncio.Event()
    for future in futures:
        future.add_done_callback(lambda _: done.set())
    try:
        await asyncio.wait_for(done.wait(), within_s)
    except TimeoutError:
        return
