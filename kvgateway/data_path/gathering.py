"""Group commit at the door: writes that come one by one wait for each other, a moment.

A group of writes costs one transaction of the clock, one sync of the journal and one message and
commit in each home, whatever its size, and the writes of Workers come alone, each by a request of
its own. So one group of these is under way at a time, and what comes meanwhile is the next one. It
begins when all are there that circulate: those who were answered write again within a moment, and
if the few that waited went alone, there would be a small group beside a large one for ever.

Nobody waits for longer than WAIT_S, whatever a group that is under way waits for and whoever does
not come back. On an idle gateway nothing waits but for the first turn of the loop that brings no
more writes: those of many connections are read in several.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, TypeAlias

from kvgateway.outcome import fail
from tandem.core.request import Write, Written

Answers: TypeAlias = Sequence[asyncio.Future[Written]]
WAIT_S: Final = 0.004
"""So long a write waits at most, and callers are waited for after their answers: a little more
than a group costs in CPU, which is all that waiting can save."""
GATHERED_MAX: Final = 256
"""So many waiting writes begin at once, which keeps the loop for some milliseconds; fewer at once
would be fewer a second."""
SMALL: Final = 8
"""Larger groups are groups already, and go straight on."""


class Gatherer:
    """The writes of one process that wait to be begun.

    Args:
        begin: begins a group of writes, whose outcomes go into the answers (`Writer.begin`).
    """

    def __init__(self, begin: Callable[[Sequence[Write], Answers], None]) -> None:
        self._begin = begin
        self._loop = asyncio.get_running_loop()
        self._writes: list[Write] = []
        self._answers: list[asyncio.Future[Written]] = []
        self._under_way = 0
        """Groups whose last write has no answer yet: those before it have theirs with it."""
        self._begun = 0
        """How many writes have begun since no group was under way."""
        self._circulating = 0
        """How many had begun or waited when the last group was answered."""
        self._answered_at_s = -inf
        self._since_s = -inf
        """When the first of those came that wait."""
        self._next: asyncio.Handle | None = None
        """What begins the writes that wait."""

    def __len__(self) -> int:
        """How many writes wait."""
        return len(self._writes)

    def write(self, writes: Sequence[Write]) -> Answers:
        """Begins a group of writes, now or together with others."""
        answers = [self._loop.create_future() for _ in writes]
        if not self._writes:
            self._since_s = self._loop.time()
        if len(writes) > SMALL:
            self.flush()
            self._begin(writes, answers)
            return answers
        self._writes += writes
        self._answers += answers
        self._wait()
        return answers

    def _wait(self) -> None:
        """Begins what waits if that is enough, or else sees to it that it begins in time."""
        if len(self._writes) >= GATHERED_MAX:
            self.flush()
        elif not self._under_way and len(self._writes) >= self._circulating:
            self._stop()
            self._next = self._loop.call_soon(self._turned, 0)
        elif self._next is None:
            from_s = self._since_s if self._under_way else self._answered_at_s
            self._next = self._loop.call_at(from_s + WAIT_S, self._turned, 0)

    def _turned(self, before: int) -> None:
        """A turn of the loop has passed, in which there were `before` writes at first."""
        waiting = len(self._writes)
        if waiting > before:
            self._next = self._loop.call_soon(self._turned, waiting)
        else:
            self.flush()

    def flush(self) -> None:
        """Begins all that waits."""
        self._stop()
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
        self._begun += len(writes)
        self._under_way += 1
        answers[-1].add_done_callback(self._answered)

    def _answered(self, _: asyncio.Future[Written]) -> None:
        self._under_way -= 1
        if self._under_way:
            return
        self._circulating, self._begun = self._begun + len(self._writes), 0
        self._answered_at_s = self._loop.time()

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
