"""Once a second: hear both homes, check whose they are, and note which of them misses writes.

The look at the store id is also the heartbeat from which the gateway learns the homes' clocks, and
what brings a home back whose breaker is open: no caller is asked to try it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from kvgateway.homes import identity
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.news import HomeNews
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import ALL, Trust
from kvgateway.state.ports import Intent, Machine, QueueStats, RepairQueue
from tandem.core.backoff import BreakerState
from tandem.core.reply import Failed, Found, Side
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy
from tandem.runtime.telemetry import Metrics

_LOG = logs.get("keeper")
LOOK_S = 1.0
LOOK_AGAIN_S = 0.05
"""How soon after a look the next one may come, when somebody waits for it."""
LOOK_DEADLINE_S = 2.0
SWITCHES_S = 0.5


class LiveIntents(Protocol):
    """The journal of this worker."""

    def live_intents(self) -> Sequence[Intent]:
        """Writes under way, which are not in the repair queue yet."""
        ...


class TrustFile(Protocol):
    """Where the machine's trust is kept."""

    async def exchange(self, mine: Trust, namespaces: frozenset[str]) -> None:
        """Merges what is on disk into `mine`, and `mine`, settled, into what is on disk, durably.
        While another worker is at it nothing is written. Raises OSError when the disk refuses;
        `mine` has what is on it all the same."""
        ...

    async def enter(self, mine: Trust) -> None:
        """The same without settling; returns once what is on disk has all of `mine`, durably."""
        ...


class Keeper:
    """Keeps the guards' switches, bars and trust up to date; `run` is its one task."""

    def __init__(
        self,
        *,
        store_id: str,
        guards: Mapping[Side, GuardedHome],
        time: HomeTime,
        machine: Machine,
        journal: LiveIntents,
        switches: SwitchBoard,
        queue: RepairQueue,
        trust: Trust,
        trust_file: TrustFile,
        namespaces: Callable[[], frozenset[str]],
        entropy: Entropy,
    ) -> None:
        self._store_id = store_id
        self._homes = {side: guard.unguarded for side, guard in guards.items()}
        self._guards = guards
        self._news = HomeNews(guards)
        self._time = time
        self._machine = machine
        self._journal = journal
        self._spills = machine.spills()
        self._stats = QueueStats(0, 0, 0, 0, None, 0)
        self._switches = switches
        self._queue = queue
        self._trust = trust
        self._trust_file = trust_file
        self._namespaces = namespaces
        self._entropy = entropy
        self._look_now = asyncio.Event()
        for guard in guards.values():
            guard.wanted = self._look_now.set
        self._were_out: frozenset[Side] = frozenset()
        self._out_meanwhile: set[Side] = set()
        """Homes whose writes were switched off, or whose breaker has opened, since the last round,
        for however short a time."""
        self._behind: frozenset[Side] = frozenset()
        self._clock_alarm = False
        self.errors = 0
        """Rounds that met a disk that refuses, or a fault of ours."""

    async def run(self) -> None:
        """Keeps until cancelled; a round that raises is counted, and the next one comes."""
        while True:
            try:
                await self.round()
            except OSError as error:
                self.errors += 1
                _LOG.error("keeper_disk_failed", why=str(error))
            except Exception as error:
                self.errors += 1
                _LOG.error("keeper_round_failed", error=repr(error), exc_info=True)
            await self._rest()

    async def _rest(self) -> None:
        """Until the next round, or until somebody waits for a home that was reached anew."""
        await asyncio.sleep(LOOK_AGAIN_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S - LOOK_AGAIN_S):
                await self._look_now.wait()
        self._look_now.clear()

    async def follow_switches(self) -> None:
        """Follows the switches until cancelled, by itself: a round waits for homes that are slow,
        and just those are switched off."""
        while True:
            self.look_at_switches()
            await asyncio.sleep(SWITCHES_S)

    async def round(self) -> None:
        """One look at everything. What homes have missed is kept even if the queue fails, and what
        the disk refuses is in force here and kept later."""
        self.look_at_switches()
        await self._identify()
        self._out_meanwhile |= self._news.of_breakers()
        try:
            if self._time.known():
                self._note_out()
                await self._note_queued()
        finally:
            self._clock_alarm = self._time.alarm()
            self._behind = frozenset(side for side in Side if self._trust.open_marks(side))
            await self._keep_trust()

    async def _keep_trust(self) -> None:
        try:
            await self._trust_file.exchange(self._trust, self._namespaces())
        except OSError as error:
            self.errors += 1
            _LOG.error("trust_not_kept", why=str(error))

    def look_at_switches(self) -> None:
        """Puts into force what any worker of this machine has set. Blocking, for a small file."""
        self._switches.refresh()
        self.apply_switches()

    def apply_switches(self) -> None:
        """Puts the kill switches into force."""
        self._news.of_switches(self._switches.current)
        for side, guard in self._guards.items():
            guard.switch = self._switches.current.of(side)
            if not guard.switch.writes:
                self._out_meanwhile.add(side)

    async def mark_behind(self, side: Side) -> None:
        """An operator says that a home lost records; durable on return. Raises Unavailable while
        the time of the homes is not known, OSError when the disk refuses."""
        self._trust.missed(side, ALL, self._time.now_us())
        await self._trust_file.enter(self._trust)

    async def _identify(self) -> None:
        reached = self._reached()
        replies = await identity.look(self._homes, LOOK_DEADLINE_S, self._time)
        if reached != self._reached():  # as at a start: the one before may have answered
            reached = self._reached()
            replies = await identity.look(self._homes, LOOK_DEADLINE_S, self._time)
        for side, reply in replies.items():
            self._guards[side].heard(reply, LOOK_DEADLINE_S)
            if isinstance(reply, Found):
                home = self._homes[side]
                await identity.note_life(self._trust, home, reply, self._time, LOOK_DEADLINE_S)
        verdict = identity.judge(self._store_id, "", replies)
        for side, objection in verdict.barred.items():
            guard = self._guards[side]
            if isinstance(replies[side], Failed) and not guard.barred:
                continue
            if objection and objection != guard.barred:
                _LOG.warning("home_barred", home=side.value, why=objection)
            elif guard.barred and not objection:
                _LOG.info("home_admitted", home=side.value)
            guard.barred = objection
            if not isinstance(replies[side], Failed):
                guard.shown_at = reached[side]
        for side in verdict.empty if self._time.known() else ():
            self._trust.missed(side, ALL, self._time.now_us())
            if not self._guards[side].switch.writes:
                continue
            await identity.give(
                self._homes[side],
                replies[side],
                self._store_id,
                self._entropy.token(8),
                LOOK_DEADLINE_S,
                again=True,
            )

    def _reached(self) -> Mapping[Side, int]:
        return {side: guard.reached for side, guard in self._guards.items()}

    def _note_out(self) -> None:
        """Homes that miss writes now, or did at any time since the last round, even if they are
        back."""
        out = frozenset(side for side, guard in self._guards.items() if _misses_writes(guard))
        for side in out | self._were_out | self._out_meanwhile:
            self._trust.missed(side, ALL, self._time.now_us())
        self._were_out = out
        self._out_meanwhile.clear()

    async def _note_queued(self) -> None:
        now_us = self._time.now_us()
        spills, left_over = self._repin(), self._machine.left_over()
        self._stats = stats = await self._queue.stats()
        if stats.depth == 0 and not self._machine.misses_news():
            self._machine.settle_spills(spills)
        for side in Side:
            if self._waiting(side) + left_over > 0 and ALL in self._trust.open_marks(side):
                self._trust.missed(side, ALL, now_us)
        for mark in await self._queue.dirty():
            self._trust.missed(mark.side, mark.namespace, mark.marked_us)

    def _repin(self) -> int:
        """What shared memory dropped is found in the queue, except for the writes under way."""
        spills = self._machine.spills()
        if spills > self._spills:
            self._machine.pin(self._journal.live_intents())
            self._spills = spills
        return spills

    def show(self, metrics: Metrics) -> None:
        """The repair queue, trust and clocks as of the last round."""
        metrics.gauge(
            "tandem_clock_alarm", "1 while the homes' clocks disagree",
            lambda: float(self._clock_alarm),
        )  # fmt: skip
        for side in Side:
            metrics.gauge(
                "tandem_home_behind", "1 while a home may lack writes",
                partial(self._is_behind, side), home=side.value,
            )  # fmt: skip
            metrics.gauge(
                "tandem_queue_depth", "repairs that a home waits for",
                partial(self._waiting, side), home=side.value,
            )  # fmt: skip
        metrics.gauge("tandem_queue_rows", "queued repairs", lambda: self._stats.depth)
        metrics.gauge("tandem_dirty_marks", "namespaces", lambda: self._stats.dirty_marks)
        metrics.gauge("tandem_needs_person", "repairs", lambda: self._stats.needs_person)
        metrics.gauge(
            "tandem_single_copy_seconds", "age of the oldest queued repair", self._oldest_s
        )

    def _is_behind(self, side: Side) -> float:
        return float(side in self._behind)

    def _waiting(self, side: Side) -> int:
        return self._stats.depth_kvsp if side is Side.KVSP else self._stats.depth_s3

    def _oldest_s(self) -> float:
        now_us = self._time.now_or_none_us()
        if self._stats.oldest_us is None or now_us is None:
            return 0.0
        return max(0, now_us - self._stats.oldest_us) / 1e6


def _misses_writes(guard: GuardedHome) -> bool:
    """Half-open, a breaker still refuses most."""
    broken = guard.breaker.state is not BreakerState.CLOSED
    return bool(guard.barred) or broken or not guard.switch.writes
