"""One crawl of one namespace: its ranges in parallel, shared with other crawlers, added up."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crawler.board import Board
from crawler.book import Book
from crawler.collecting import Collector
from crawler.crawl import Crawl
from crawler.next_plan import plan_apart, plan_to_follow
from crawler.pace import Pace
from crawler.plan import Plan
from crawler.plans import LEASE_US, NoPlan, Plans
from crawler.registry import IN_BOTH, Kept
from crawler.report import CrawlMode, CrawlReport, CrawlRule
from crawler.workers import at_once
from tandem.backends.port import Backend
from tandem.core.crawl_range import Range
from tandem.core.crawl_status import Crawled, RunRequest, Stop
from tandem.core.mass_change import NeedsPerson
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.runtime import logs

_LOG = logs.get("crawler")
_POLL_S = 1.0
"""How often a range is looked at that another crawler is at."""
_RENEW_S = LEASE_US / 3_000_000


@dataclass(slots=True)
class _Task:
    """The crawl of a namespace while it runs."""

    plan: Plan
    kept: Kept
    request: RunRequest
    accepted: int
    waiting: list[Range]
    shared: bool
    pace: Pace
    reports: dict[int, CrawlReport] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    elsewhere: list[Range] = field(default_factory=list)


class NamespaceCrawls:
    """Crawls namespaces for one crawler."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        plans: Plans,
        book: Book,
        board: Board,
        rule: CrawlRule,
        pace: Pace,
        collector: Collector,
    ) -> None:
        self._homes = homes
        self._plans = plans
        self._book = book
        self._board = board
        self._pace = pace
        self._collector = collector
        self._slots = asyncio.Semaphore(rule.heals_at_once)
        self.rule = rule

    async def crawl(
        self,
        namespace: str,
        request: RunRequest | None = None,
        urgent: Sequence[str] = (),
        kept: Kept = IN_BOTH,
    ) -> Crawled:
        """Crawls all ranges of a namespace, those with `urgent` names first.

        Without a `request` it joins the crawl that is under way or begins the next one. What a home
        lacks that is being brought in is copied to it, as in a rebuild. In one home alone there is
        nothing to compare, and the other one is asked nothing.
        """
        try:
            return await self._crawled(namespace, request, urgent, kept)
        except NoPlan as error:
            why = str(error)
        except sqlite3.DatabaseError as error:  # a full disk: what was healed stays healed
            why = f"the crawler's own file cannot be used: {error}"
        failed = Crawled(namespace, "", 0, 0, 0, 0, False, 0, why, "", Tally())
        return replace(failed, alone=kept.alone)

    async def _crawled(
        self, namespace: str, request: RunRequest | None, urgent: Sequence[str], kept: Kept
    ) -> Crawled:
        task = await self._begin(namespace, request, kept)
        task.waiting.sort(key=lambda one: any(one.holds(name) for name in urgent))
        await at_once(self.rule.ranges_at_once, lambda: self._work(task))
        while task.elsewhere and not task.failures:
            await asyncio.sleep(_POLL_S)
            task.waiting, task.elsewhere = task.elsewhere, []
            await at_once(self.rule.ranges_at_once, lambda: self._work(task))
        return self._enter(task)

    async def has_begun(self, namespace: str) -> bool:
        """Whether both homes were crawled since the namespace was kept in one alone; False when
        that cannot be known."""
        try:
            plan = await self._plans.current(namespace)
            return plan is not None and plan.alone is None
        except NoPlan:
            return False

    async def forget(self, namespace: str) -> None:
        """The namespace is kept in a home that is not crawled alone: earlier crawls say nothing of
        it any more."""
        try:
            await self._plans.forget(namespace)
        except NoPlan as error:
            _LOG.warning("plan_not_forgotten", namespace=namespace, why=str(error))

    async def _begin(self, namespace: str, request: RunRequest | None, kept: Kept) -> _Task:
        stop = self._book.stops().get(namespace)
        accepted = stop.accepted if stop else 0
        asked = request or RunRequest(namespace, self.rule.deep_parts)
        if asked.dry_run:
            plan = await plan_apart(self._plans, namespace, asked, kept)
            return self._task(plan, kept, asked, 0, shared=False)
        asked = replace(asked, rebuild=asked.rebuild or kept.mode.filled)
        plan = await plan_to_follow(
            self._plans, namespace, asked, kept, anew=request is not None,
            has_entered=lambda plan: self._book.has_entered(namespace, plan.id),
        )  # fmt: skip
        return self._task(plan, kept, asked, accepted, shared=True)

    def _task(
        self, plan: Plan, kept: Kept, asked: RunRequest, accepted: int, *, shared: bool
    ) -> _Task:
        limit = plan.requests_per_s
        pace = Pace(requests_per_s=limit, within=self._pace) if limit else self._pace
        return _Task(plan, kept, asked, accepted, [*plan.ranges], shared, pace)

    async def _work(self, task: _Task) -> None:
        """Takes ranges until none is left."""
        while task.waiting:
            within = task.waiting.pop()
            try:
                await self._range(task, within)
            except NoPlan as error:
                task.failures.append(str(error))

    async def _range(self, task: _Task, within: Range) -> None:
        plan, number = task.plan, within.number
        if task.shared:
            lease = await self._plans.take(plan, number)
            if lease.report is not None:
                task.reports[number] = lease.report
                return
            if not self._plans.is_mine(lease):
                task.elsewhere.append(within)
                return
        report = await self._crawl_and_collect(task, within)
        report.dead.clear()  # there may be thousands of ranges
        report.remains.clear()
        task.reports[number] = report
        if report.failure:
            task.failures.append(report.failure)
            if task.shared:
                await self._plans.release(plan, number)
        elif task.shared:
            await self._plans.finish(plan, number, report)

    async def _crawl_and_collect(self, task: _Task, within: Range) -> CrawlReport:
        if not task.shared:
            return await self._crawl(task, within)
        collector = self._collector
        before = await collector.look(task.kept.homes)
        report = await self._crawl(task, within)
        if report.equal:
            await collector.mirror(report, within, before, task.kept)
            await collector.collect(report, within, before, task.kept, task.accepted)
        return report

    async def _crawl(self, task: _Task, within: Range) -> CrawlReport:
        plan, book, loop = task.plan, self._book, asyncio.get_running_loop()
        renew_at_s = loop.time() + _RENEW_S

        async def hold() -> str:
            nonlocal renew_at_s
            await self._board.going()
            if task.shared and loop.time() >= renew_at_s:
                renew_at_s = loop.time() + _RENEW_S
                if not self._plans.is_mine(await self._plans.take(plan, within.number)):
                    return "another crawler is at the range"
            return ""

        mode = CrawlMode(
            plan.number, plan.deep_parts, task.request.dry_run, task.accepted, plan.rebuild
        )
        homes = {side: self._homes[side] for side in task.kept.mode.legs}
        crawl = Crawl(
            homes, plan.namespace, self.rule, within=within, mode=mode, pace=task.pace,
            resume=book.checkpoint(plan.id, within.number) if task.shared else None,
            save=(lambda at: book.save(plan.id, within.number, at)) if task.shared else None,
            hold=hold, slots=self._slots,
        )  # fmt: skip
        self._board.began(crawl, within, len(plan.ranges))
        try:
            return await crawl.run()
        finally:
            self._board.left(crawl, within)

    def _enter(self, task: _Task) -> Crawled:
        """Adds up the ranges, and enters the sum in the history and the breakers."""
        plan, tally = task.plan, Tally()
        reports = [task.reports[number] for number in sorted(task.reports)]
        for report in reports:
            tally.add(report.tally)
        failure = task.failures[0] if task.failures else ""
        stops = [report.stopped for report in reports if report.stopped is not None]
        crawled = Crawled(
            plan.namespace, plan.id, plan.number,
            min((report.began_at_us for report in reports), default=0),
            max((report.ended_at_us for report in reports), default=0),
            plan.deep_parts, task.request.dry_run, len(plan.ranges), failure,
            "; ".join(map(str, stops)), tally,
            next((report.withheld for report in reports if report.withheld), ""), task.kept.alone,
        )  # fmt: skip
        if crawled.began_us:
            self._book.enter(crawled)
        if stops:
            changes = sum(stop.changes for stop in stops)
            allowed = self._still_allowed(task, stops)
            self._book.stop(
                Stop(plan.namespace, crawled.ended_us, changes, crawled.stopped, allowed)
            )
        elif not failure and not crawled.dry_run:
            self._book.passed(plan.namespace)
        return crawled

    def _still_allowed(self, task: _Task, stops: Sequence[NeedsPerson]) -> int:
        """What a person has accepted, where no range was stopped in spite of it: since the crawl
        began, or between two runs of the crawler, of which the first one had stopped them. It is
        for the next crawl."""
        stop = self._book.stops().get(task.plan.namespace)
        accepted = stop.accepted if stop is not None else 0
        new = accepted > task.accepted
        return accepted if new or all(one.changes <= accepted for one in stops) else 0
