"""Worker processes and who is alive: start, watch, replace, stop.

Every worker sends a heartbeat through a pipe. One that is silent for too long is killed: stopped
inside a transaction on the shared memory it would block all others. A worker that died is replaced
after its intents were recovered; one that dies again and again is replaced ever more slowly.
A worker whose supervisor is gone finds its pipe broken and stops.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvgateway.process.lives import Lives
from tandem.core.backoff import delay_s
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("supervisor")
STARTING_S = 30.0
"""A worker need not send its first heartbeat before this."""
STABLE_US = 10_000_000
"""A worker that lived this long starts with a clean record."""


@dataclass(slots=True)
class _Worker:
    """One slot and the process that fills it."""

    slot: int
    process: asyncio.subprocess.Process | None = None
    started_us: int = 0
    heard_us: int = 0
    deaths: int = 0
    killed_for: str = ""
    lives: Lives = field(default_factory=Lives)


@dataclass(slots=True)
class Supervisor:
    """Keeps `slots` workers running until told to stop.

    Args:
        command: the command line of the worker in a slot, given the number of the pipe that takes
            its heartbeats.
        recover: makes the intents of a dead worker repair tasks; runs before it is replaced.
        tell: hears what became of the workers, slot by slot, whenever that changes.
    """

    slots: int
    command: Callable[[int, int], Sequence[str]]
    recover: Callable[[int], Awaitable[None]]
    tell: Callable[[Sequence[Lives]], None]
    clock: Clock
    silence_max_us: int
    drain_s: float
    _workers: list[_Worker] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs workers until `stop` is set; then lets them drain, and returns when all are gone."""
        self._workers = [_Worker(slot) for slot in range(self.slots)]
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._keep(worker, stop))
            group.create_task(self._watch(stop))

    def pids(self) -> dict[int, int]:
        """Slot and process id of the workers that run."""
        return {w.slot: w.process.pid for w in self._workers if w.process is not None}

    @property
    def counters(self) -> Lives:
        """What happened to all workers."""
        return sum((worker.lives for worker in self._workers), Lives())

    def _told(self) -> None:
        self.tell([worker.lives for worker in self._workers])

    async def _keep(self, worker: _Worker, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if worker.deaths:
                pause_s = delay_s(worker.deaths, first_s=0.05, most_s=5.0, unit_random=0.5)
                await _unless(stop, pause_s)
            try:
                if worker.deaths:
                    await self.recover(worker.slot)
                if stop.is_set():
                    return
                await self._one_life(worker, stop)
            except Exception as error:
                worker.deaths += 1
                worker.lives.not_started += 1
                self._told()
                _LOG.error("worker_not_started", slot=worker.slot, error=repr(error), exc_info=True)

    async def _one_life(self, worker: _Worker, stop: asyncio.Event) -> None:
        read_end, write_end = os.pipe()
        loop = asyncio.get_running_loop()
        started = False
        try:
            worker.process = process = await asyncio.create_subprocess_exec(
                *self.command(worker.slot, write_end),
                pass_fds=(write_end,),
                start_new_session=True,
            )
            started = True
        finally:
            os.close(write_end)
            if not started:
                os.close(read_end)
        worker.lives.started += 1
        self._told()
        worker.started_us = self.clock.monotonic_us()
        worker.heard_us = worker.started_us + int(STARTING_S * 1e6)
        worker.killed_for = ""
        loop.add_reader(read_end, self._heard, worker, read_end)
        try:
            await self._until_gone(process, stop)
        finally:
            loop.remove_reader(read_end)
            os.close(read_end)
            worker.process = None
        if not stop.is_set():
            lived_us = self.clock.monotonic_us() - worker.started_us
            worker.deaths = 1 if lived_us >= STABLE_US else worker.deaths + 1
            worker.lives.died += 1
            self._told()
            _LOG.error(
                "worker_died",
                slot=worker.slot,
                status=process.returncode,
                killed_for=worker.killed_for,
                deaths=worker.deaths,
            )

    async def _until_gone(self, process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
        gone = asyncio.ensure_future(process.wait())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await _first(gone, stopped)
            if gone.done():
                return
            _signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(gone), self.drain_s + 2.0)
            except TimeoutError:
                _LOG.error("worker_does_not_stop", pid=process.pid)
                _signal(process, signal.SIGKILL)
                await gone
        finally:
            stopped.cancel()

    async def _watch(self, stop: asyncio.Event) -> None:
        """Looks at the workers four times in the longest silence; while this process, or the whole
        machine, stood still, nobody can have been heard, and nobody counts as silent."""
        pause_us = self.silence_max_us // 4
        looked_us = self.clock.monotonic_us()
        while not stop.is_set():
            await _unless(stop, pause_us / 1e6)
            now_us = self.clock.monotonic_us()
            stood_us = now_us - looked_us - pause_us
            looked_us = now_us
            for worker in self._workers:
                if stood_us > pause_us:
                    worker.heard_us += stood_us
                if worker.process is None or now_us - worker.heard_us <= self.silence_max_us:
                    continue
                if worker.killed_for:
                    continue
                worker.killed_for = "silence"
                worker.lives.silent += 1
                self._told()
                _signal(worker.process, signal.SIGKILL)

    def _heard(self, worker: _Worker, read_end: int) -> None:
        if not os.read(read_end, 4096):
            asyncio.get_running_loop().remove_reader(read_end)
            return
        worker.heard_us = self.clock.monotonic_us()


async def _unless(stop: asyncio.Event, pause_s: float) -> None:
    """Waits, but not longer than until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return


async def _first(*futures: "asyncio.Future[Any]") -> None:
    """Returns when one of the futures is done."""
    done = asyncio.Event()
    for future in futures:
        future.add_done_callback(lambda _: done.set())
    await done.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return
