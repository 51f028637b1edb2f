"""Group commit at the door: writes that come one by one wait for each other, a moment.

A group of writes costs one transaction of the clock, one sync of the journal and one message and
commit in each home, whatever its size, and the writes of Workers come alone, each by a request of
its own. So what comes while such a group is under way forms the next one, as with PostgreSQL's
`commit_delay` and `commit_siblings`. On an idle gateway nothing waits, and nothing waits for a
home: after WAIT_S the next group begins, whatever the last one is doing.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from tandem.core.request import Write, Written
from tandem.errors import TandemError

Begun: TypeAlias = TandemError | asyncio.Future[Written]
WAIT_S: Final = 0.002
GATHERED_MAX: Final = 64
"""So many waiting writes begin at once."""
SMALL: Final = 8
"""Larger groups are groups already, and go straight on."""


class Gatherer:
    """The writes of one process that wait to be begun.

    Args:
        begin: begins a group; one answer for each write (`Writer.write`).
    """

    def __init__(self, begin: Callable[[Sequence[Write]], Sequence[Begun]]) -> None:
        self._begin = begin
        self._writes: list[Write] = []
        self._answers: list[asyncio.Future[Written]] = []
        self._unanswered = 0
        """Writes that were begun and have no answer yet."""
        self._timer: asyncio.Handle | None = None

    def __len__(self) -> int:
        """How many writes wait."""
        return len(self._writes)

    def write(self, writes: Sequence[Write]) -> Sequence[Begun]:
        """Begins a group of writes, now or together with others."""
        if len(writes) > SMALL:
            self.flush()
            return self._begin(writes)
        loop = asyncio.get_running_loop()
        answers = [loop.create_future() for _ in writes]
        self._writes += writes
        self._answers += answers
        if len(self._writes) >= GATHERED_MAX:
            self.flush()
        elif self._timer is None:
            if self._unanswered:
                self._timer = loop.call_later(WAIT_S, self.flush)
            else:
                self._timer = loop.call_soon(self.flush)
        return answers

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
            outcomes = self._begin(writes)
        except Exception as error:
            for answer in answers:
                _fail(answer, error)
            return
        self._unanswered += len(writes)
        for answer, begun in zip(answers, outcomes, strict=True):
            if isinstance(begun, asyncio.Future):
                begun.add_done_callback(partial(self._answered, answer))
            else:
                self._unanswered -= 1
                _fail(answer, begun)

    def _answered(self, answer: asyncio.Future[Written], begun: asyncio.Future[Written]) -> None:
        self._unanswered -= 1
        if begun.cancelled():
            answer.cancel()
        elif error := begun.exception():
            _fail(answer, error)
        elif not answer.done():
            answer.set_result(begun.result())
        if not self._unanswered:
            self.flush()


def _fail(answer: asyncio.Future[Written], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()
