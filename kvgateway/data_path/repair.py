"""Repair workers: take due tasks from the durable queue, heal the key, done or later.

Repair yields to live traffic: a bounded number of heals run at once, and after each round the
worker rests in proportion to how long the round took (Garage's "tranquilizer"). Retries spend a
budget that heals earn, so that a home which fails everything is not hammered; and while a home is
switched off or its breaker is open nothing is taken at all.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvgateway.data_path.view import View
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import Machine, RepairQueue, Taken
from tandem.backends.heal import Healed, HealOutcome, LeftToSweep, NotHealed, heal
from tandem.core.backoff import RetryBudget, delay_s
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.version import Version
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("repair")


@dataclass(frozen=True, slots=True)
class RepairRule:
    """How hard repair works."""

    at_once_max: int = 16
    heal_deadline_s: float = 10.0
    lease_us: int = 60_000_000
    idle_s: float = 0.2
    rest_ratio: float = 0.5
    """Rest this many times as long as the last round took."""
    rest_max_s: float = 1.0
    first_delay_s: float = 1.0
    delay_max_s: float = 10.0
    pin_us: int = 10_000_000
    budget_tokens_max: float = 100.0
    budget_per_heal: float = 2.0
    """More than the one token that a retry costs: after an outage the queue holds nothing but
    retries, and those that succeed must pay for themselves."""
    budget_per_s: float = 1.0


@dataclass(slots=True)
class RepairCounters:
    """What became of repair tasks."""

    healed: int = 0
    copied: int = 0
    failed: int = 0
    parked: int = 0
    errors: int = 0
    queue_errors: int = 0
    """Rounds that the queue's disk refused; a task that was taken comes again."""


class RepairWorker:
    """Heals what the queue holds; `run` is its one task, heals are its children."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, GuardedHome],
        queue: RepairQueue,
        machine: Machine,
        time: HomeTime,
        entropy: Entropy,
        rule: RepairRule,
        monotonic_us: Callable[[], int],
        view: View,
    ) -> None:
        self._homes = homes
        self._queue = queue
        self._machine = machine
        self._time = time
        self._entropy = entropy
        self._rule = rule
        self._monotonic_us = monotonic_us
        self._view = view
        self._budget = RetryBudget(
            tokens_max=rule.budget_tokens_max,
            earned_per_success=rule.budget_per_heal,
            earned_per_s=rule.budget_per_s,
        )
        self._earned_until_us = monotonic_us()
        self.counters = RepairCounters()

    async def run(self) -> None:
        """Repairs until cancelled; a queue or a heal that raises is counted, and work goes on."""
        while True:
            began_us = self._monotonic_us()
            try:
                worked = await self.round()
            except OSError as error:
                self.counters.queue_errors += 1
                _LOG.error("repair_queue_failed", error=repr(error))
                worked = False
            except Exception as error:
                self.counters.errors += 1
                _LOG.error("repair_round_failed", error=repr(error), exc_info=True)
                worked = False
            took_s = (self._monotonic_us() - began_us) / 1e6
            rest_s = min(took_s * self._rule.rest_ratio, self._rule.rest_max_s)
            await asyncio.sleep(rest_s if worked else self._rule.idle_s)

    async def round(self) -> bool:
        """Heals one group of due tasks; False when there was nothing that could be done.

        The group is as large as both homes' breakers admit: a task is not taken only to be refused
        and put off, and the heals themselves are the trials that close a breaker.
        """
        self._earn()
        now_us = self._time.now_or_none_us()
        limit = min(home.room(self._rule.at_once_max) for home in self._homes.values())
        if now_us is None or limit == 0:
            return False
        taken = await self._queue.take(limit, now_us, self._rule.lease_us)
        if not taken:
            return False
        outcomes = await asyncio.gather(*(self._heal(one) for one in taken))
        healed = [one for one, outcome in zip(taken, outcomes, strict=True) if _done(outcome)]
        if healed:
            await self._queue.done(healed)
        for one, outcome in zip(taken, outcomes, strict=True):
            if isinstance(outcome, NotHealed):
                await self._put_back(one, outcome, now_us)
        return True

    def _earn(self) -> None:
        now_us = self._monotonic_us()
        self._budget.elapsed((now_us - self._earned_until_us) / 1e6)
        self._earned_until_us = now_us

    async def heal_key(self, key: Key) -> HealOutcome:
        """Heals one key now, for an operator; what is queued or parked for it goes with success."""
        mode = self._view.mode_of(key.namespace)
        if not mode.two:
            return NotHealed((f"{mode.home.value} is the namespace's only home",))
        queued = await self._queue.queued(key)
        outcome = await self._healed(key)
        if _done(outcome) and queued is not None:
            self._unpin(key, queued.task.version)
            await self._queue.done([queued])
        return outcome

    async def _heal(self, one: Taken) -> HealOutcome:
        if one.attempts and not self._budget.spend():
            return NotHealed(("the retry budget is spent",))
        key = one.task.key
        try:
            outcome = await self._healed(key)
        except Exception as error:
            self.counters.errors += 1
            _LOG.error("heal_broke", key=key.name, error=repr(error), exc_info=True)
            return NotHealed((repr(error),))
        if _done(outcome):
            self.counters.healed += 1
            self.counters.copied += len(outcome.copied) if isinstance(outcome, Healed) else 0
            self._budget.succeeded()
            self._unpin(key, one.task.version)
        return outcome

    def _unpin(self, key: Key, version: Version) -> None:
        """Both homes hold the version: it need not be remembered as a recent write for long."""
        until_us = self._time.reckoned_us() + self._rule.pin_us
        self._machine.unpin([(key, version)], until_us)

    async def _healed(self, key: Key) -> HealOutcome:
        """In a namespace with one home nothing is healed: what the other one holds is old, and a
        write that the home has not confirmed was not acknowledged."""
        if not self._view.mode_of(key.namespace).two:
            return Healed()
        return await heal(self._homes, key, self._rule.heal_deadline_s, self._recent(key))

    def _recent(self, key: Key) -> Record | None:
        known = self._machine.recall(key, self._time.now_us())
        return known.record if known is not None and known.pinned else None

    async def _put_back(self, one: Taken, outcome: NotHealed, taken_us: int) -> None:
        failure = "; ".join(outcome.reasons)
        if outcome.needs_person:
            self.counters.parked += 1
            _LOG.error("repair_needs_person", key=one.task.key.name, why=failure)
            await self._queue.park(one, failure)
            return
        self.counters.failed += 1
        pause_s = delay_s(
            one.attempts + 1,
            first_s=self._rule.first_delay_s,
            most_s=self._rule.delay_max_s,
            unit_random=self._entropy.uniform(0.0, 1.0),
        )
        now_us = self._time.now_or_none_us() or taken_us
        await self._queue.later(one, now_us + int(pause_s * 1e6), failure)


def _done(outcome: HealOutcome) -> bool:
    """Whether repair has nothing left to do: what is left to the sweep, the crawler finds."""
    return isinstance(outcome, Healed | LeftToSweep)
