"""One crawl of one range: compare both listings, look again at what differs, heal it. Of a
namespace that is kept in one home alone, that home's listing is counted.

No request is made per key that is equal: KVSP lists digests, S3 lists ETags, and both are the MD5
of the same bytes. A difference counts only if it is still there after `settle_s`, when both homes
are read; a write in flight is no drift. A range is *equal* only when every page of both homes was
seen and every difference was repaired.

What has been done is kept in a checkpoint at the ends of pages, and before anything is healed:
names up to `after` were compared, those in `suspects` are not counted yet. A crawl that goes on
from it counts each key once, though it finds equal what was healed by then.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from operator import lt
from typing import Final

from crawler.pace import LISTED_BYTES, Pace
from crawler.report import CHECKPOINT_AGE_MAX_US, Checkpoint, CrawlMode, CrawlReport, CrawlRule
from crawler.second_look import SecondLook
from tandem.backends.port import Backend, ScanPage
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.crawl_range import RANGES_MAX, WHOLE, Range, is_sampled, may_end
from tandem.core.drift import Drift, Sighting
from tandem.core.record import Kind
from tandem.core.reply import Failed, Side
from tandem.core.scan_diff import Entry, OneListing, ScanDiff
from tandem.core.tally import Tally

_MICRO: Final = 1_000_000


async def _nothing_objects() -> str:
    return ""


class Crawl:
    """Crawls one range once."""

    def __init__(
        self,
        homes: Mapping[Side, Backend],
        namespace: str,
        rule: CrawlRule,
        *,
        within: Range = WHOLE,
        mode: CrawlMode | None = None,
        pace: Pace | None = None,
        resume: Checkpoint | None = None,
        save: Callable[[Checkpoint], None] | None = None,
        hold: Callable[[], Awaitable[str]] = _nothing_objects,
        slots: asyncio.Semaphore | None = None,
    ) -> None:
        """`hold` is asked before every page and every key that is read, and may wait: what it says
        ends the crawl, unless it is nothing. `slots` bound the keys that are read or healed at
        once, where other ranges share them."""
        self._homes = homes
        self._rule = rule
        self._within = within
        self._mode = mode or CrawlMode()
        self._pace = pace or Pace()
        self._resume = resume
        self._save = save
        self._hold = hold
        self._diff = OneListing(*homes) if len(homes) == 1 else ScanDiff()
        self._after = dict.fromkeys(Side, within.after)
        self._begun_after = within.after
        self._now_us = 0
        self._since_split = 0
        self._unread: list[str] = []
        self._foreign: list[tuple[str, int]] = []
        self._suspects: dict[str, Sighting | None] = {}
        self.report = CrawlReport(namespace)
        slots = slots or asyncio.Semaphore(rule.heals_at_once)
        self._look = SecondLook(homes, rule, self._mode, self._pace, self.report, hold, slots)

    @property
    def position(self) -> str:
        """Everything up to this name was compared."""
        return self._resumable()

    async def run(self) -> CrawlReport:
        """Sees all pages, or says in the report why it could not."""
        if not await self._begin():
            return self.report
        while (side := self._diff.wants()) is not None:
            if not await self._turn(side):
                break
        else:
            await self._look_again()
        self.report.ended_at_us = self._now_us
        return self.report

    async def _turn(self, side: Side) -> bool:
        """One page of one home; False when the crawl cannot go on."""
        if objection := await self._hold():
            self.report.failure = objection
            return False
        async with self._pace.turn():
            page = await self._page(side)
            if page is None:
                return False
            self._compare(side, page)
        await self._pace.carried(len(page.entries) * LISTED_BYTES)
        if self._mode.deep_parts:
            await self._read_bytes()
        if len(self._suspects) >= self._rule.differences_max:
            await self._look_again()
        if self.report.failure:
            return False
        self._checkpoint(self._suspects)
        return True

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
        self._now_us = self.report.began_at_us = min(times)
        resume = self._resume
        # One that is of a time to come was saved while a home's clock was wrong.
        if resume and 0 <= self._now_us - resume.saved_at_us <= CHECKPOINT_AGE_MAX_US:
            self._go_on(resume)
        return True

    def _go_on(self, resume: Checkpoint) -> None:
        self.report.began_at_us = resume.began_at_us
        self.report.before = Tally.of(resume.tally)
        self.report.tally.add(self.report.before)
        self.report.splits = [*resume.splits]
        self.report.stopped = resume.stopped
        self._look.changes = resume.changes
        self._begun_after = resume.after
        self._after = dict.fromkeys(Side, resume.after)
        self._suspects = {**resume.suspects}
        self._since_split = resume.since_split

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
            case ScanPage() if not _is_in_order(page, self._after[side]):
                self.report.failure = f"{side.value}: the listing is out of order"
                return None
            case ScanPage():
                return page

    def _compare(self, side: Side, page: ScanPage) -> None:
        entries, ended = self._inside(page)
        if not ended:
            self._after[side] = page.next_after or ""
        tally = self.report.tally
        if side is Side.S3:
            tally.s3_requests += 1
        else:
            self._now_us = max(self._now_us, page.home_time_us)
            tally.kvsp_requests += 1
            if self._mode.deep_parts:
                self._unread += [entry.name for entry in entries if self._is_sampled(entry.name)]
        differences = self._diff.feed(side, entries, ended=ended)
        self._suspects |= dict.fromkeys(one.name for one in differences)
        self._note_split(self._diff.equal + len(differences))
        if page.foreign:
            self._foreign.append((entries[-1].name if entries else "", page.foreign))
        tally.equal += self._diff.equal
        self._diff.equal = 0
        self._note_dead()
        self._note_foreign()

    def _inside(self, page: ScanPage) -> tuple[tuple[Entry, ...], bool]:
        """The page's entries that belong to the range, and whether the range ends with them."""
        entries, through = page.entries, self._within.through
        if not through or not entries or entries[-1].name < through:
            return entries, page.next_after is None
        return tuple(entry for entry in entries if entry.name <= through), True

    def _note_split(self, judged: int) -> None:
        """Counts what was compared, so that what is listed again after a restart counts once. A
        range may end only behind what was judged since it began, or was gone on with."""
        self._since_split += judged
        end, splits = self._diff.judged, self.report.splits
        if self._since_split < self._rule.range_names or len(splits) >= RANGES_MAX:
            return
        if self._begun_after < end != self._within.through and may_end(end):
            self._since_split = 0
            splits.append(end)

    def _note_dead(self) -> None:
        """Counts what the homes hold and nobody can read."""
        tally, now_s = self.report.tally, self._now_us / _MICRO
        for entry in self._diff.dead:
            assert entry.version is not None
            is_dead = entry.kind is Kind.TOMBSTONE or 0 < (entry.expires_at_s or 0) <= now_s
            if is_dead and len(self.report.dead) < self._rule.dead_max:
                self.report.dead.append(entry)
            if entry.kind is Kind.TOMBSTONE:
                tally.saw_tombstone(entry.version.time_us)
            elif entry.expires_at_s and entry.expires_at_s <= now_s:
                since_us = entry.expires_at_s * _MICRO
                tally.saw(Sighting(Drift.EXPIRED, entry.size, since_us))
        self._diff.dead.clear()

    def _note_foreign(self) -> None:
        """Counts the foreign objects of pages that were compared to their end: what is listed again
        after a restart is not counted twice."""
        judged = self._diff.judged
        for last, count in self._foreign:
            if last <= judged:
                self.report.tally.keys[Drift.FOREIGN] += count
        self._foreign = [one for one in self._foreign if one[0] > judged]

    def _is_sampled(self, name: str) -> bool:
        return is_sampled(name, self._mode.deep_parts, self._mode.number)

    async def _read_bytes(self) -> None:
        """Deep mode: reads the sampled keys that were found equal."""
        judged = self._diff.judged
        names = [name for name in self._unread if name <= judged]
        self._unread = self._unread[len(names) :]
        damaged = await self._look.deep([n for n in names if n not in self._suspects])
        self._suspects |= dict.fromkeys(damaged)

    async def _look_again(self) -> None:
        if self._suspects:
            suspects, self._suspects = self._suspects, {}
            await self._look.again(suspects, self._checkpoint)
            if not self.report.failure:
                self._checkpoint(self._suspects)

    def _checkpoint(self, suspects: Mapping[str, Sighting | None]) -> None:
        if self._save is None:
            return
        report = self.report
        self._save(
            Checkpoint(
                report.began_at_us, self._now_us, self._resumable(), {**suspects},
                tuple(report.splits), self._since_split, report.tally.document(),
                self._look.changes, report.stopped,
            )
        )  # fmt: skip

    def _resumable(self) -> str:
        """Everything up to here was judged; what one listing is ahead is listed again."""
        return max(self._diff.judged, self._begun_after)


def _is_in_order(page: ScanPage, after: str) -> bool:
    """Whether the names rise to where the next page begins: else some count twice, or never."""
    names = [entry.name for entry in page.entries]
    rise = all(map(lt, [after, *names], names))
    return rise and (not names or page.next_after is None or names[-1] <= page.next_after)
