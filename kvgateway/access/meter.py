"""One rate as one worker sees it: it draws small leases from the machine's bucket, and charges
those, so that nearly every charge touches a number of this process alone.

A lease is what the rate gives in 50 ms, and at least one unit. The lease of a worker that dies is
lost; one that is not used up stays: that is all by which a machine can exceed its rate (and a
millisecond of it, see BOOKINGS_PER_S).

Whoever comes a little early may book what the rate gives next. Whoever there is nothing for is told
a turn of its own: callers that were all told the same moment would come back together, spend at
once what has gathered meanwhile, and others would wait behind them.
"""

from collections.abc import Sequence
from typing import Final

from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.quota import Rate

LEASES_PER_S: Final = 20
BOOKINGS_PER_S: Final = 1000
"""A booking takes what the rate gives in so short a time, and at least one unit: so where many
come a little early they do not ask the bucket one by one."""
TURNS_US_MAX: Final = 1_000_000
"""Turns are told so far ahead; then they begin anew: those who wait may not come back."""


class Meter:
    """What is left of the lease of one bucket."""

    __slots__ = (
        "_booked_out_us",
        "_lease",
        "_left",
        "_memory",
        "_name",
        "_rate",
        "_ready_us",
        "_turn_us",
    )

    def __init__(self, memory: QuotaMemory, name: bytes, rate: Rate) -> None:
        self._memory = memory
        self._name = name
        self._rate = rate
        self._lease = max(rate.per_s // LEASES_PER_S, 1)
        self._left = 0
        self._ready_us = 0
        """The bucket has nothing before; it need not be asked."""
        self._booked_out_us = 0
        """Nothing can be booked before."""
        self._turn_us = 0.0
        """The next turn that has not been told to anybody."""

    def take(self, wanted: int, now_us: int) -> int:
        """Takes up to `wanted` units, as many as there are."""
        if self._left < wanted:
            self._draw(wanted - self._left, now_us)
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    def book(self, wanted: int, now_us: int) -> Sequence[int]:
        """Takes up to `wanted` units, as many as there are or soon will be: the moments, in order,
        from which each may be used."""
        there = self.take(wanted, now_us)
        missing = wanted - there
        moments = [now_us] * there
        if missing and now_us >= self._booked_out_us:
            most = max(missing, self._rate.per_s // BOOKINGS_PER_S)
            granted, first_us = self._memory.book(self._name, self._rate, most, now_us)
            unit_us = 1e6 / self._rate.per_s
            self._ready_us = max(now_us + first_us + round(granted * unit_us), now_us)
            if granted < most:
                self._booked_out_us = now_us + round(unit_us)
            used = min(granted, missing)
            self._left += granted - used
            moments += [now_us + max(first_us + round(at * unit_us), 0) for at in range(used)]
        return moments

    def cancel(self, units: int, now_us: int) -> None:
        """Puts units back that were taken or booked, and are not used, for all workers."""
        if units:
            self._memory.owe(self._name, self._rate, -units, now_us)

    def give_back(self, units: int) -> None:
        """Units that were there and are not used stay this worker's."""
        self._left += units

    def has_room(self, now_us: int) -> bool:
        """Whether there is anything left."""
        if not self._left:
            self._draw(1, now_us)
        return self._left > 0

    def charge(self, units: int, now_us: int) -> None:
        """Takes `units`, there or not."""
        self._left -= units
        if self._left < 0:
            owed = self._memory.owe(self._name, self._rate, -self._left, now_us)
            self._ready_us = now_us + owed.wait_us
            self._left = 0

    def wait_s(self, now_us: int) -> float:
        """When a unit is there again."""
        return max(self._ready_us - now_us, 0) / 1e6

    def turn_s(self, now_us: int) -> float:
        """When a unit is there for one more that waits, after all who were told so before."""
        ready_us = max(self._ready_us, now_us)
        turn_us = max(self._turn_us, ready_us)
        if turn_us - ready_us > TURNS_US_MAX:
            turn_us = float(ready_us)
        self._turn_us = turn_us + 1e6 / self._rate.per_s
        return (turn_us - now_us) / 1e6

    def _draw(self, missing: int, now_us: int) -> None:
        if now_us < self._ready_us:
            return
        drawn = self._memory.draw(self._name, self._rate, max(missing, self._lease), now_us)
        self._left += drawn.granted
        self._ready_us = now_us + drawn.wait_us
