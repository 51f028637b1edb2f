"""The second look at keys that the listings show differently: read both homes, count, heal."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from crawler.pace import Pace
from crawler.report import CrawlMode, CrawlReport, CrawlRule
from crawler.workers import at_once
from tandem.backends.heal import Healed, HealOutcome, LeftToSweep, NotHealed, heal
from tandem.backends.port import Backend
from tandem.core.drift import HEALABLE, LACKED, Drift, Sighting, sighting
from tandem.core.key import Key
from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mass_change import MassWork, mass_change
from tandem.core.reply import Found, Side
from tandem.runtime import logs

_LOG = logs.get("crawler")
_T = TypeVar("_T")
_MICRO: Final = 1_000_000
_SETTLED: Final = Sighting(Drift.IN_FLIGHT)
"""A difference that has gone by itself."""


class SecondLook:
    """Looks at keys of one namespace for one crawl, and counts into its report."""

    def __init__(
        self,
        homes: Mapping[Side, Backend],
        rule: CrawlRule,
        mode: CrawlMode,
        pace: Pace,
        report: CrawlReport,
        hold: Callable[[], Awaitable[str]],
        slots: asyncio.Semaphore,
    ) -> None:
        """`slots` are for the keys that all ranges have under way."""
        self._homes = homes
        self._rule = rule
        self._mode = mode
        self._pace = pace
        self._report = report
        self._hold = hold
        self._slots = slots
        self.changes = 0
        """How many repairs count for the breaker so far."""

    async def again(
        self,
        suspects: Mapping[str, Sighting | None],
        healing: Callable[[Mapping[str, Sighting]], None],
    ) -> None:
        """Gives writes in flight their time, then counts and heals what still differs.

        Args:
            suspects: with what an earlier run of the crawl was about to heal there, if it was.
            healing: hears what is about to be healed here, and is not counted by then.
        """
        await asyncio.sleep(self._rule.settle_s)
        to_heal: dict[str, Sighting] = {}
        for name, seen in await self._sightings([*suspects]):
            before = suspects[name]
            if seen.drift in HEALABLE:
                to_heal[name] = seen
            elif before is not None and seen.drift is Drift.IN_FLIGHT:
                self.changes += not self._is_rebuilt(before)
                self._count_healed(before, _lacking(before))
            else:
                self._count(name, seen)
        if to_heal:
            healing(to_heal)
        if self._may_heal([*to_heal.values()]):
            await self._each(to_heal.items(), lambda one: self._heal(*one))
        else:
            for name, seen in to_heal.items():
                self._report.tally.saw(seen)
                self._report.tally.not_healed(f"{name}: {seen.drift.value}")

    async def deep(self, names: Sequence[str]) -> list[str]:
        """Reads keys that are listed alike; those whose bytes are not what the digests say."""
        sightings = await self._sightings(names)
        self._report.tally.deep += len(sightings)
        return [name for name, seen in sightings if seen.drift is not Drift.IN_FLIGHT]

    async def _each(self, items: Iterable[_T], work: Callable[[_T], Awaitable[None]]) -> None:
        """Works on each, so many at a time. `hold` is asked before every one, and may wait: what it
        says ends the crawl, as it does before a page."""
        waiting, report = iter(items), self._report

        async def worker() -> None:
            for item in waiting:
                async with self._slots:
                    if objection := await self._hold():
                        report.failure = objection
                    if report.failure:
                        return
                    await work(item)

        await at_once(self._rule.heals_at_once, worker)

    async def _sightings(self, names: Sequence[str]) -> list[tuple[str, Sighting]]:
        """What all of these keys show, in order; nothing when the crawl has ended meanwhile."""
        seen: dict[str, Sighting] = {}

        async def see(name: str) -> None:
            seen[name] = await self._see(name)

        await self._each(names, see)
        return [] if self._report.failure else [(name, seen[name]) for name in names]

    async def _see(self, name: str) -> Sighting:
        async with self._pace.turn():
            seen, size = await self._read(Key(self._report.namespace, name))
        tally = self._report.tally
        tally.kvsp_requests += Side.KVSP in self._homes
        tally.s3_requests += Side.S3 in self._homes
        tally.bytes_read += size
        await self._pace.carried(size)
        return seen

    async def _read(self, key: Key) -> tuple[Sighting, int]:
        """What both copies show, and how long they are: nobody who waits holds them."""
        replies = await asyncio.gather(
            *(home.get(key, self._rule.deadline_s) for home in self._homes.values())
        )
        settle_us = int(self._rule.settle_s * _MICRO)
        began_us = self._report.began_at_us + WHOLE_SECOND_CLOCK_SKEW_MAX_US
        kvsp, s3 = replies[0], replies[-1]  # one and the same where there is one home
        seen = sighting(kvsp, s3, settle_us=settle_us, began_us=began_us) or _SETTLED
        return seen, sum(len(one.record.envelope) for one in replies if isinstance(one, Found))

    def _count(self, name: str, seen: Sighting) -> None:
        """Counts what no heal can change."""
        tally = self._report.tally
        tally.saw(seen)
        if seen.drift in {Drift.ZOMBIE, Drift.RETIRED}:
            self._note_remains(name)
        if seen.drift in {Drift.UNKNOWN, Drift.FOREIGN}:
            tally.not_healed(f"{name}: {seen.why}")

    def _note_remains(self, name: str) -> None:
        if len(self._report.remains) < self._rule.dead_max:
            self._report.remains.append(name)

    def _may_heal(self, found: Sequence[Sighting]) -> bool:
        """Whether so many more repairs are allowed; the breaker stays open for the whole crawl."""
        if not found or self._mode.dry_run or self._report.stopped is not None:
            return False
        records = self._report.tally.records + len(found)
        self.changes += sum(not self._is_rebuilt(seen) for seen in found)
        self._report.stopped = mass_change(
            MassWork.REPAIR, self.changes, records, self._rule.limit, self._mode.accepted
        )
        return self._report.stopped is None

    def _is_rebuilt(self, seen: Sighting) -> bool:
        """Whether it is what a home lacks of which a person knows that it lost its records."""
        home = self._mode.rebuild
        return home is not None and seen.drift in LACKED[home]

    async def _heal(self, name: str, seen: Sighting) -> None:
        tally = self._report.tally
        if len(self._homes) == 1:
            tally.saw(seen)
            tally.not_healed(f"{name}: the only copy is damaged")
            return
        key = Key(self._report.namespace, name)
        async with self._pace.turn():
            outcome = await heal(self._homes, key, self._rule.deadline_s)
        if seen.drift is Drift.OTHER_BYTES:
            _LOG.error("corruption", namespace=key.namespace, key=name, outcome=_told(outcome))
        match outcome:
            case Healed(()):
                tally.saw(_SETTLED)
            case Healed(copied):
                self._count_healed(seen, copied)
            case LeftToSweep():
                tally.saw(seen._replace(drift=Drift.ZOMBIE))
                self._note_remains(name)
            case NotHealed(reasons):
                tally.saw(seen)
                tally.not_healed(f"{name}: {'; '.join(reasons)}")

    def _count_healed(self, seen: Sighting, copied: tuple[Side, ...]) -> None:
        self._report.tally.saw(seen)
        self._report.tally.healed(copied, seen.seen_us - seen.since_us)


def _lacking(seen: Sighting) -> tuple[Side, ...]:
    """Where a heal has copied the record to; nowhere that is known for other bytes."""
    return tuple(side for side, drift in LACKED.items() if seen.drift in drift)


def _told(outcome: HealOutcome) -> str:
    """What became of a corrupt copy, for the log."""
    match outcome:
        case Healed(()):
            return "equal in both homes already"
        case Healed(copied):
            return f"copied to {' and '.join(side.value for side in copied)}"
        case LeftToSweep():
            return "left to the sweep of what was deleted for good"
        case NotHealed(reasons):
            return "; ".join(reasons)
