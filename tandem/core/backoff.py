"""When to try again, and whether to try at all: jittered backoff, retry budget, circuit breaker.

Time and randomness come in as arguments. The budget follows Finagle's and gRPC's retry throttling
(retries only in proportion to successes); the breaker has a half-open state with a slow start,
which a heartbeat begins: no caller waits for a home that is given up.
"""

import enum
from dataclasses import dataclass


def delay_s(attempt: int, *, first_s: float, most_s: float, unit_random: float) -> float:
    """The pause before retry number `attempt` (1, 2, ...), with jitter over almost all of it.

    `unit_random` is in [0, 1); the pause lies between a tenth of the exponential step and the step.
    """
    assert attempt >= 1
    step_s = min(most_s, first_s * 2.0 ** min(attempt - 1, 62))
    return step_s * (0.1 + 0.9 * unit_random)


class RetryBudget:
    """Tokens that successes earn and retries spend, so that retries stay a share of the load.

    Where nothing but retries is left to do, `earned_per_s` lets a few through, or none ever would
    succeed.
    """

    def __init__(
        self, *, tokens_max: float, earned_per_success: float, earned_per_s: float = 0.0
    ) -> None:
        self._tokens_max = tokens_max
        self._earned = earned_per_success
        self._earned_per_s = earned_per_s
        self.tokens = tokens_max

    def succeeded(self) -> None:
        """Notes a success."""
        self.tokens = min(self.tokens + self._earned, self._tokens_max)

    def elapsed(self, seconds: float) -> None:
        """Notes that time has passed."""
        self.tokens = min(self.tokens + seconds * self._earned_per_s, self._tokens_max)

    def spend(self) -> bool:
        """Takes one token for a retry; False when there is none."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class BreakerState(enum.Enum):
    """How much a home is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a breaker opens and how it closes.

    A home that hangs costs each caller a deadline, so a few of these are enough; one that refuses
    at once costs nothing, and may be back from a restart. What fails must do so over some time:
    where this process was paused, all that it waited for fails in one instant, and says nothing.
    """

    failures_to_open: int = 20
    """This many failures without a success in between, ..."""
    waits_to_open: int = 3
    """... or this many that were each waited for, ..."""
    wait_us: int = 1_000_000
    """... which is for at least this long, ..."""
    failing_us_to_open: int = 1_000_000
    """... open it if the first was at least this long ago."""
    open_us: int = 2_000_000
    """How long it stays open at least before a heartbeat begins the trials."""
    successes_to_close: int = 8
    """Successes in half-open state until it is closed; admissions double with each."""


class Breaker:
    """A circuit breaker over one home; every caller asks `admits` and reports what came of it.

    Who asks the home whether it is back, whatever the breaker says, reports that to `heard`.
    """

    def __init__(self, rule: BreakerRule) -> None:
        self._rule = rule
        self.state = BreakerState.CLOSED
        self.openings = 0
        """How often it has opened: for whoever looks only now and then."""
        self._failures = 0
        self._waits = 0
        self._failing_since_us = 0
        self._opened_us = 0
        self._successes = 0
        self._trials = 0

    def admits(self) -> bool:
        """Whether a call may be made; in half-open state this takes one of the trials."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.room(1) == 0:
            return False
        self._trials += 1
        return True

    def room(self, most: int) -> int:
        """How many calls, `most` of them at most, would be admitted now."""
        match self.state:
            case BreakerState.CLOSED:
                return most
            case BreakerState.OPEN:
                return 0
            case BreakerState.HALF_OPEN:
                return max(0, min(most, (1 << self._successes) - self._trials))

    def abandoned(self) -> None:
        """Notes a call that was admitted and whose outcome nobody will know."""
        self._trials = max(0, self._trials - 1)

    def succeeded(self, calls: int = 1) -> None:
        """Notes calls that the home answered."""
        self._failures = self._waits = 0
        if self.state is BreakerState.HALF_OPEN:
            self._successes += calls
            self._trials = max(0, self._trials - calls)
            if self._successes >= self._rule.successes_to_close:
                self.state = BreakerState.CLOSED

    def heard(self, now_us: int) -> None:
        """Notes that the home answered a heartbeat, which begins the trials of an open breaker."""
        if self.state is BreakerState.OPEN and now_us - self._opened_us >= self._rule.open_us:
            self.state = BreakerState.HALF_OPEN
            self._successes, self._trials = 0, 0
        self.succeeded()

    def failed(self, now_us: int, began_us: int) -> None:
        """Notes that the home did not answer a call which began at `began_us`.

        Calls that were made before it opened fail long after; they say nothing of the home as it
        is now, and keep it open no longer.
        """
        if self.state is BreakerState.OPEN:
            return
        if self.state is BreakerState.HALF_OPEN:
            if began_us >= self._opened_us:
                self._open(now_us)
            return
        if self._failures == 0:
            self._failing_since_us = now_us
        self._failures += 1
        self._waits += now_us - began_us >= self._rule.wait_us
        rule = self._rule
        enough = self._failures >= rule.failures_to_open or self._waits >= rule.waits_to_open
        if enough and now_us - self._failing_since_us >= rule.failing_us_to_open:
            self._open(now_us)

    def _open(self, now_us: int) -> None:
        self.state = BreakerState.OPEN
        self.openings += 1
        self._opened_us = now_us
