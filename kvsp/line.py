"""A bounded line of batches before those who serve a cluster; everything in it gets an answer.

Whatever else the answers of a line are, each of them may be Failed.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar, cast

from tandem.core.reply import Failed, Reason
from tandem.runtime.done import done

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class Line(Generic[_Asked, _Answer]):
    """Batches that wait, each with the future that its answers go to."""

    def __init__(self, waiting_max: int) -> None:
        self._max = waiting_max
        self._waiting = 0
        self._batches: deque[Batch[_Asked, _Answer]] = deque()
        self._wake = asyncio.Event()

    def add(self, asked: Sequence[_Asked]) -> Future[list[_Answer]] | None:
        """The future of the answers; None when too many wait already.

        Where nothing waits a batch of any length is taken: refused then, it would be for ever.
        """
        if self._waiting and self._waiting + len(asked) > self._max:
            return None
        return self.append(asked)

    def append(self, asked: Sequence[_Asked]) -> Future[list[_Answer]]:
        """Like `add`, for the one batch that is never refused: the last."""
        batch: Batch[_Asked, _Answer] = Batch(asked)
        self._batches.append(batch)
        self._waiting += len(asked)
        self._wake.set()
        return batch.answers

    async def arrival(self) -> None:
        """Returns once something waits."""
        while not self._batches:
            self._wake.clear()
            await self._wake.wait()

    def take(self, most: int) -> "list[Batch[_Asked, _Answer]]":
        """What waits, in order, up to `most` items or one batch."""
        taken: list[Batch[_Asked, _Answer]] = []
        size = 0
        while self._batches and (not taken or size + len(self._batches[0].asked) <= most):
            taken.append(self._batches.popleft())
            size += len(taken[-1].asked)
        self._waiting -= size
        return taken

    async def serve(
        self, most: int, work: Callable[[Sequence[_Asked]], Awaitable[Sequence[_Answer]]]
    ) -> None:
        """Takes what waits, up to `most` items or one batch, and hands over what `work` answers.
        A fault of `work` is answered too, and raised."""
        batches = self.take(most)
        asked = [one for batch in batches for one in batch.asked]
        try:
            answers = await work(asked)
        except BaseException as error:
            fault = Failed(Reason.ERROR, f"a fault of KVSP: {error!r}")
            _settle(batches, [cast(_Answer, fault)] * len(asked))
            raise
        _settle(batches, answers)

    def answer_all(self, answer: _Answer) -> None:
        """Gives everything that waits the same answer."""
        for batch in self.take(self._waiting):
            batch.settle([answer] * len(batch.asked))


class Batch(Generic[_Asked, _Answer]):
    """What one message asked of one cluster."""

    __slots__ = ("answers", "asked")

    def __init__(self, asked: Sequence[_Asked]) -> None:
        self.asked = asked
        self.answers: Future[list[_Answer]] = asyncio.get_running_loop().create_future()

    def settle(self, answers: list[_Answer]) -> None:
        """Hands over the answers, if anyone still wants them."""
        if not self.answers.done():
            self.answers.set_result(answers)


def _settle(batches: Sequence[Batch[_Asked, _Answer]], answers: Sequence[_Answer]) -> None:
    """Hands each batch its share of `answers`, which are in the same order."""
    at = 0
    for batch in batches:
        batch.settle(list(answers[at : at + len(batch.asked)]))
        at += len(batch.asked)


def at_once(answer: _Answer, times: int) -> "Future[list[_Answer]]":
    """Answers that need not be waited for."""
    return done([answer] * times)
