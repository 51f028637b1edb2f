"""The homes' time as this machine knows it: its monotonic clock plus a learned offset.

Each reply gives a sample `home time - arrival`, which is at most the true offset and short of it by
the way back; so the greatest sample of the last minute is the best one (the minimum filter of NTP,
one-sided). The result is never ahead of the homes, and follows them when they drift.
"""

from tandem.core.reply import Side
from tandem.errors import Unavailable
from tandem.runtime.clock import Clock

WINDOW_US = 30_000_000
FRESH_US = 60_000_000
DISAGREEMENT_MAX_US = 1_500_000


class _Offset:
    """The greatest sample of the last one to two windows."""

    __slots__ = ("_began_us", "_best", "_previous", "seen_us", "value_us")

    def __init__(self, sample_us: int, now_us: int) -> None:
        self._best = self._previous = self.value_us = sample_us
        self._began_us = self.seen_us = now_us

    def add(self, sample_us: int, now_us: int) -> None:
        self.seen_us = now_us
        age_us = now_us - self._began_us
        if age_us >= WINDOW_US:
            self._previous = self._best if age_us < 2 * WINDOW_US else sample_us
            self._best, self._began_us = sample_us, now_us
            self.value_us = max(self._best, self._previous)
        elif sample_us > self._best:
            self._best = sample_us
            self.value_us = max(self._best, self._previous)


class HomeTime:
    """Learns from every reply; `now_us` is what versions are stamped with."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offsets: dict[Side, _Offset] = {}
        self._best_us: int | None = None
        """The greatest offset of any home that was ever heard."""

    def observe(self, side: Side, home_time_us: int) -> None:
        """Takes a home's time from a reply that has just arrived."""
        now_us = self._clock.monotonic_us()
        offset = self._offsets.get(side)
        if offset is None:
            self._offsets[side] = _Offset(home_time_us - now_us, now_us)
        else:
            offset.add(home_time_us - now_us, now_us)
        self._best_us = max([offset.value_us for offset in self._offsets.values()])

    def known(self) -> bool:
        """Whether any home was heard within the last minute."""
        return self.now_or_none_us() is not None

    def now_us(self) -> int:
        """The homes' time in microseconds; Unavailable when no home was heard lately.

        The machine's own wall clock has no say in it.
        """
        now_us = self.now_or_none_us()
        if now_us is None:
            raise Unavailable("the homes' clocks are not known: neither home was heard lately")
        return now_us

    def now_or_none_us(self) -> int | None:
        """The homes' time, or None while it is not known."""
        now_us = self._clock.monotonic_us()
        best_us = None
        for offset in self._offsets.values():
            fresh = now_us - offset.seen_us <= FRESH_US
            if fresh and (best_us is None or offset.value_us > best_us):
                best_us = offset.value_us
        return None if best_us is None else now_us + best_us

    def reckoned_us(self) -> int:
        """The homes' time by dead reckoning, however long they have been silent: good enough to
        judge what has expired, never to stamp a version. The machine's own wall clock while no
        home was ever heard."""
        if self._best_us is None:
            return self._clock.now_us()
        return self._clock.monotonic_us() + self._best_us

    def now_or_zero_us(self) -> int:
        """The homes' time, or 0 while it is not known."""
        return self.now_or_none_us() or 0

    def offset_us(self) -> int:
        """How far the homes are ahead of this machine's wall clock; 0 while nothing is known."""
        now_us = self.now_or_none_us()
        return 0 if now_us is None else now_us - self._clock.now_us()

    def alarm(self) -> bool:
        """Whether the clocks of two homes that were both heard lately disagree by more than
        versions can bear."""
        heard_us = self._clock.monotonic_us() - FRESH_US
        values = [o.value_us for o in self._offsets.values() if o.seen_us >= heard_us]
        return len(values) == 2 and abs(values[0] - values[1]) > DISAGREEMENT_MAX_US


class ReckonedClock:
    """The homes' time as a `Clock`, for front doors: what has expired is the homes' affair."""

    def __init__(self, time: HomeTime, clock: Clock) -> None:
        self.now_us = time.reckoned_us
        self.monotonic_us = clock.monotonic_us
