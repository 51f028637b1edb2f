"""How often the homes are asked for what is not known here: guesses must not become load."""

from tandem.runtime.clock import Clock

_SECOND_US = 1_000_000


class LookupBound:
    """Counts lookups; who was let begin one tells when it has ended.

    Args:
        at_once_max: how many may be under way, as homes may be slow.
        per_s_max: how many may begin within a second.
    """

    def __init__(self, clock: Clock, at_once_max: int, per_s_max: int) -> None:
        self._clock = clock
        self._at_once_max = at_once_max
        self._per_s_max = per_s_max
        self._under_way = 0
        self._second_us = 0
        """When the second began that is counted."""
        self._in_second = 0

    def begins(self) -> bool:
        """Whether one more lookup may begin now, which then has."""
        now_us = self._clock.monotonic_us()
        if now_us - self._second_us >= _SECOND_US:
            self._second_us, self._in_second = now_us, 0
        if self._under_way >= self._at_once_max or self._in_second >= self._per_s_max:
            return False
        self._under_way += 1
        self._in_second += 1
        return True

    def ended(self) -> None:
        """One that began is over."""
        self._under_way -= 1
