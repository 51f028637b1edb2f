"""The only module that reads the machine's clocks; everything else is handed a `Clock`."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_us(self) -> int:
        """Wall time: microseconds since the Unix epoch. It may jump in either direction."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since an arbitrary start; never goes backwards."""
        ...


def now_s(clock: Clock) -> int:
    """Wall time in whole seconds since the Unix epoch, as expirations have it."""
    return clock.now_us() // 1_000_000


class SystemClock:
    __slots__ = ()

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1000
