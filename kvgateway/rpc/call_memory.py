"""A bound on what all gRPC calls of one process hold together, seen by the process's own memory.

gRPC shows a message when all of it is here, and takes an answer before the client reads it. So what
a stream or a call holds meanwhile, up to 33 MiB each, nobody can count: a thousand streams with a
message that does not end would be 33 GiB. Where the process holds more than all that is counted can
be, calls are ended.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from tandem.errors import Overloaded
from tandem.runtime import logs

LOOK_EACH_S: Final = 0.1
_TOO_MUCH: Final = "all calls together hold too much memory"

_LOG = logs.get("calls")

_Context = grpc.aio.ServicerContext[Any, Any]


class CallMemory:
    """The calls under way; `too_much` says whether the process holds more than it should."""

    def __init__(self, too_much: Callable[[], bool]) -> None:
        self._too_much = too_much
        self._calls: dict[asyncio.Task[Any], _Context] = {}
        self._ended: set[asyncio.Task[Any]] = set()

    @contextmanager
    def call(self, context: _Context) -> Iterator[None]:
        """A call while it holds something, by the task that serves it; Overloaded ends it.

        Not while it sends its first metadata: gRPC could not tell the client any more.
        """
        task = asyncio.current_task()
        assert task is not None
        self._calls[task] = context
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise Overloaded(_TOO_MUCH) from None
        finally:
            self._calls.pop(task, None)
            self._ended.discard(task)

    def check(self) -> None:
        """Overloaded where no call may come to hold more: gRPC sends the answer of a unary call by
        itself, and nobody can end that."""
        if self._too_much():
            raise Overloaded(_TOO_MUCH)

    async def watch(self) -> None:
        """Ends calls in time, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EACH_S)
            if self._too_much():
                self._end_half()

    def _end_half(self) -> None:
        """Who holds what cannot be seen. Those go first whose connection has most calls, and of
        like ones those that came last."""
        peers = {task: context.peer() for task, context in self._calls.items()}
        calls_of = Counter(peers.values())
        tasks = list(reversed(peers))
        tasks.sort(key=lambda task: -calls_of[peers[task]])
        ended = tasks[: (len(tasks) + 1) // 2]
        for task in ended:
            del self._calls[task]
            self._ended.add(task)
            task.cancel()
        if ended:
            _LOG.warning("calls_ended_for_memory", calls=len(ended), left=len(self._calls))
