"""What every long-running program does the same: event loop, signals, last-resort logging, tasks.

uvloop is used where it is installed: the HTTP server gains by it, gRPC does not.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

from tandem.runtime import open_files
from tandem.runtime.logs import Logger, Logs

_T = TypeVar("_T")
LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
_EXIT_ON_SECOND_SIGNAL = 130
COLLECT_EACH = 50_000
"""Objects that may pile up before Python looks for cycles among them. A group of 128 writes makes
2,000 that live for milliseconds and are in no cycle: with Python's 700, an eighth of a worker's
time goes into looking for them."""

SWITCH_S = 0.001
"""How long a thread that computes, as the one that makes the text of the metrics, keeps the loop
waiting for Python's lock; Python's own 5 ms show in the tail of every latency."""

UNWIND_S = 1.0
"""For tasks that were cancelled."""


class TooManyTasks(Exception):
    """The owner of background tasks is at its bound; try again when some have ended."""


class Tasks:
    """Owns background tasks: named, bounded, drained; a failure is counted and logged, not lost."""

    def __init__(self, tasks_max: int, log: Logger) -> None:
        self._tasks_max = tasks_max
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self.failures = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; `TooManyTasks` at the bound, and `work` is closed."""
        if len(self._tasks) >= self._tasks_max:
            work.close()
            raise TooManyTasks(f"{name}: {self._tasks_max} tasks are running")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._idle.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures += 1
            self._log.error(
                "task_failed", operation=task.get_name(), error=repr(error), exc_info=error
            )

    async def drain(self, deadline_s: float) -> int:
        """Wait for all to end, cancel those that outlive the deadline; how many those were. They
        have unwound when it returns, unless that takes longer than UNWIND_S."""
        await self._until_idle(deadline_s)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await self._until_idle(UNWIND_S)
        return len(late)

    async def _until_idle(self, deadline_s: float) -> None:
        if self._tasks:
            self._idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), deadline_s)


class Process:
    """What a main learns from outside: that it should stop, or read its configuration again."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.loop_errors = 0

    def install(self) -> None:
        """Take over SIGTERM, SIGINT, the loop's exception handler, and SIGHUP, which may have been
        held until now."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_error)
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._asked_to_stop, each)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def _asked_to_stop(self, received: signal.Signals) -> None:
        if self.stop.is_set():
            self._log.warning("stopped_at_once", signal=received.name)
            os._exit(_EXIT_ON_SECOND_SIGNAL)
        self._log.info("stopping", signal=received.name)
        self.stop.set()

    def _loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.loop_errors += 1
        error = context.get("exception")
        self._log.error(
            "loop_error", operation=str(context.get("message")), error=repr(error), exc_info=error
        )


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """What `work` returns; None, and it is cancelled, when `stop` is set before: a program that
    waits for something at its start can be stopped too."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    stopped.add_done_callback(lambda _: task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        if stop.is_set():
            return None
        raise
    finally:
        stopped.cancel()


def run(main: Callable[[Process], Coroutine[Any, Any, int]], log: Logger, log_state: Logs) -> int:
    """Run an asyncio main until it returns its exit status; repeated lines are summed up."""

    async def guarded() -> int:
        process = Process(log)
        process.install()
        summing_up = asyncio.create_task(log_state.sum_up_repeats())
        try:
            return await main(process)
        finally:
            summing_up.cancel()

    gc.set_threshold(COLLECT_EACH)
    sys.setswitchinterval(SWITCH_S)
    open_files.raise_limit()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(guarded())


def _loop_factory() -> LoopFactory | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
