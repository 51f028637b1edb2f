"""Deleting for good after a crawl that found a range equal: asks the rule, has it carried out.

The rule is `tandem.core.collect`, the work `tandem.backends.collect`. Here is gathered what they
want to know: the clusters before and after, and what the gateways say of writes that they lost
track of. A range that was resumed from a checkpoint is collected after the next crawl: what a dead
crawler saw is evidence of equality, but it has not kept which records were dead.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from crawler.report import CrawlReport
from tandem.backends.clusters import Clusters, look_at_clusters, renew_behind
from tandem.backends.collect import Allowance, Collected, CollectedHomes, Stopped, collect, sweep
from tandem.core.collect import (
    Collection,
    CollectRule,
    CrawlSeen,
    DeadRecord,
    Withheld,
    collection,
    may_sweep,
)
from tandem.core.crawl_range import Range
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.mass_change import MassLimit, NeedsPerson
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


class Collector:
    """Collects ranges of one store."""

    def __init__(
        self,
        homes: CollectedHomes,
        rule: CollectRule,
        limit: MassLimit,
        is_dirty: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`is_dirty` tells whether some gateway may have lost track of writes of a namespace, or a
        home is switched off, or a gateway does not answer."""
        self._homes = homes
        self._rule = rule
        self._limit = limit
        self._is_dirty = is_dirty

    async def look(self) -> Clusters | None:
        """The clusters before a crawl; None when they say too little for any evidence. One that is
        behind its mirror begins a new life here, before anything rests on it."""
        homes = self._homes
        clusters = await look_at_clusters(homes.rows, homes.objects, homes.deadline_s)
        if isinstance(clusters, Failed):
            return None
        if clusters.behind and homes.objects is not None:
            await renew_behind(homes.rows, homes.objects, clusters, homes.entropy, homes.deadline_s)
            return None
        return clusters

    async def collect(
        self, report: CrawlReport, within: Range, before: Clusters, accepted: int
    ) -> None:
        """Removes what may go, and enters in the report what went or why not."""
        span = _span(report.namespace, within)
        if span is None or not (report.dead or report.remains):
            return
        after = await self.look()
        if after is None or not report.equal:
            return
        dirty = await self._is_dirty(report.namespace)
        seen = CrawlSeen(
            span, report.began_at_us, report.ended_at_us, whole=True, equal_through=_EVERYTHING,
            dirty=dirty, healthy=not dirty, incarnations_begun=before.incarnations,
            incarnations_ended=after.incarnations,
        )  # fmt: skip
        allowance = Allowance(report.tally.records, self._limit, accepted)
        plan = collection(seen, [_dead(entry) for entry in report.dead], self._rule)
        if isinstance(plan, Withheld):
            report.withheld = plan.value
            return
        if plan.dead:
            self._note(report, await collect(self._homes, plan, allowance))
        if report.remains and report.stopped is None:
            await self._sweep(report, seen, plan, allowance)

    async def _sweep(
        self, report: CrawlReport, seen: CrawlSeen, plan: Collection, allowance: Allowance
    ) -> None:
        withheld = may_sweep(seen)
        if withheld is not None:
            report.withheld = withheld.value
            return
        swept = await sweep(
            self._homes, report.namespace, report.remains, plan.incarnations, allowance
        )
        self._note(report, swept)

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


def _span(namespace: str, within: Range) -> Span | None:
    """The range in the collector's form; None where an end of it has no name that a range may begin
    with."""
    ends = [name and name + _NEXT for name in (within.after, within.through)]
    if any(len(end.encode()) > KEY_NAME_BYTES_MAX for end in ends):
        return None
    return Span(namespace, *ends)


def _dead(entry: Entry) -> DeadRecord:
    assert entry.version is not None
    expires_at_s = 0 if entry.kind is Kind.TOMBSTONE else entry.expires_at_s or 0
    return DeadRecord(entry.name, entry.version, entry.digest, expires_at_s)
