"""Deleting for good after a crawl that found a range equal: asks the rule, has it carried out.

The rule is `tandem.core.collect`, the work `tandem.backends.collect`. Here is gathered what they
want to know: the clusters before and after, and what the gateways say of writes that they lost
track of. A range that was resumed from a checkpoint is collected after the next crawl: what a dead
crawler saw is evidence of equality, but it has not kept which records were dead.

Of a namespace in KVSP alone S3 is asked nothing at all, so its floors are in no mirror. The mirrors
take them over when it has come back: after a crawl that found a range equal, and met no zombie.
"""

from dataclasses import replace
from typing import Final, Protocol

from crawler.registry import Kept
from crawler.report import CrawlReport
from tandem.backends.clusters import Clusters, look_at_clusters, mirror_floors, renew_behind
from tandem.backends.collect import Allowance, Collected, CollectedHomes, Stopped, collect, sweep
from tandem.core.collect import (
    CollectRule,
    CrawlSeen,
    DeadRecord,
    Homes,
    Withheld,
    collection,
    may_sweep,
)
from tandem.core.crawl_range import Range
from tandem.core.drift import Drift
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.mass_change import (
    SWEPT_VALUES_LIMIT,
    MassLimit,
    MassWork,
    NeedsPerson,
    mass_change,
)
from tandem.core.mode import Stage
from tandem.core.record import Kind
from tandem.core.removal import Span
from tandem.core.reply import Failed
from tandem.core.scan_diff import Entry
from tandem.core.version import VERSION_BYTES, Version
from tandem.runtime import logs

_LOG = logs.get("collector")
_EVERYTHING: Final = Version(b"\xff" * VERSION_BYTES)
_NEXT: Final = "\x00"
"""Behind a name: the first name that comes after it."""
_RESUMED: Final = "the crawler was started anew during the crawl: the next one may collect"
_UNSURE: Final = (
    "the clusters of KVSP could not be compared with their mirrors, or one was wiped or restored"
)


class Evidence(Protocol):
    """What a collector asks beside the homes."""

    async def in_use(self, homes: Homes) -> bool:
        """Whether a gateway answers, and none that does has one of these homes switched off."""
        ...

    async def is_dirty(self, namespace: str, homes: Homes) -> bool:
        """Whether some gateway may have lost track of writes of a namespace that is kept so, knows
        a home to be behind, or does not answer."""
        ...

    async def kept_now(self, namespace: str, homes: Homes) -> Kept | None:
        """How the namespace is kept, as far as these homes know it."""
        ...


class Collector:
    """Collects ranges of one store."""

    def __init__(
        self, homes: CollectedHomes, rule: CollectRule, limit: MassLimit, evidence: Evidence
    ) -> None:
        self._homes = homes
        self._rule = rule
        self._limit = limit
        self._evidence = evidence

    async def look(self, homes: Homes = Homes.BOTH) -> Clusters | None:
        """The clusters before a crawl; None when they say too little for any evidence. One that is
        behind its mirror begins a new life here, before anything rests on it."""
        at = self._at(homes)
        clusters = await look_at_clusters(at.rows, at.objects, at.deadline_s)
        if isinstance(clusters, Failed):
            return None
        if clusters.behind and at.objects is not None:
            await renew_behind(at.rows, at.objects, clusters, at.entropy, at.deadline_s)
            return None
        return clusters

    def _at(self, homes: Homes) -> CollectedHomes:
        return replace(self._homes, objects=None) if homes is Homes.KVSP else self._homes

    async def collect(
        self, report: CrawlReport, within: Range, before: Clusters | None, kept: Kept, accepted: int
    ) -> None:
        """Removes what may go, and enters in the report what went or why not.

        Args:
            before: the clusters before the crawl; None when they said too little.
            kept: how the namespace was kept before the crawl.
            accepted: how many removals a person has allowed.
        """
        if not (report.dead or report.remains or (report.resumed and report.tally.dead)):
            return
        if report.resumed:
            report.withheld = _RESUMED
            return
        after = before and await self.look(kept.homes)
        if before is None or after is None:
            report.withheld = _UNSURE
            return
        span = _span(report.namespace, within)
        whole = span or Span(report.namespace)
        seen = await self._seen(report, whole, (before, after), kept)
        allowance = Allowance(report.tally.records, self._limit, accepted)
        if report.dead and span is not None:
            await self._collect(report, seen, kept, allowance)
        if report.remains and report.stopped is None:
            await self._sweep(report, seen, kept, allowance)

    async def _seen(
        self, report: CrawlReport, span: Span, clusters: tuple[Clusters, Clusters], kept: Kept
    ) -> CrawlSeen:
        namespace, (before, after), evidence = report.namespace, clusters, self._evidence
        return CrawlSeen(
            span, report.began_at_us, report.ended_at_us, whole=True,
            equal_through=_EVERYTHING, dirty=await evidence.is_dirty(namespace, kept.homes),
            healthy=await evidence.in_use(kept.homes), incarnations_begun=before.incarnations,
            incarnations_ended=after.incarnations,
            stepped=await evidence.kept_now(namespace, kept.homes) != kept,
        )  # fmt: skip

    async def _collect(
        self, report: CrawlReport, seen: CrawlSeen, kept: Kept, allowance: Allowance
    ) -> None:
        dead = [_dead(entry) for entry in report.dead]
        plan = collection(seen, dead, self._rule, kept.homes)
        if isinstance(plan, Withheld):
            report.withheld = plan.value
        elif plan.dead:
            self._note(report, await collect(self._at(kept.homes), plan, allowance))

    async def _sweep(
        self, report: CrawlReport, seen: CrawlSeen, kept: Kept, allowance: Allowance
    ) -> None:
        """Though a home may be behind: it stays so until a crawl has met no zombie."""
        withheld = may_sweep(seen)
        if withheld is not None:
            report.withheld = withheld.value
            return
        if kept.mode.filled is None:
            report.stopped = _too_many_values(report, allowance)
        if report.stopped is not None:
            return
        swept = await sweep(
            self._homes, report.namespace, report.remains, seen.incarnations_ended, allowance
        )
        self._note(report, swept)

    async def mirror(
        self, report: CrawlReport, within: Range, before: Clusters | None, kept: Kept
    ) -> None:
        """Lets the mirrors take over the floors of a range in which both homes are equal, if they
        lack any. A home that is being brought in does not count as equal before they have."""
        if kept.homes is not Homes.BOTH or report.tally.keys[Drift.ZOMBIE]:
            return
        failure = await self._mirror(report.namespace, within, before)
        if failure and kept.mode.stage is Stage.SHADOW:
            report.failure = f"the mirrors do not know all floors: {failure}"
        elif failure:
            _LOG.warning("floors_not_mirrored", namespace=report.namespace, why=failure)

    async def _mirror(self, namespace: str, within: Range, before: Clusters | None) -> str:
        homes = self._homes
        if homes.objects is None:
            return ""
        if before is None:
            return "the clusters cannot be compared with them"
        start, end = (_raw_end(name) for name in (within.after, within.through))
        failed = await mirror_floors(
            homes.objects, before, namespace, start, end, homes.entropy, homes.deadline_s
        )
        return str(failed) if failed is not None else ""

    def _note(self, report: CrawlReport, outcome: Collected | Stopped | NeedsPerson) -> None:
        match outcome:
            case Collected():
                report.tally.rows_removed += outcome.rows
                report.tally.objects_removed += outcome.objects + outcome.replaced
                _LOG.info("collected", namespace=report.namespace, outcome=str(outcome))
            case Stopped(why):
                report.withheld = why
                _LOG.warning("not_collected", namespace=report.namespace, why=why)
            case NeedsPerson():
                report.stopped = outcome


def _too_many_values(report: CrawlReport, allowance: Allowance) -> NeedsPerson | None:
    """A home that is being brought in may show any number: it was left to grow old."""
    values = report.tally.keys[Drift.ZOMBIE]
    return mass_change(
        MassWork.VALUES, values, allowance.records, SWEPT_VALUES_LIMIT, allowance.accepted
    )


def _span(namespace: str, within: Range) -> Span | None:
    """The range in the collector's form; None where an end of it has no name that a range may begin
    with."""
    ends = [name and name + _NEXT for name in (within.after, within.through)]
    if any(len(end.encode()) > KEY_NAME_BYTES_MAX for end in ends):
        return None
    return Span(namespace, *ends)


def _raw_end(name: str) -> bytes:
    """Where a range ends that goes through this name; all names for none."""
    return f"{name}{_NEXT}".encode() if name else b""


def _dead(entry: Entry) -> DeadRecord:
    assert entry.version is not None
    expires_at_s = 0 if entry.kind is Kind.TOMBSTONE else entry.expires_at_s or 0
    return DeadRecord(entry.name, entry.version, entry.digest, expires_at_s)
