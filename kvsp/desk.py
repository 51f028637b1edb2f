"""The desk of one cluster: who waits before it, who serves them, what is said while it is shut.

Every engine has one. What it does with those that it takes from the lines is its own affair.
"""

import asyncio
from asyncio import Future, Task
from collections.abc import Coroutine, Sequence
from typing import Generic, TypeVar, cast

from kvsp.answers import ReadAnswer
from kvsp.limits import ClusterLimits
from kvsp.line import Line, at_once
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.runtime import logs
from tandem.wire.storage_codec import Get, Put

_Work = TypeVar("_Work")
_CLOSING = Failed(Reason.UNREACHABLE, "KVSP is stopping")
_log = logs.get("kvsp.cluster")


class Desk(Generic[_Work]):
    """Two lines, for writes and for reads; `_Work` is all that belongs into a write transaction."""

    def __init__(self, cluster: str, limits: ClusterLimits) -> None:
        self.cluster = cluster
        self.writes: Line[_Work, object] = Line(limits.writes_waiting_max)
        self.reads: Line[Get, ReadAnswer] = Line(limits.reads_waiting_max)
        self.shut: Failed | None = None
        """What everybody is told; None while they are served."""
        self._for_good: Failed | None = None
        self._tasks: list[Task[None]] = []

    def read(self, gets: Sequence[Get]) -> Future[list[ReadAnswer]]:
        """Answers in the order of `gets`."""
        if self.shut is not None:
            return at_once(self.shut, len(gets))
        waiting = self.reads.add(gets)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many reads wait"), len(gets))

    def write(self, puts: Sequence[Put]) -> Future[list[WriteReply]]:
        """Answers in the order of `puts`, which are works of every engine, after the commit."""
        return cast(Future[list[WriteReply]], self.submit(cast(Sequence[_Work], puts)))

    def submit(self, works: Sequence[_Work]) -> Future[list[object]]:
        """Answers in the order of `works`, after the commit."""
        if self.shut is not None:
            return at_once(self.shut, len(works))
        waiting = self.writes.add(works)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many writes wait"), len(works))

    async def one(self, work: _Work) -> object:
        """The answer to a single work."""
        [answer] = await self.submit([work])
        return answer

    def employ(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Runs a task that serves, until `aclose`; ends it by itself, the desk shuts for good."""
        task = asyncio.create_task(work, name=f"{self.cluster}-{name}")
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def shut_for_good(self, why: Failed) -> None:
        """Like `shut_now`, and `open_again` does not end it."""
        self._for_good = why
        self.shut_now(why)

    def shut_now(self, why: Failed) -> None:
        """Tells everybody so, those who wait and those who come."""
        self.shut = why
        self.writes.answer_all(why)
        self.reads.answer_all(why)

    def open_again(self) -> None:
        """Serves whoever comes, unless it is shut for good."""
        self.shut = self._for_good

    @property
    def is_shut_for_good(self) -> bool:
        """Whether nothing but a restart opens it."""
        return self._for_good is not None

    async def aclose(self, last: _Work) -> None:
        """Finishes the writes that wait, with `last` behind them, then ends the tasks."""
        if self.shut is None:
            finished = self.writes.append([last])
            self.shut = _CLOSING
            await finished
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.shut_now(_CLOSING)

    def _ended(self, task: Task[None]) -> None:
        if not task.cancelled():
            error = repr(task.exception())
            name = task.get_name()
            _log.error("cluster_stopped", cluster=self.cluster, task=name, error=error)
            self.shut_for_good(Failed(Reason.ERROR, f"{name} ended: {error}"))
