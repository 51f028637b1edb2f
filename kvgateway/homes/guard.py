"""One home behind its kill switch, its breaker and its bounds; itself a `Backend`.

Races and heal see only guarded homes, so a switch stops every use of a home at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from kvgateway.homes.answers import HomeAnswers, HomeObserver
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import one_by_one
from kvgateway.state.switches import HomeSwitch
from tandem.backends.port import (
    Ahead,
    AnswersGroups,
    Backend,
    Gets,
    Got,
    Heal,
    Needed,
    Puts,
    ReachedAnew,
    Replied,
    ScanPage,
    TakesAhead,
    TakesGroups,
)
from tandem.core.backoff import BreakerRule, BreakerState
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Reason, WriteReply
from tandem.core.version import observable
from tandem.runtime.clock import Clock
from tandem.runtime.done import done

_Reply = TypeVar("_Reply", ReadReply, WriteReply, ScanPage | Failed)


@dataclass(frozen=True, slots=True)
class LegBounds:
    """How many write legs may be under way to one home; above, a leg is not started."""

    legs_max: int = 8192
    bytes_max: int = 256 * 1024 * 1024


LEG_BOUNDS = LegBounds()
BREAKER_RULE = BreakerRule()


class GuardedHome:
    """A home that refuses by itself when it is switched off, broken or overloaded."""

    def __init__(
        self,
        home: Backend,
        *,
        clock: Clock,
        time: HomeTime,
        observer: HomeObserver,
        bounds: LegBounds = LEG_BOUNDS,
        rule: BreakerRule = BREAKER_RULE,
    ) -> None:
        self._home = home
        self._groups = home if isinstance(home, TakesGroups) else None
        self._answers_groups = home if isinstance(home, AnswersGroups) else None
        self._takes_ahead = home if isinstance(home, TakesAhead) else None
        self.side = home.side
        self.clock_skew_max_us = home.clock_skew_max_us
        """As the home's own."""
        self._clock = clock
        self._time = time
        self._answers = HomeAnswers(home.side, clock, time, observer, rule)
        self._bounds = bounds
        self._legs = 0
        self._leg_bytes = 0
        self.breaker = self._answers.breaker
        self.switch = HomeSwitch()
        self.barred = "its store id has not been checked yet"
        """Why the home must not be used at all; empty once it is known to be the right one."""
        self._reached_anew = home if isinstance(home, ReachedAnew) else None
        self.shown_at = 0
        """What `reached` was when the home last showed whose it is."""
        self.wanted: Callable[[], None] = lambda: None
        """Called where a call has to wait until the home has shown its store id once more."""

    @property
    def unguarded(self) -> Backend:
        """The home itself, for the keeper's heartbeat and for an operator who looks."""
        return self._home

    @property
    def reached(self) -> int:
        """How often the home was reached anew so far."""
        return self._reached_anew.reached if self._reached_anew is not None else 0

    def get(self, key: Key, deadline_s: float, needed: Needed = None) -> Awaitable[ReadReply]:
        """Reads, unless reads are switched off or the breaker is open."""
        refusal = self._refusal(self.switch.reads)
        if refusal is not None:
            return done(refusal)
        began_us = self._clock.monotonic_us()
        future = self._started(lambda: self._home.get(key, deadline_s, needed))
        future.add_done_callback(partial(self._replied, "get", began_us))
        return future

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """Reads a group. A home that might be refused now is asked read by read, as is one that
        takes no groups."""
        if self._answers_groups is None or not self._admits_all(self.switch.reads):
            one_by_one(self._get_alone, gets, deadline_s, got)
            return
        ended = partial(self._gets_ended, self._clock.monotonic_us(), got)
        try:
            self._answers_groups.get_all(gets, deadline_s, ended)
        except Exception as error:
            broken = self._answers.broke(error)
            ended([(position, broken) for position in range(len(gets))])

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> Awaitable[WriteReply]:
        """Writes, unless writes are switched off, the breaker is open or a bound is reached."""
        refusal = self._leg_refusal(record) or self._refusal(self.switch.writes)
        if refusal is not None:
            return done(refusal)
        size = len(record.envelope)
        self._legs += 1
        self._leg_bytes += size
        began_us = self._clock.monotonic_us()
        future = self._started(lambda: self._home.put_if_newer(key, record, deadline_s, heal))
        future.add_done_callback(partial(self._leg_ended, size, began_us))
        return future

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        """Writes a group of legs; one that may not start whole is judged leg by leg."""
        size = sum([len(record.envelope) for _, record in puts])
        if self._groups is None or not self._group_admitted(puts, size):
            one_by_one(self.put_if_newer, puts, deadline_s, replied)
            return
        self._legs += len(puts)
        self._leg_bytes += size
        ended = partial(self._legs_ended, puts, size, self._clock.monotonic_us(), replied)
        try:
            self._groups.put_all(puts, deadline_s, ended)
        except Exception as error:
            broken = self._answers.broke(error)
            ended([(position, broken) for position in range(len(puts))])

    def ahead(self) -> AbstractContextManager[Ahead | None]:
        """A place for a body whose leg is still to come, unless that would be refused now."""
        if self._takes_ahead is None or not self._admits_all(self.switch.writes):
            return nullcontext()
        return self._takes_ahead.ahead()

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists, unless reads are switched off or the breaker is open."""
        refusal = self._refusal(self.switch.reads)
        if refusal is not None:
            return refusal
        began_us = self._clock.monotonic_us()
        future = self._started(
            lambda: self._home.scan(
                namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
            )
        )
        future.add_done_callback(partial(self._replied, "scan", began_us))
        return await future

    async def incarnation(self, deadline_s: float) -> str | Failed:
        """As the home's own; asked by the keeper alone, past the guard."""
        return await self._home.incarnation(deadline_s)

    def heard(self, reply: ReadReply, deadline_s: float) -> None:
        """Takes the outcome of a call that went past the guard: the keeper's heartbeat."""
        self._answers.heard(reply, deadline_s)

    def room(self, most: int) -> int:
        """How many calls, `most` of them at most, neither a bar, a switch nor the breaker would
        refuse now."""
        if self._objection() or not (self.switch.reads and self.switch.writes):
            return 0
        return self.breaker.room(most)

    @property
    def last_failure(self) -> str:
        """Why the home was last given up, while that matters."""
        return self._answers.last_failure

    async def aclose(self) -> None:
        """Closes the home."""
        await self._home.aclose()

    def _get_alone(self, key: Key, needed: Needed, deadline_s: float) -> Awaitable[ReadReply]:
        return self.get(key, deadline_s, needed)

    def _objection(self) -> str:
        """Why it may be another store's."""
        if not self.barred and self.reached != self.shown_at:
            self.wanted()
            return "it was reached anew and has not shown its store id since"
        return self.barred

    def _refusal(self, enabled: bool) -> Failed | None:
        if objection := self._objection():
            return Failed(Reason.UNREACHABLE, objection)
        if not enabled:
            return Failed(Reason.SWITCHED_OFF)
        if not self.breaker.admits():
            return Failed(Reason.BREAKER_OPEN, self._answers.why_broken)
        return None

    def _admits_all(self, enabled: bool) -> bool:
        """Whether no call would be refused now, however many there are. A breaker that is not
        closed counts its trials, so it has the calls of a group one by one."""
        return self.breaker.state is BreakerState.CLOSED and enabled and not self._objection()

    def _leg_refusal(self, record: Record) -> Failed | None:
        if self._legs >= self._bounds.legs_max or self._leg_bytes >= self._bounds.bytes_max:
            return Failed(Reason.NOT_STARTED, f"{self._legs} legs are under way")
        now_us = self._time.now_or_none_us()
        if now_us is not None and not observable(record.version, now_us, self.clock_skew_max_us):
            return Failed(Reason.NOT_STARTED, "the version is ahead of the homes' clocks")
        return None

    def _group_admitted(self, puts: Puts, size: int) -> bool:
        """Whether none of these legs would be refused."""
        if not self._admits_all(self.switch.writes):
            return False
        if self._legs + len(puts) > self._bounds.legs_max:
            return False
        if self._leg_bytes + size > self._bounds.bytes_max:
            return False
        now_us = self._time.now_or_none_us()
        newest = max([record.version for _, record in puts])
        return now_us is None or observable(newest, now_us, self.clock_skew_max_us)

    def _started(self, start: Callable[[], Awaitable[_Reply]]) -> "asyncio.Future[_Reply | Failed]":
        """The call as a future; a home whose calls are coroutines is run in a task of the guard.

        A home that raises, which it must not, has failed. A future that a home gives is handed on
        as it is, since the port says that it holds a reply: to wrap each would cost a turn of the
        loop on every call.
        """
        try:
            call = start()
        except Exception as error:
            return done(self._answers.broke(error))
        if isinstance(call, asyncio.Future):
            return call
        task = asyncio.ensure_future(self._caught(call))
        if isinstance(call, Coroutine):  # where the task is cancelled before it began, nobody did
            task.add_done_callback(lambda _: call.close())
        return task

    async def _caught(self, call: Awaitable[_Reply]) -> _Reply | Failed:
        try:
            return await call
        except Exception as error:
            return self._answers.broke(error)

    def _leg_ended(self, size: int, began_us: int, future: "asyncio.Future[WriteReply]") -> None:
        self._legs -= 1
        self._leg_bytes -= size
        self._replied("put", began_us, future)

    def _gets_ended(
        self, began_us: int, got: Got, replies: Sequence[tuple[int, ReadReply]]
    ) -> None:
        self._answers.all_replied("get", replies, began_us)
        got(replies)

    def _legs_ended(
        self,
        puts: Puts,
        size: int,
        began_us: int,
        replied: Replied,
        replies: Sequence[tuple[int, WriteReply]],
    ) -> None:
        self._legs -= len(replies)
        if len(replies) < len(puts):
            size = sum(len(puts[position][1].envelope) for position, _ in replies)
        self._leg_bytes -= size
        self._answers.all_replied("put", replies, began_us)
        replied(replies)

    def _replied(self, operation: str, began_us: int, future: "asyncio.Future[_Reply]") -> None:
        if future.cancelled():
            self.breaker.abandoned()
            return
        error = future.exception()
        reply = future.result() if error is None else self._answers.broke(error)
        self._answers.replied(operation, reply, began_us)
