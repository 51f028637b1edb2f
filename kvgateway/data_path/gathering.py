"""Group commit at the door: writes that come one by one wait for each other, a moment.

A group of writes costs one transaction of the clock, one sync of the journal and one message and
commit in each home, whatever its size, and the writes of Workers come alone, each by a request of
its own. So what comes while such a group is under way forms the next one, as with PostgreSQL's
`commit_delay` and `commit_siblings`. It begins when that group is answered and all that circulate
are there: those who were answered write again within a moment, and if the few that waited went
alone, there would be a small group beside a large one for ever. Who comes at a pace of its own is
waited for only while writes come in without a pause, once half of them are there; and where fewer
than half of a group came back, nobody is waited for until half of one do: a tenant that may write
so often a second would else hold up every other.

Where nobody was answered lately, writes begin with the first turn of the loop that brings no more
of them: those of many connections are read in several turns. On an idle gateway nothing waits
longer, and nothing waits for a slow home: after WAIT_S the next group begins, whatever the last one
is doing and however few it is.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, TypeAlias

from kvgateway.outcome import fail
from tandem.core.request import Write, Written

Answers: TypeAlias = Sequence[asyncio.Future[Written]]
WAIT_S: Final = 0.008
"""Longer than 32 callers behind workerd take to come back: half do within 3 ms, all within 6."""
PAUSE_S: Final = 0.002
"""They come every 0.2 ms, and stop for longer where cores are short. When half of all were enough,
32 callers wrote in groups of 18 to 20, each write for 202 us of the gateway's CPU and 64 us of
KVSP's; in groups of 31 it is 152 and 47 us (bench.workers' load). Where others took two thirds of
the CPU it was groups of 8 and 1,360 writes a second, and is groups of 18 and 2,000."""
GATHERED_MAX: Final = 64
"""So many waiting writes begin at once."""
TOLD_FROM: Final = 4
"""Fewer writes do not show who comes back."""
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
        self._begun = 0
        """How many writes have begun since no group was under way."""
        self._circulating = 0
        """How many had begun or waited when the last group was answered."""
        self._answered_at_s = -inf
        self._answered_last = 0
        """How many writes were answered then."""
        self._returned = 0
        """How many have come within WAIT_S of that."""
        self._come_back = True
        """Whether half as many came as had been answered, when last those were enough to tell."""
        self._beginning = False
        """Whether the writes that wait begin with the first turn that brings no more."""
        self._pausing = False
        """Whether they begin with the first pause."""
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
        if loop.time() - self._answered_at_s <= WAIT_S:
            self._returned += len(writes)
        self._wait()
        return answers

    def _wait(self) -> None:
        """Begins what waits if that is enough, or else sees to it that it begins in time."""
        loop = asyncio.get_running_loop()
        waiting = len(self._writes)
        if waiting >= GATHERED_MAX:
            self.flush()
        elif self._beginning:
            return
        elif not self._under_way and waiting >= self._expected(loop.time()):
            self._stop_timer()
            self._beginning = True
            self._timer = loop.call_soon(self._turned, 0)
        elif not self._under_way and not self._pausing and 2 * waiting >= self._circulating:
            self._stop_timer()
            self._pausing = True
            self._timer = loop.call_later(PAUSE_S, self._paused, waiting)
        elif self._timer is None:
            self._timer = loop.call_later(WAIT_S, self.flush)

    def _expected(self, now_s: float) -> int:
        """So many writes are enough: whoever has not come back after WAIT_S is not waited for."""
        waits = self._come_back and now_s - self._answered_at_s <= WAIT_S
        return max(1, self._circulating) if waits else 1

    def _paused(self, before: int) -> None:
        """PAUSE_S have passed, in which there were `before` writes at first. Those that still come
        WAIT_S after the last answers are enough, each of them (`_expected`)."""
        waiting = len(self._writes)
        if waiting > before:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PAUSE_S, self._paused, waiting)
        else:
            self.flush()

    def _turned(self, before: int) -> None:
        """A turn of the loop has passed, in which there were `before` writes at first."""
        waiting = len(self._writes)
        if waiting > before:
            self._timer = asyncio.get_running_loop().call_soon(self._turned, waiting)
        else:
            self.flush()

    def flush(self) -> None:
        """Begins all that waits."""
        self._stop_timer()
        self._beginning = self._pausing = False
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
        if self._answered_last >= TOLD_FROM:
            self._come_back = 2 * self._returned >= self._answered_last
        self._answered_last, self._returned = self._begun, 0
        self._circulating, self._begun = self._begun + len(self._writes), 0
        self._answered_at_s = asyncio.get_running_loop().time()
        if self._writes:
            self._wait()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
