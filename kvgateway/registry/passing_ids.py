"""Ids of which something holds for a moment: they are not looked for again at once."""

from typing import Final

from tandem.runtime.clock import Clock

KEPT_US: Final = 1_000_000
KEPT_MAX: Final = 10_000


class PassingIds:
    """Forgets each after KEPT_US, and the oldest where there are more than KEPT_MAX."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_us: dict[str, int] = {}

    def __contains__(self, record_id: str) -> bool:
        until_us = self._until_us.get(record_id)
        return until_us is not None and self._clock.monotonic_us() < until_us

    def add(self, record_id: str) -> None:
        """From now on, or once more."""
        self._until_us.pop(record_id, None)
        if len(self._until_us) >= KEPT_MAX:
            del self._until_us[next(iter(self._until_us))]
        self._until_us[record_id] = self._clock.monotonic_us() + KEPT_US
