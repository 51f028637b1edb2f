"""The store's time, learned from the `Date` of its replies; the machine's wall clock may be wrong.

Requests are signed with it and writes judged by it. It is never ahead of the store: `Date` is cut
to whole seconds and was written before it arrived, so the greatest sample of the last minute is
the best one.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from tandem.runtime.clock import Clock

_WINDOW_US: Final = 30_000_000


class StoreClock:
    """`heard` every reply; `now_us` in between. Before the first reply it is the machine's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._best_us = self._previous_us = clock.now_us() - clock.monotonic_us()
        self._window_began_us = clock.monotonic_us()
        self._date = ""
        self._date_us: int | None = None
        self.known = False

    def now_us(self) -> int:
        """The store's time in microseconds since the epoch."""
        return self._clock.monotonic_us() + max(self._best_us, self._previous_us)

    def heard(self, date: str | None) -> int:
        """Takes the `Date` of a reply that has just arrived; the store's time in that reply."""
        if date is None:
            return self.now_us()
        if date != self._date:
            self._date, self._date_us = date, _parsed(date)
        if self._date_us is None:
            return self.now_us()
        self._learn(self._date_us)
        return self._date_us

    def step_to(self, time_us: int) -> None:
        """Forgets what was learned: the store has refused a request signed by it."""
        self._begin(time_us - self._clock.monotonic_us())
        self._previous_us = self._best_us

    def ahead_of_machine_us(self) -> int:
        """How far the store's time is ahead of the machine's wall clock."""
        return self.now_us() - self._clock.now_us()

    def _learn(self, time_us: int) -> None:
        sample_us = time_us - self._clock.monotonic_us()
        if not self.known:
            self.step_to(time_us)
            self.known = True
        elif self._clock.monotonic_us() - self._window_began_us >= _WINDOW_US:
            self._previous_us = self._best_us
            self._begin(sample_us)
        elif sample_us > self._best_us:
            self._best_us = sample_us

    def _begin(self, sample_us: int) -> None:
        self._best_us = sample_us
        self._window_began_us = self._clock.monotonic_us()


def _parsed(date: str) -> int | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000
