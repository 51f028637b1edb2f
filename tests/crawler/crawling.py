"""Homes in memory to crawl, with the faults of bad days, and crawlers that share them."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from crawler.board import Board
from crawler.book import Book
from crawler.collecting import Collector
from crawler.deleted import DeletedNamespaces
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.registry import IN_BOTH, Kept
from crawler.renewing import Renewing
from crawler.report import CrawlRule
from crawler.rounds import Work
from tandem.backends.collect import CollectedHomes
from tandem.backends.port import Backend, CollectableObjects, CollectableRows, Heal, ScanPage
from tandem.core.collect import CollectRule, Homes
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.mass_change import MassLimit
from tandem.core.record import Record
from tandem.core.reply import Failed, Missing, ReadReply, Reason, Side, WriteReply
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tests.memory.home import MemoryHome
from tests.sim.loop import EPOCH_US, SeededEntropy, VirtualClock, current

NAMESPACE = "ab" * 16
RULE = CrawlRule(page_names=10, deadline_s=1.0, range_names=25, ranges_at_once=2)


def record(number: int, value: bytes = b"value") -> Record:
    """One of many, all older than any crawl."""
    return seal(Version.at(EPOCH_US - 10**9 + number), value + b" %d" % number)


class FickleHome(MemoryHome):
    """A home in memory whose calls take time, and fail or lie as a test wants it."""

    delay_s = 0.001
    listed_late_s = 0.0
    fails: Callable[[], bool] | None = None
    foreign = 0
    rotten: frozenset[str] = frozenset()
    """Names whose bytes are damaged until something else is written there."""
    disk_rots = False
    """Whether that is so of what is written too."""
    calls = 0

    async def get(  # type: ignore[override]  # a coroutine is awaitable too
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        if failed := await self._outcome():
            return failed
        if key.name in self.rotten:
            return Failed(Reason.CORRUPT, "rot", self._clock.now_us())
        return await super().get(key, deadline_s, needed)

    async def put_if_newer(  # type: ignore[override]
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        failed = await self._outcome()
        held = self._namespace(key.namespace).records.get(key.name)
        if (heal is not None and heal.over_corrupt) or record != held:
            self.rotten -= set() if self.disk_rots else {key.name}
        return failed or await super().put_if_newer(key, record, deadline_s, heal)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        if failed := await self._outcome():
            return failed
        page = await super().scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )
        await asyncio.sleep(self.listed_late_s)
        if isinstance(page, Failed):
            return page
        return ScanPage(page.entries, page.next_after, page.home_time_us, True, self.foreign)

    async def _outcome(self) -> Failed | None:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        failing = self.fails is not None and self.fails()
        return Failed(Reason.ERROR, "as told") if failing else None


class Said:
    """What a collector is told."""

    def __init__(
        self, *, dirty: bool = False, off: bool = False, kept: Kept | None = IN_BOTH
    ) -> None:
        self.dirty = dirty
        self.off = off
        self.kept = kept
        self.asked: list[Homes] = []

    async def in_use(self, homes: Homes) -> bool:
        self.asked.append(homes)
        return not self.off

    async def is_dirty(self, namespace: str, homes: Homes) -> bool:
        self.asked.append(homes)
        return self.dirty

    async def kept_now(self, namespace: str, homes: Homes) -> Kept | None:
        self.asked.append(homes)
        return self.kept


def collector(
    rows: CollectableRows, objects: CollectableObjects, said: Said | None = None,
    limit: MassLimit | None = None,
) -> Collector:  # fmt: skip
    """One that is told that all is well, if it is told nothing else."""
    homes = CollectedHomes(rows, objects, SeededEntropy(Random(1)), 1.0)
    return Collector(homes, CollectRule(), limit or MassLimit(), said or Said())


def work(
    crawls: NamespaceCrawls, rows: CollectableRows, objects: CollectableObjects, clock: Clock,
    pause_s: float = 10.0,
) -> Work:  # fmt: skip
    """What rounds do beside these crawls of the same homes."""
    deleted = DeletedNamespaces(
        rows=rows, objects=objects, rule=CollectRule(), share=0.3,
        book=crawls._book, board=crawls._board, pace=crawls._pace, clock=clock,
    )  # fmt: skip
    renewing = Renewing({Side.KVSP: rows, Side.S3: objects}, crawls._collector)
    return Work(renewing, crawls, deleted, pause_s)


class Ground:
    """Two homes, and what several crawlers know of each other through them."""

    def __init__(self) -> None:
        self.clock = VirtualClock(current())
        self.kvsp = FickleHome(Side.KVSP, self.clock)
        self.s3 = FickleHome(Side.S3, self.clock)
        self._crawlers = 0
        self.homes: Mapping[Side, Backend] = {Side.KVSP: self.kvsp, Side.S3: self.s3}

    async def hold(self, name: str, *copies: Record | None) -> None:
        """KVSP's and S3's copy; one for both."""
        kvsp, s3 = copies if len(copies) == 2 else (copies[0], copies[0])
        for home, copy in ((self.kvsp, kvsp), (self.s3, s3)):
            if copy is not None:  # past the rule that refuses old legs
                home._namespace(NAMESPACE).store(name, copy)

    def copies(self, name: str) -> tuple[Record | None, Record | None]:
        """What each home holds."""
        kvsp, s3 = (home._namespace(NAMESPACE).records.get(name) for home in (self.kvsp, self.s3))
        return kvsp, s3

    def equal(self) -> bool:
        """Whether both homes hold the same."""
        kvsp, s3 = (home._namespace(NAMESPACE).records for home in (self.kvsp, self.s3))
        return kvsp == s3

    def crawler(
        self, book: Book | Path, me: str = "me", rule: CrawlRule = RULE,
        unreadable: Callable[[], None] = lambda: None,
    ) -> NamespaceCrawls:  # fmt: skip
        """A crawler with its own file and its own chance."""
        opened = book if isinstance(book, Book) else Book(book)
        self._crawlers += 1
        entropy = SeededEntropy(Random(f"{me} {self._crawlers}"))
        return NamespaceCrawls(
            homes=self.homes, plans=Plans(self.kvsp, me, entropy, unreadable), book=opened,
            board=Board(opened, entropy), rule=rule, pace=Pace(),
            collector=collector(self.kvsp, self.s3),
        )  # fmt: skip


async def missing(home: MemoryHome, name: str) -> bool:
    """Whether the home has nothing under the name."""
    return isinstance(await home.get(Key(NAMESPACE, name), 1.0), Missing)
