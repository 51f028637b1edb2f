"""Between which bounds a home's offset lies, from replies that are too slow to tell it alone.

A reply says what time it was at the home at some moment between its request and its arrival. So the
offset lies between `home time - arrival` and `home time - request`, and in what all replies of one
home have in common. A reply that contradicts the others begins anew: one of them was wrong.
"""


class OffsetBounds:
    """What the replies of one home have in common; times are of the monotonic clock."""

    __slots__ = ("_seen_us", "high_us", "low_us")

    def __init__(self) -> None:
        self.low_us = self.high_us = 0
        self._seen_us: int | None = None

    def add(self, sample_us: int, took_us: int, now_us: int, lasts_us: int) -> None:
        """Takes a reply that has just arrived, so long after it was asked for. What was heard more
        than `lasts_us` before the last reply counts no more."""
        high_us = sample_us + took_us
        apart = sample_us > self.high_us or high_us < self.low_us
        if self._seen_us is None or apart or now_us - self._seen_us > lasts_us:
            self.low_us, self.high_us = sample_us, high_us
        else:
            self.low_us = max(self.low_us, sample_us)
            self.high_us = min(self.high_us, high_us)
        self._seen_us = now_us

    @property
    def apart_us(self) -> int:
        """How much is not known."""
        return self.high_us - self.low_us
