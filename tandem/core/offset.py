"""How far a home's clock is ahead of this machine's monotonic one, learned from its replies.

Each reply gives a sample `home time - arrival`, which is at most the true offset and short of it by
the way back; so the greatest sample of the last minute is the best one (the minimum filter of NTP,
one-sided). The result is never ahead of the home, and follows it when it drifts.

One sample far above the others is a leap. It may be that this machine was suspended, or that the
home's clock was set; or some answer came with a wrong time, and whoever believed it would stamp
versions that no home takes. So a leap counts when every sample has shown it for a while; and of
the first three samples, those far above the middle one do not count.

At the beginning all samples may be wrong. What they say is `sure` once they have agreed for as long
as a leap must last; before, a sample that is far off begins anew.
"""

from typing import Final

WINDOW_US: Final = 30_000_000
LEAP_US: Final = 1_500_000
"""What is further above the offset than this is a leap: whole seconds and drift stay below."""
LASTS_US: Final = 2_000_000
"""How long samples must agree before a leap, or the first of them, are believed."""
SAMPLES_MIN: Final = 3
"""How many of them there must be."""


class Offset:
    """The greatest sample of the last one to two windows; times are of the monotonic clock."""

    __slots__ = (
        "_agreed", "_agreed_since_us", "_began_us", "_best", "_first", "_leap", "_leap_began_us",
        "_leaps", "_previous", "seen_us", "sure", "value_us",
    )  # fmt: skip

    value_us: int
    """The offset."""

    def __init__(self, sample_us: int, now_us: int) -> None:
        self.seen_us = now_us
        self.sure = False
        """Whether the samples have agreed for long enough, or it is known to be right otherwise."""
        self._first: list[int] = []
        self.step_to(sample_us, now_us)
        self._first.append(sample_us)

    @property
    def leap_us(self) -> int | None:
        """The offset that the home may have leapt to; None when there is no doubt."""
        return self._leap if self._leaps else None

    def step_to(self, sample_us: int, now_us: int) -> None:
        """Forgets what was learned before this sample, which counts."""
        self._hold(sample_us, sample_us)
        self._leap = sample_us
        self._began_us = self._leap_began_us = self._agreed_since_us = now_us
        self._leaps, self._agreed = 0, 1
        self._first = []

    def believe(self) -> None:
        """It is right, as something else has shown: what is far above it from now on is a leap."""
        self.sure = True
        self._first = []

    def add(self, sample_us: int, now_us: int) -> None:
        """Takes the sample of a reply that has just arrived."""
        self.seen_us = now_us
        if self._first:
            self._begin(sample_us, now_us)
        elif sample_us - self.value_us > LEAP_US:
            self._agreed = 0
            self._doubt(sample_us, now_us)
        elif self.value_us - sample_us > LEAP_US and not self.sure:
            self.step_to(sample_us, now_us)
        else:
            self._learn(sample_us, now_us)

    def _begin(self, sample_us: int, now_us: int) -> None:
        self._first.append(sample_us)
        middle = sorted(self._first)[(len(self._first) - 1) // 2]
        best = max(sample for sample in self._first if sample - middle <= LEAP_US)
        self._hold(best, best)
        if max(self._first) - min(self._first) > LEAP_US:
            self._agreed = 0
        self._agree(now_us)
        if len(self._first) == SAMPLES_MIN:
            self._first = []

    def _learn(self, sample_us: int, now_us: int) -> None:
        self._leaps = 0
        self._agree(now_us)
        age_us = now_us - self._began_us
        if age_us >= WINDOW_US:
            self._began_us = now_us
            self._hold(sample_us, self._best if age_us < 2 * WINDOW_US else sample_us)
        elif sample_us > self._best:
            self._hold(sample_us, self._previous)

    def _hold(self, best_us: int, previous_us: int) -> None:
        """These are the greatest samples of this window and of the one before."""
        self._best, self._previous = best_us, previous_us
        self.value_us = max(best_us, previous_us)

    def _agree(self, now_us: int) -> None:
        if not self._agreed:
            self._agreed_since_us = now_us
        self._agreed += 1
        self.sure |= self._agreed >= SAMPLES_MIN and now_us - self._agreed_since_us >= LASTS_US

    def _doubt(self, sample_us: int, now_us: int) -> None:
        if not self._leaps or abs(sample_us - self._leap) > LEAP_US:
            self._leap, self._leap_began_us, self._leaps = sample_us, now_us, 1
            return
        self._leap = max(self._leap, sample_us)
        self._leaps += 1
        if self._leaps >= SAMPLES_MIN and now_us - self._leap_began_us >= LASTS_US:
            self.step_to(self._leap, now_us)
            self.sure = True
