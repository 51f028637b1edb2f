"""The homes' time as this machine knows it: its monotonic clock plus a learned offset.

How one home's offset is learned is in `tandem.core.offset`; of two homes the greater one is used.
When both leap by the same amount at once, this machine was suspended, and the leap is believed at
once. So are the first offsets that a process learns, if both homes agree on them; one home alone is
believed after 2 s. A worker starts from its supervisor's offset, once it has heard a home that does
not contradict it.
"""

from tandem.core.limits import CLOCK_SKEW_MAX_US, WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.offset import LEAP_US, Offset
from tandem.core.offset_bounds import OffsetBounds
from tandem.core.reply import Side
from tandem.errors import Unavailable
from tandem.runtime.clock import Clock

FRESH_US = 60_000_000
DISAGREEMENT_MAX_US = 1_500_000
QUICK_US = WHOLE_SECOND_CLOCK_SKEW_MAX_US
"""Whoever lags by more would stamp below what its sessions have read elsewhere."""
SLOW_MAX_US = QUICK_US + CLOCK_SKEW_MAX_US
"""From bounds that are no further apart a time can be reckoned that lags by no more than that, and
is ahead of the home by no more than what every home bears."""


class HomeTime:
    """Learns from every reply; `now_us` is what versions are stamped with."""

    def __init__(self, clock: Clock, believed_us: int | None = None) -> None:
        """`believed_us` is what the supervisor of this machine believes, which has the same
        monotonic clock: see `HomeTime.believed_us`."""
        self._clock = clock
        self._elsewhere_us = believed_us
        self._bounds = {side: OffsetBounds() for side in Side}
        self._offsets: dict[Side, Offset] = {}
        self._best_us: int | None = None
        """The greatest offset of any home that was ever believed."""

    def observe(self, side: Side, home_time_us: int, took_us: int = 0) -> None:
        """Takes a home's time from a reply that has just arrived, so long after it was asked for.

        The sample of a slow reply may be too low by all the time that it took, as when it waited in
        a buffer while this process was stopped. So it can raise the offset and never lower it. As
        long as nothing better is known, slow replies count once they bound the offset closely
        enough together (`tandem.core.offset_bounds`).
        """
        now_us = self._clock.monotonic_us()
        sample_us = home_time_us - now_us
        offset = self._offsets.get(side)
        if offset is None or not offset.sure:
            self._begin(side, sample_us, took_us)
        elif took_us > QUICK_US and sample_us <= offset.value_us:
            offset.seen_us = now_us
        else:
            offset.add(sample_us, now_us)
            if offset.leap_us is not None:
                self._leap_together(now_us)
        sure = [offset.value_us for offset in self._offsets.values() if offset.sure]
        self._best_us = max(sure, default=self._best_us)

    def _begin(self, side: Side, sample_us: int, took_us: int) -> None:
        now_us, bounds = self._clock.monotonic_us(), self._bounds[side]
        bounds.add(sample_us, took_us, now_us, FRESH_US)
        elsewhere_us = self._elsewhere_us
        if elsewhere_us is not None and _agrees(elsewhere_us, bounds):
            known_us = min(max(bounds.low_us, elsewhere_us), bounds.high_us)
            self._offsets[side] = Offset(known_us, now_us)
            self._offsets[side].believe()
        elif bounds.apart_us <= SLOW_MAX_US:
            self._begin_with(side, max(bounds.low_us, bounds.high_us - QUICK_US), now_us)

    def _begin_with(self, side: Side, sample_us: int, now_us: int) -> None:
        """Two homes that show the same are both right."""
        if side in self._offsets:
            self._offsets[side].add(sample_us, now_us)
        else:
            self._offsets[side] = Offset(sample_us, now_us)
        mine, other = self._offsets[side], self._offsets.get(side.other)
        fresh = other is not None and mine.seen_us - other.seen_us <= FRESH_US
        if other is not None and fresh and abs(mine.value_us - other.value_us) <= LEAP_US:
            mine.believe()
            other.believe()

    def _leap_together(self, now_us: int) -> None:
        leaps = [offset.leap_us for offset in self._offsets.values() if offset.leap_us is not None]
        if len(leaps) == len(Side) and max(leaps) - min(leaps) <= LEAP_US:
            for offset in self._offsets.values():
                offset.step_to(offset.leap_us or offset.value_us, now_us)

    def known(self) -> bool:
        """Whether any home was heard within the last minute, and is believed."""
        return self.now_or_none_us() is not None

    def now_us(self) -> int:
        """The homes' time in microseconds; Unavailable when no home was heard lately, or when what
        it says has not lasted yet.

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
            if offset.sure and fresh and (best_us is None or offset.value_us > best_us):
                best_us = offset.value_us
        return None if best_us is None else now_us + best_us

    def reckoned_us(self) -> int:
        """The homes' time by dead reckoning, however long they have been silent: good enough to
        judge what has expired, never to stamp a version. The machine's own wall clock while no
        home was ever heard."""
        if self._best_us is None:
            return self._clock.now_us()
        return self._clock.monotonic_us() + self._best_us

    def believed_us(self) -> int | None:
        """How far the homes are ahead of the monotonic clock; None while it is not known."""
        now_us = self.now_or_none_us()
        return None if now_us is None else now_us - self._clock.monotonic_us()

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


def _agrees(believed_us: int, bounds: OffsetBounds) -> bool:
    """Homes may be as far apart as a leap without being wrong."""
    return bounds.low_us - LEAP_US <= believed_us <= bounds.high_us + LEAP_US


class ReckonedClock:
    """The homes' time as a `Clock`, for front doors: what has expired is the homes' affair."""

    def __init__(self, time: HomeTime, clock: Clock) -> None:
        self.now_us = time.reckoned_us
        self.monotonic_us = clock.monotonic_us
