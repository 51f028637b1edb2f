"""What one home answers, seen in one place: for its breaker, for the clock and for the metrics."""

from collections.abc import Sequence
from typing import Final, Protocol

from kvgateway.homes.home_time import HomeTime
from tandem.backends.port import ScanPage
from tandem.core.backoff import Breaker, BreakerRule, BreakerState
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("guard")
_OUTAGE: Final = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.ERROR, Reason.OVERLOADED})
"""A corrupt copy, somebody else's object and a lost race are answers of a home that works."""
_SHOWN_US: Final = 60_000_000
"""How long after a home's recovery its last failure is of interest."""


class HomeObserver(Protocol):
    """Who counts what homes answer."""

    def replied(
        self, side: Side, operation: str, failure: Reason | None, elapsed_us: int, calls: int = 1
    ) -> None:
        """So many calls that began together have ended alike."""
        ...

    def broke(self, side: Side) -> None:
        """A home's code raised an exception that it should not."""
        ...


class HomeAnswers:
    """Owns the home's breaker. `began_us` is when a call began, by the monotonic clock."""

    def __init__(
        self, side: Side, clock: Clock, time: HomeTime, observer: HomeObserver, rule: BreakerRule
    ) -> None:
        self._side = side
        self._clock = clock
        self._time = time
        self._observer = observer
        self._failure = ""
        self._failed_us = 0
        self.breaker = Breaker(rule)

    @property
    def why_broken(self) -> str:
        """Why the home was last given up, however long ago; empty if it never was."""
        return self._failure

    @property
    def last_failure(self) -> str:
        """Why the home was last given up, while that matters: as long as its breaker is not closed,
        and for a minute after the last call that it did not answer."""
        age_us = self._clock.monotonic_us() - self._failed_us
        closed = self.breaker.state is BreakerState.CLOSED
        return "" if closed and age_us > _SHOWN_US else self._failure

    def replied(
        self, operation: str, reply: ReadReply | WriteReply | ScanPage, began_us: int
    ) -> None:
        """One call has ended."""
        self._replied(operation, reply, began_us, self._clock.monotonic_us())

    def all_replied(
        self,
        operation: str,
        replies: Sequence[tuple[int, WriteReply]] | Sequence[tuple[int, ReadReply]],
        began_us: int,
    ) -> None:
        """Calls that began together have ended together; but for failures they count at once."""
        now_us = self._clock.monotonic_us()
        answered = 0
        home_time_us = 0
        for _, reply in replies:
            if isinstance(reply, Failed):
                self._replied(operation, reply, began_us, now_us)
                continue
            answered += 1
            if reply.home_time_us > home_time_us:
                home_time_us = reply.home_time_us
        if answered:
            self.breaker.succeeded(answered)
            if home_time_us:
                self._time.observe(self._side, home_time_us, now_us - began_us)
            self._observer.replied(self._side, operation, None, now_us - began_us, answered)

    def heard(self, reply: ReadReply, deadline_s: float) -> None:
        """A call has ended that went past the guard: the keeper's heartbeat."""
        now_us = self._clock.monotonic_us()
        match reply:
            case Failed(reason) if reason in _OUTAGE:
                waited_us = int(deadline_s * 1e6) if reason is Reason.TIMEOUT else 0
                self._failed(reply, now_us, now_us - waited_us)
            case _:
                self.breaker.heard(now_us)

    def broke(self, error: BaseException) -> Failed:
        """The home has raised, which it must not: it has failed."""
        self._observer.broke(self._side)
        _LOG.error("home_broke", home=self._side.value, error=repr(error), exc_info=error)
        return Failed(Reason.ERROR, repr(error))

    def _replied(
        self, operation: str, reply: ReadReply | WriteReply | ScanPage, began_us: int, now_us: int
    ) -> None:
        failure = reply.reason if isinstance(reply, Failed) else None
        if isinstance(reply, Failed) and reply.reason in _OUTAGE:
            self._failed(reply, now_us, began_us)
        else:
            self.breaker.succeeded()
        if reply.home_time_us:
            self._time.observe(self._side, reply.home_time_us, now_us - began_us)
        self._observer.replied(self._side, operation, failure, now_us - began_us)

    def _failed(self, failed: Failed, now_us: int, began_us: int) -> None:
        self.breaker.failed(now_us, began_us)
        self._failure = str(failed)
        self._failed_us = now_us
