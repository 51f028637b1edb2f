"""How fast the crawler may go: requests and bytes a second, over all ranges together, and a breath
after each piece of work in proportion to how long it took (Garage's tranquilizer)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from tandem.core.quota import Bucket, Drawn, Rate, bytes_rate, drawn, full, operations_rate, owing

_MICRO = 1_000_000
LISTED_BYTES = 300
"""About what one name costs in a listing."""


class Pace:
    """Two token buckets. It reads the loop's monotonic clock, never the wall's."""

    def __init__(
        self,
        *,
        requests_per_s: int = 0,
        bytes_per_s: int = 0,
        breathe_ratio: float = 0.0,
        within: Self | None = None,
    ) -> None:
        """`within` is a pace whose limits hold too."""
        self._within = within
        self.go(requests_per_s=requests_per_s, bytes_per_s=bytes_per_s, breathe_ratio=breathe_ratio)
        self.waited_s = 0.0
        """How long all ranges have waited, breaths included."""

    def go(self, *, requests_per_s: int, bytes_per_s: int, breathe_ratio: float) -> None:
        """From now on as fast as this, with full buckets."""
        self._requests = _Limit(operations_rate(requests_per_s))
        self._bytes = _Limit(bytes_rate(bytes_per_s))
        self._breathe_ratio = breathe_ratio

    async def request(self) -> None:
        """Waits until one more request may be sent."""
        while (wait_us := self._requests.draw(_now_us())) > 0:
            await self._wait(wait_us / _MICRO)
        if self._within is not None:
            await self._within.request()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One request: waits until it may be sent, and rests in proportion to how long it took."""
        await self.request()
        began_s = asyncio.get_running_loop().time()
        yield
        await self.breathe(asyncio.get_running_loop().time() - began_s)

    async def carried(self, size: int) -> None:
        """Accounts for bytes that have come; waits until the rate has caught up with them."""
        wait_us = self._bytes.owe(size, _now_us())
        if wait_us:
            await self._wait(wait_us / _MICRO)
        if self._within is not None:
            await self._within.carried(size)

    async def breathe(self, took_s: float) -> None:
        """Rests after a piece of work."""
        if self._breathe_ratio and took_s > 0:
            await self._wait(took_s * self._breathe_ratio)
        if self._within is not None:
            await self._within.breathe(took_s)

    async def _wait(self, seconds: float) -> None:
        self.waited_s += seconds
        if self._within is not None:
            self._within.waited_s += seconds
        await asyncio.sleep(seconds)


class _Limit:
    """One bucket; a rate of 0 limits nothing."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._bucket: Bucket | None = None

    def draw(self, now_us: int) -> int:
        """Takes one unit and returns 0, or returns in how many microseconds there is one."""
        if not self._rate.per_s:
            return 0
        got: Drawn
        self._bucket, got = drawn(self._bucket or full(self._rate, now_us), self._rate, 1, now_us)
        return 0 if got.granted else max(got.wait_us, 1)

    def owe(self, amount: int, now_us: int) -> int:
        """Takes the amount, there or not; how long until the bucket is out of debt."""
        if not self._rate.per_s:
            return 0
        bucket = self._bucket or full(self._rate, now_us)
        self._bucket, got = owing(bucket, self._rate, amount, now_us)
        return got.wait_us


def _now_us() -> int:
    return int(asyncio.get_running_loop().time() * _MICRO)
