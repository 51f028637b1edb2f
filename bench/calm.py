"""Whether the machine is calm enough to tell a server's milliseconds from its own.

A virtual machine on a busy host runs at full speed while it computes, and yet has to wait for its
core now and then when it wakes: nothing in it counts that time. So the same small piece of work is
done after each of many short sleeps. Alone it takes as long each time; what it takes longer, every
program that waits for requests is late by, too, at each of the threads a request goes through.
"""

import os
import statistics
import time
from typing import Final

from bench.load import quantile

CALM_MS: Final = 0.3
"""What 99 of 100 pieces are late by at most on a machine at rest that has its cores for itself:
0.05 to 0.2 ms were seen; 0.5 to 2 where others use them, too."""
_SLEEP_S: Final = 0.0005
_LOOK_S: Final = 0.4
_ADDITIONS: Final = 3000
_CORES: Final = frozenset(os.sched_getaffinity(0))
"""Before a bench keeps to one of them."""


def late_ms() -> float:
    """How late 99 of 100 pieces of work are at most, on the worse core; blocking."""
    kept_to = os.sched_getaffinity(0)
    try:
        return max(map(_late_ms, _CORES))
    finally:
        os.sched_setaffinity(0, kept_to)


def _late_ms(core: int) -> float:
    os.sched_setaffinity(0, {core})
    took_s: list[float] = []
    end_s = time.perf_counter() + _LOOK_S
    while time.perf_counter() < end_s:
        time.sleep(_SLEEP_S)
        before_s = time.perf_counter()
        sum(number * number for number in range(_ADDITIONS))
        took_s.append(time.perf_counter() - before_s)
    return (quantile(took_s, 0.99) - statistics.median(took_s)) * 1e3


class Calm:
    """Counts the turns of a bench that the machine spoiled.

    Args:
        wasted_max: so many turns are repeated; then the next ones count, whatever the machine does.
    """

    def __init__(self, wasted_max: int) -> None:
        self._wasted_max = wasted_max
        self._seen_ms = [late_ms()]
        self.wasted = 0

    def was(self) -> bool:
        """Whether the machine was calm before what has just been measured, and is now."""
        self._seen_ms.append(late_ms())
        calm = max(self._seen_ms[-2:]) <= CALM_MS or self.wasted == self._wasted_max
        self.wasted += not calm
        return calm

    def told(self) -> str:
        """One line on it."""
        return (
            f"the machine was late by {statistics.median(self._seen_ms):.2f} ms (p99, median of"
            f" {len(self._seen_ms)} looks); {self.wasted} turns were spoiled by it and repeated"
        )
