"""What a home whose own clock was set wrong excuses: the writes of whoever went by it, and crawls
that took an old difference for a young one. Everything else is judged as ever.

Whoever believes a wrong home is off by as much as that home. It may be for as long as the home is
wrong, and for as long after as the greatest sample counts; whoever stamped ahead of the time stamps
above that until time has come so far.
"""

from dataclasses import dataclass
from typing import Final

from tandem.core.offset import WINDOW_US

BELIEVED_S: Final = 2 * WINDOW_US / 1e6 + 2.0
"""So long after a home is right again somebody may still believe that it is not."""
RIGHT_S: Final = 1.0
"""Whose time is no further off than this goes by no wrong clock."""
NEAR_S: Final = 3.0
"""Slow replies and whole seconds have whoever believes a home be further behind it, by so much."""


@dataclass(slots=True)
class _Wrong:
    by_s: float
    began_s: float
    ended_s: float = float("inf")


class WrongClocks:
    """Those of one universe."""

    def __init__(self) -> None:
        self._all: list[_Wrong] = []

    def began(self, by_s: float, now_s: float) -> None:
        """A home's clock is set off by so much."""
        self._all.append(_Wrong(by_s, now_s))

    def ended(self, by_s: float, now_s: float) -> None:
        """It is right again."""
        next(one for one in self._all if one.by_s == by_s and one.ended_s > now_s).ended_s = now_s

    def mislead(self, now_s: float, believed_off_s: float, stamped_off_s: float) -> bool:
        """Whether whoever believes and stamps a time that is off by so much goes by one of them, or
        stamps above a version of somebody who did."""
        return any(
            _is_near(believed_off_s, one.by_s) or RIGHT_S < stamped_off_s <= one.by_s + NEAR_S
            for one in self._all
            if one.began_s <= now_s <= one.ended_s + BELIEVED_S + max(0.0, one.by_s)
        )

    def behind_s(self, since_s: float, now_s: float) -> float:
        """By how much some home was behind at any time since then; what is old looked as much
        younger there."""
        met = [one.by_s for one in self._all if one.began_s <= now_s and one.ended_s >= since_s]
        return -min(0.0, *met) if met else 0.0

    def ahead_s(self, at_s: float) -> float:
        """By how much some home was ahead then; a store dates what it takes by its own clock."""
        met = [one.by_s for one in self._all if one.began_s <= at_s <= one.ended_s]
        return max(0.0, *met) if met else 0.0


def _is_near(off_s: float, by_s: float) -> bool:
    return abs(off_s) > RIGHT_S and abs(off_s - by_s) <= NEAR_S
