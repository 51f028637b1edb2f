"""How long a home has taken lately, for those who would not wait longer than is usual."""

from typing import Final

WINDOW: Final = 256
"""So many of the last replies count."""
KNOWN_FROM: Final = 32
"""Fewer replies say little."""
_RENEWED_EACH: Final = 16


class RecentLatency:
    """The 95th percentile of the last replies, renewed with every 16th of them; known from so many
    on."""

    __slots__ = ("_known_from", "_seconds", "_seen", "p95_s")

    def __init__(self, known_from: int = KNOWN_FROM) -> None:
        self._known_from = known_from
        self._seconds: list[float] = []
        self._seen = 0
        self.p95_s: float | None = None
        """None while too few replies have come."""

    def observe(self, seconds: float) -> None:
        """Takes how long one more reply took."""
        if len(self._seconds) < WINDOW:
            self._seconds.append(seconds)
        else:
            self._seconds[self._seen % WINDOW] = seconds
        self._seen += 1
        if self._seen == self._known_from or (
            self._seen > self._known_from and self._seen % _RENEWED_EACH == 0
        ):
            ordered = sorted(self._seconds)
            self.p95_s = ordered[len(ordered) * 95 // 100]
