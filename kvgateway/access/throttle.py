"""Operations over their quota that wait for their turn: they begin on a beat, together.

Refused, they would come back, which costs more than the wait; begun one by one, as their turns
come, each write would be a group of its own, and others would wait behind every one of them. The
beats are those of the machine's clock, so those of all workers fall together, too.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from kvgateway.outcome import fail, pass_on
from tandem.core.request import Read, ReadResult, Write, Written
from tandem.errors import Overloaded, TandemError

READ_BEAT_US: Final = 10_000
WRITE_BEAT_US: Final = 50_000
WAITING_MAX: Final = 10_000
"""More of one worker are refused."""
BEGUN_AT_ONCE: Final = 128
"""In one turn of the loop."""

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")
_Begin: TypeAlias = Callable[
    [Sequence[_Request]], Sequence[_Result | TandemError | Future[_Result]]
]


class Throttle(Generic[_Request, _Result]):
    """Those of one worker that wait.

    Args:
        begin: begins a group of requests; one outcome for each.
        beat_us: how long a beat is.
        monotonic_us: the machine's monotonic clock.
    """

    def __init__(
        self,
        begin: _Begin[_Request, _Result],
        beat_us: int,
        monotonic_us: Callable[[], int],
    ) -> None:
        self._begin = begin
        self._beat_us = beat_us
        self._monotonic_us = monotonic_us
        self._beats: dict[int, deque[tuple[_Request, Future[_Result]]]] = {}
        self._waiting = 0

    def wait(self, request: _Request, moment_us: int) -> "Future[_Result] | Overloaded":
        """The outcome of a request that begins on the first beat from that moment on."""
        if self._waiting >= WAITING_MAX:
            return Overloaded(f"{self._waiting} operations wait for their turn")
        loop = asyncio.get_running_loop()
        answer: Future[_Result] = loop.create_future()
        beat = -(-moment_us // self._beat_us)
        if beat not in self._beats:
            self._beats[beat] = deque()
            after_us = max(beat * self._beat_us - self._monotonic_us(), 0)
            loop.call_later(after_us / 1e6, self._struck, beat)
        self._beats[beat].append((request, answer))
        self._waiting += 1
        return answer

    def _struck(self, beat: int) -> None:
        waiting = self._beats[beat]
        some = [waiting.popleft() for _ in range(min(len(waiting), BEGUN_AT_ONCE))]
        self._waiting -= len(some)
        if waiting:
            asyncio.get_running_loop().call_soon(self._struck, beat)
        else:
            del self._beats[beat]
        self._begun([one for one in some if not one[1].done()])

    def _begun(self, some: "Sequence[tuple[_Request, Future[_Result]]]") -> None:
        try:
            outcomes = self._begin([request for request, _ in some])
        except Exception as error:  # whoever waits must hear of a fault of ours, too
            for _, answer in some:
                fail(answer, error)
            return
        for (_, answer), outcome in zip(some, outcomes, strict=True):
            pass_on(outcome, answer)


class Throttles:
    """Those of one worker; what begins them is its data path's."""

    def __init__(
        self,
        begin_reads: _Begin[Read, ReadResult],
        begin_writes: _Begin[Write, Written],
        monotonic_us: Callable[[], int],
    ) -> None:
        self.reads = Throttle(begin_reads, READ_BEAT_US, monotonic_us)
        self.writes = Throttle(begin_writes, WRITE_BEAT_US, monotonic_us)
