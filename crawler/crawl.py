"""One crawl of one namespace: compare both listings, look again at what differs, heal it.

No request is made per key that is equal: KVSP lists digests, S3 lists ETags, and both are the MD5
of the same bytes. A difference counts only if it is still there after `settle_s`, when `heal` reads
both homes; a write in flight is no drift. The crawl finds a namespace *equal* only when every page
of both homes was seen and every difference was repaired.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from tandem.backends.heal import Healed, LeftToSweep, NotHealed, heal
from tandem.backends.port import Backend, ScanPage
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.key import Key
from tandem.core.reply import Failed, Side
from tandem.core.scan_diff import Difference, ScanDiff


@dataclass(frozen=True, slots=True)
class CrawlRule:
    """How hard a crawl works."""

    page_names: int = 1000
    settle_s: float = 2.0
    heals_at_once: int = 16
    deadline_s: float = 10.0
    differences_max: int = 10_000
    """Differences that wait for their second look at once; above, the crawl pauses for them."""


@dataclass(slots=True)
class CrawlReport:
    """What one crawl of one namespace found."""

    namespace: str
    began_at_us: int = 0
    """The smaller of the homes' times when it began; 0 when a home did not tell it."""
    equal_keys: int = 0
    in_flight: int = 0
    copied: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    """Records that a home lacked or held in an older version, and that were written to it."""
    unhealed: list[str] = field(default_factory=list)
    zombies: list[str] = field(default_factory=list)
    """Names of values on S3 that were deleted for good; no home lacks a write for them."""
    failure: str = ""
    """Why the crawl did not see everything; empty when it did."""

    @property
    def equal(self) -> bool:
        """Whether both homes hold the same now, as far as the crawl has seen."""
        return not self.failure and not self.unhealed


class Crawl:
    """Crawls one namespace once."""

    def __init__(self, homes: Mapping[Side, Backend], namespace: str, rule: CrawlRule) -> None:
        self._homes = homes
        self._rule = rule
        self._diff = ScanDiff()
        self._after = dict.fromkeys(Side, "")
        self._suspects: list[Difference] = []
        self.report = CrawlReport(namespace)

    async def run(self) -> CrawlReport:
        """Sees all pages, or says in the report why it could not."""
        if not await self._begin():
            return self.report
        while (side := self._diff.wants()) is not None:
            page = await self._page(side)
            if page is None:
                return self.report
            self._suspects.extend(
                self._diff.feed(side, page.entries, ended=page.next_after is None)
            )
            if len(self._suspects) >= self._rule.differences_max:
                await self._second_look()
        await self._second_look()
        self.report.equal_keys = self._diff.equal
        return self.report

    async def _begin(self) -> bool:
        """Takes the homes' times before the first page: a listing shows nothing of a write that
        came while it was on its way, so the time that comes with it would be too late."""
        times = []
        for side, home in self._homes.items():
            reply = await home.get(STORE_ID_KEY, self._rule.deadline_s)
            if isinstance(reply, Failed):
                self.report.failure = f"{side.value}: {reply}"
                return False
            times.append(reply.home_time_us)
        self.report.began_at_us = min(times)
        return True

    async def _page(self, side: Side) -> ScanPage | None:
        page = await self._homes[side].scan(
            self.report.namespace,
            after=self._after[side],
            prefix="",
            limit=self._rule.page_names,
            deadline_s=self._rule.deadline_s,
        )
        match page:
            case Failed():
                self.report.failure = f"{side.value}: {page}"
                return None
            case ScanPage(complete=False):
                self.report.failure = f"{side.value}: the listing is incomplete"
                return None
            case ScanPage(next_after=str(after)) if after <= self._after[side]:
                self.report.failure = f"{side.value}: the listing goes in circles"
                return None
            case ScanPage(next_after=after):
                self._after[side] = after or ""
                return page

    async def _second_look(self) -> None:
        """Heals what still differs; a difference that has gone was a write in flight."""
        if not self._suspects:
            return
        await asyncio.sleep(self._rule.settle_s)
        suspects, self._suspects = self._suspects, []
        gate = asyncio.Semaphore(self._rule.heals_at_once)
        await asyncio.gather(*(self._heal(suspect.name, gate) for suspect in suspects))

    async def _heal(self, name: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            key = Key(self.report.namespace, name)
            outcome = await heal(self._homes, key, self._rule.deadline_s)
        match outcome:
            case Healed(()):
                self.report.in_flight += 1
            case Healed(copied):
                for side in copied:
                    self.report.copied[side] += 1
            case LeftToSweep():
                self.report.zombies.append(name)
            case NotHealed(reasons):
                self.report.unhealed.append(f"{name}: {'; '.join(reasons)}")
