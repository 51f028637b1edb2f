"""Homes whose every answer a test decides, and what guards count."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Final

from kvgateway.homes.guard import BREAKER_RULE, LEG_BOUNDS, GuardedHome, LegBounds
from kvgateway.homes.home_time import HomeTime
from tandem.backends.port import Heal, ScanPage
from tandem.core.backoff import BreakerRule
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.runtime.clock import Clock
from tests.memory.home import MemoryHome

NAMESPACE: Final = "ab" * 16
OTHER: Final = "cd" * 16
DOWN: Final = Failed(Reason.UNREACHABLE, "it is down")


class ScriptedHome:
    """A home in memory that may be told what to answer instead, and when."""

    def __init__(self, side: Side, clock: Clock) -> None:
        self.memory = MemoryHome(side, clock)
        self.answer: Callable[[], Failed] | None = None
        """What every call answers (or raises) instead of what the home holds."""
        self.write_answer: Callable[[], Failed] | None = None
        """The same for writes alone."""
        self.delay_s = 0.0
        """How long answers take; none are given by the deadline if that is sooner."""
        self.calls: list[str] = []
        self.reached = 0
        """See `tandem.backends.port.ReachedAnew`."""

    @property
    def side(self) -> Side:
        return self.memory.side

    @property
    def clock_skew_max_us(self) -> int:
        return self.memory.clock_skew_max_us

    def down(self, failed: Failed = DOWN) -> None:
        """From now on every call answers `failed`."""
        self.answer = lambda: failed

    def up(self) -> None:
        """From now on calls answer what the home holds."""
        self.answer = None

    async def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        failed = await self._outcome("get", self.answer, deadline_s)
        return failed or await self.memory.get(key, deadline_s, needed)

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        failed = await self._outcome("put", self.answer or self.write_answer, deadline_s)
        return failed or await self.memory.put_if_newer(key, record, deadline_s, heal)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        failed = await self._outcome("scan", self.answer, deadline_s)
        return failed or await self.memory.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self.memory.incarnation(deadline_s)

    async def aclose(self) -> None:
        await self.memory.aclose()

    async def _outcome(
        self, call: str, answer: Callable[[], Failed] | None, deadline_s: float
    ) -> Failed | None:
        self.calls.append(call)
        if self.delay_s > deadline_s:
            await asyncio.sleep(deadline_s)
            return Failed(Reason.TIMEOUT)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return None if answer is None else answer()


class Noted:
    """See `kvgateway.homes.guard.HomeObserver`."""

    def __init__(self) -> None:
        self.replies: list[tuple[Side, str, Reason | None]] = []
        self.elapsed_us: list[int] = []
        self.broken = 0

    def replied(
        self, side: Side, operation: str, failure: Reason | None, elapsed_us: int, calls: int = 1
    ) -> None:
        self.replies.extend([(side, operation, failure)] * calls)
        self.elapsed_us.extend([elapsed_us] * calls)

    def broke(self, side: Side) -> None:
        self.broken += 1


class Deaf:
    """The same where nobody counts, and no home may break."""

    def replied(
        self, side: Side, operation: str, failure: Reason | None, elapsed_us: int, calls: int = 1
    ) -> None:
        pass

    def broke(self, side: Side) -> None:
        raise AssertionError(side)


class Numbers:
    """Random bytes that count up, and the middle of every interval."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def token(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size, "big")

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class Pair:
    """Two scripted homes on one clock, each behind its guard."""

    def __init__(
        self, clock: Clock, bounds: LegBounds = LEG_BOUNDS, rule: BreakerRule = BREAKER_RULE
    ) -> None:
        self.clock = clock
        self.time = HomeTime(clock)
        self.observer = Noted()
        self.homes = {side: ScriptedHome(side, clock) for side in Side}
        self.guards = {
            side: GuardedHome(
                home, clock=clock, time=self.time, observer=self.observer, bounds=bounds, rule=rule
            )
            for side, home in self.homes.items()
        }
        self.kvsp, self.s3 = self.homes[Side.KVSP], self.homes[Side.S3]

    def admit(self) -> None:
        """As the keeper does when both homes have shown the store id."""
        for side, guard in self.guards.items():
            guard.barred = ""
            guard.shown_at = guard.reached
            self.time.observe(side, self.clock.now_us())

    async def held(self, key: Key) -> dict[Side, ReadReply]:
        """What each home really holds."""
        return {side: await home.memory.get(key, 1.0) for side, home in self.homes.items()}
