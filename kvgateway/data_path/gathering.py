"""Group commit at the door: writes that come one by one wait for each other, a moment.

A group of writes costs one transaction of the clock, one sync of the journal and one message and
commit in each home, whatever its size, and the writes of Workers come alone, each by a request of
its own. So what comes while such a group is under way forms the next one, as with PostgreSQL's
`commit_delay` and `commit_siblings`. Where none is, writes begin with the first turn of the loop
that brings no more of them: those of many connections are read in several turns. On an idle gateway
nothing waits longer, and nothing waits for a slow home: after WAIT_S the next group begins,
whatever the last one is doing.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from kvgateway.outcome import fail
from tandem.core.request import Write, Written

Answers: TypeAlias = Sequence[asyncio.Future[Written]]
WAIT_S: Final = 0.005
"""About what a group takes on disks that sync in a millisecond or two. With 2 ms, 32 callers behind
workerd wrote 2,725 times a second, with 5 ms 3,190 to 3,370 times (bench.workers, in turns)."""
GATHERED_MAX: Final = 64
"""So many waiting writes begin at once."""
SMALL: Final = 8
"""Larger groups are groups already, and go straight on."""


class Gatherer:
    """The writes of one process that wait to be begun.

    Args:
        begin: begins a group of writes, whose outcomes go into the answers (`Writer.begin`).
    """

    def __init__(self, begin: Callable[[Sequence[Write], Answers], None]) -> None:
        self._begin = begin
        self._writes: list[Write] = []
        self._answers: list[asyncio.Future[Written]] = []
        self._under_way = 0
        """Groups whose last write has no answer yet: those before it have theirs with it."""
        self._timer: asyncio.Handle | None = None

    def __len__(self) -> int:
        """How many writes wait."""
        return len(self._writes)

    def write(self, writes: Sequence[Write]) -> Answers:
        """Begins a group of writes, now or together with others."""
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in writes]
        if len(writes) > SMALL:
            self.flush()
            self._begin(writes, answers)
            return answers
        self._writes += writes
        self._answers += answers
        if len(self._writes) >= GATHERED_MAX:
            self.flush()
        elif self._timer is None:
            if self._under_way:
                self._timer = loop.call_later(WAIT_S, self.flush)
            else:
                self._timer = loop.call_soon(self._turned, 0)
        return answers

    def _turned(self, before: int) -> None:
        """A turn of the loop has passed, in which there were `before` writes at first."""
        waiting = len(self._writes)
        if waiting > before:
            self._timer = asyncio.get_running_loop().call_soon(self._turned, waiting)
        else:
            self.flush()

    def flush(self) -> None:
        """Begins all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        writes, self._writes = self._writes, []
        answers, self._answers = self._answers, []
        if not writes:
            return
        try:
            self._begin(writes, answers)
        except Exception as error:
            for answer in answers:
                fail(answer, error)
            return
        self._under_way += 1
        answers[-1].add_done_callback(self._answered)

    def _answered(self, _: asyncio.Future[Written]) -> None:
        self._under_way -= 1
        if not self._under_way:
            self.flush()
