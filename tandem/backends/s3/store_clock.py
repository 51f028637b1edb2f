"""The store's time, learned from the `Date` of its replies; the machine's wall clock may be wrong.

Requests are signed with it and writes judged by it. It is never ahead of the store: `Date` is cut
to whole seconds and was written before it arrived; how that is dealt with, and a `Date` that is
wrong, is in `tandem.core.offset`.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime

from tandem.core.offset import Offset
from tandem.runtime.clock import Clock


class StoreClock:
    """`heard` every reply; `now_us` in between. Before the first reply it is the machine's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        now_us = clock.monotonic_us()
        self._offset = Offset(clock.now_us() - now_us, now_us)
        self._date = ""
        self._date_us: int | None = None
        self.known = False

    def now_us(self) -> int:
        """The store's time in microseconds since the epoch."""
        return self._clock.monotonic_us() + self._offset.value_us

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
        now_us = self._clock.monotonic_us()
        self._offset.step_to(time_us - now_us, now_us)

    def ahead_of_machine_us(self) -> int:
        """How far the store's time is ahead of the machine's wall clock."""
        return self.now_us() - self._clock.now_us()

    def _learn(self, time_us: int) -> None:
        now_us = self._clock.monotonic_us()
        if self.known:
            self._offset.add(time_us - now_us, now_us)
        else:
            self._offset = Offset(time_us - now_us, now_us)
            self.known = True


def _parsed(date: str) -> int | None:
    """None for what is no date, or none that a request could be signed with."""
    try:
        at = parsedate_to_datetime(date)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return int(at.timestamp()) * 1_000_000
