"""One way into a SQLite file: whatever waits in a turn of the loop goes to one thread as one group.

The thread is the lane's own, as each hand-over counts: two for each read that nothing in memory
answers. aiosqlite takes two futures and two turns of the loop more.

The caller gets a future that always has an answer by its deadline, for which all calls share one
timer. A group that raises fails as a whole, and so does one whose file was replaced meanwhile; its
connection is closed, and the next group opens another one.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final, Generic, TypeVar

from tandem.backends.sqlite_place import PlacedConnection
from tandem.core.reply import Failed, Reason
from tandem.runtime.own_thread import OwnThread

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")
Reply = TypeVar("Reply")
_T = TypeVar("_T")

_DETAIL_CHARS_MAX: Final = 200
"""SQLite quotes whole values in some errors."""
_CLOSED: Final = Failed(Reason.UNREACHABLE, "the file is closed")
_TIMEOUT: Final = Failed(Reason.TIMEOUT)
_OVERLOADED: Final = Failed(Reason.OVERLOADED, "too many calls wait for the file")


@dataclass(frozen=True, slots=True)
class LaneBounds:
    """How much may wait, and how much of it goes into one group."""

    waiting_max: int
    group_max: int
    waiting_bytes_max: int = 1
    group_bytes_max: int = 1


class Call(Generic[Ask, Answer]):
    """One question under way."""

    __slots__ = ("ask", "ends_at_s", "future", "size")

    def __init__(
        self, ask: Ask, future: asyncio.Future[Answer | Failed], ends_at_s: float, size: int = 0
    ) -> None:
        self.ask = ask
        self.future = future
        self.ends_at_s = ends_at_s
        """When it is answered `Failed` at the latest, by the loop's time."""
        self.size = size

    def answer(self, answer: Answer | Failed) -> None:
        """Gives the answer, unless there is one or nobody waits any more."""
        if not self.future.done():
            self.future.set_result(answer)


class Lane(Generic[Ask, Answer, Reply]):
    """Owns one connection and its thread, both from the first call on.

    `connect` opens the connection and `run` answers a group, both on the thread; `settle` passes
    each reply on in the loop.
    """

    def __init__(
        self,
        connect: Callable[[], PlacedConnection],
        run: Callable[[sqlite3.Connection, Sequence[Ask]], Sequence[Reply]],
        settle: Callable[[Call[Ask, Answer], Reply], None],
        bounds: LaneBounds,
    ) -> None:
        self._connect = connect
        self._run = run
        self._settle = settle
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._own_thread: OwnThread | None = None
        self._connection: PlacedConnection | None = None
        """The thread's affair alone."""
        self._waiting: deque[Call[Ask, Answer]] = deque()
        self._waiting_bytes = 0
        self._under_way: Sequence[Call[Ask, Answer]] = ()
        self._busy = False
        """Whether a group is under way, or about to be."""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = inf
        self._closed = False

    def ask(self, ask: Ask, deadline_s: float, size: int = 0) -> asyncio.Future[Answer | Failed]:
        """The answer to come; `size` is how many bytes the question weighs."""
        future: asyncio.Future[Answer | Failed] = self._loop.create_future()
        self.submit(Call(ask, future, self._loop.time() + deadline_s, size))
        return future

    def submit(self, call: Call[Ask, Answer]) -> None:
        """Takes on a call that was asked elsewhere, with the deadline that it has."""
        if self._closed:
            call.answer(_CLOSED)
            return
        bytes_over = self._waiting_bytes + call.size > self._bounds.waiting_bytes_max
        if len(self._waiting) >= self._bounds.waiting_max or (bytes_over and self._waiting):
            call.answer(_OVERLOADED)
            return
        self._waiting.append(call)
        self._waiting_bytes += call.size
        if call.ends_at_s < self._alarm_at_s:
            self._set_alarm(call.ends_at_s)
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._go_on)

    async def do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """What `work` returns or raises on the thread; sqlite3.Error or OSError when there is no
        connection to be had."""
        return await self._running().do(lambda: work(self._connected()))

    async def aclose(self) -> None:
        """Answers what is under way `Failed`; returns when the thread has ended. Once."""
        self._closed = True
        self._set_alarm(inf)
        for call in (*self._under_way, *self._waiting):
            call.answer(_CLOSED)
        self._waiting.clear()
        if self._own_thread is not None:
            await self._own_thread.do(self._disconnect)
            self._own_thread.end()

    def _running(self) -> OwnThread:
        """The thread, begun if there is none."""
        if self._own_thread is None:
            self._own_thread = OwnThread("object file")
        return self._own_thread

    def _go_on(self) -> None:
        """Hands the thread what waits."""
        group = self._under_way = self._take_group()
        if group:
            self._running().do_then(partial(self._work_on, group))
        else:
            self._busy = False

    def _work_on(self, group: Sequence[Call[Ask, Answer]]) -> Callable[[], None]:
        """On the thread: answers a group, and says how the loop goes on."""
        try:
            asks = [call.ask for call in group]
            replies = self._connected().in_place(lambda connection: self._run(connection, asks))
        except Exception as error:
            self._disconnect()
            return partial(self._broke, group, error)
        return partial(self._answered, group, replies)

    def _answered(self, group: Sequence[Call[Ask, Answer]], replies: Sequence[Reply]) -> None:
        try:
            for call, reply in zip(group, replies, strict=True):
                self._settle(call, reply)
        except Exception as error:
            self._broke(group, error)
        else:
            self._go_on()

    def _broke(self, group: Sequence[Call[Ask, Answer]], error: Exception) -> None:
        if not isinstance(error, sqlite3.Error | OSError):
            told = {"message": "a group of the object file broke", "exception": error}
            self._loop.call_exception_handler(told)
        for call in group:
            call.answer(_failure(error))
        self._go_on()

    def _connected(self) -> PlacedConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _take_group(self) -> list[Call[Ask, Answer]]:
        group: list[Call[Ask, Answer]] = []
        room = self._bounds.group_bytes_max
        while self._waiting and len(group) < self._bounds.group_max and room > 0:
            call = self._waiting.popleft()
            self._waiting_bytes -= call.size
            if not call.future.done():
                group.append(call)
                room -= call.size
        return group

    def _set_alarm(self, at_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at_s = at_s
        self._alarm = None if at_s == inf else self._loop.call_at(at_s, self._time_out)

    def _time_out(self) -> None:
        """Answers every call whose time is over, and sets the alarm for the next."""
        now_s = self._alarm_at_s
        next_s = inf
        for call in (*self._under_way, *self._waiting):
            if call.ends_at_s <= now_s:
                call.answer(_TIMEOUT)
            elif not call.future.done():
                next_s = min(next_s, call.ends_at_s)
        self._set_alarm(next_s)


def _failure(error: Exception) -> Failed:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return Failed(Reason.TIMEOUT, "another process holds the file")
    return Failed(Reason.ERROR, f"{type(error).__name__}: {error}"[:_DETAIL_CHARS_MAX])
