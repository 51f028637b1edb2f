"""A thread of one owner, which does one piece of blocking work after another for the event loop.

There and back costs a third of what `run_in_executor` takes, which has two futures and a lock for
each piece.
"""

import asyncio
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

_T = TypeVar("_T")
_Ended = Callable[[], object]


class OwnThread:
    """Begins at once, for the running loop; who has not come to `end` leaves it as a crash does."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Callable[[], _Ended] | None] = SimpleQueue()
        self._thread = Thread(target=_work_on, args=(self._queue, self._loop), name=name)
        self._thread.daemon = True
        self._thread.start()

    def do(self, work: Callable[[], _T]) -> Future[_T]:
        """What `work` returns or raises, once all that was asked before has ended.

        Work is done also when nobody waits for it any more.
        """
        future: Future[_T] = self._loop.create_future()
        self._queue.put(partial(_into, future, work))
        return future

    def do_then(self, work: Callable[[], _Ended]) -> None:
        """The same where the loop is to call what `work` returns; it must not raise."""
        self._queue.put(work)

    def end(self) -> None:
        """Returns when all work has ended; there must not be more of it. Blocking."""
        self._queue.put(None)
        self._thread.join()


def _work_on(queue: SimpleQueue[Callable[[], _Ended] | None], loop: AbstractEventLoop) -> None:
    while (work := queue.get()) is not None:
        ended = work()
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            loop.call_soon_threadsafe(ended)
        del work, ended  # what they hold may be large, and the next work far off


def _into(future: Future[_T], work: Callable[[], _T]) -> _Ended:
    try:
        return partial(_return, future, work())
    except BaseException as error:
        return partial(_raise, future, error)


def _return(future: Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


def _raise(future: Future[_T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
