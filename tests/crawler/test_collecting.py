"""Deleting for good after a crawl: what goes, what stays and why, on stores that remove and not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from crawler.board import Board
from crawler.book import Book
from crawler.namespace_crawl import NamespaceCrawls, _Task
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.registry import IN_BOTH
from crawler.report import Checkpoint, CrawlReport, CrawlRule
from tandem.backends.port import ScanPage
from tandem.core.collect import Withheld
from tandem.core.crawl_range import WHOLE, Range
from tandem.core.crawl_status import Crawled, RunRequest
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.mass_change import MassLimit
from tandem.core.reply import Failed, Reason
from tandem.core.tally import Tally
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, RULE, Ground, Said, collector, record
from tests.sim.loop import EPOCH_US, SeededEntropy, run

DAY_US = 86_400 * 1_000_000
GONE = seal_tombstone(Version.at(EPOCH_US - 2 * DAY_US))
FRESH = seal_tombstone(Version.at(EPOCH_US - DAY_US // 2))
EXPIRED = seal(
    Version.at(EPOCH_US - 9 * DAY_US), b"v", expires_at_s=(EPOCH_US - 2 * DAY_US) // 1_000_000
)


def collecting(
    world: Ground,
    path: Path,
    *,
    limit: MassLimit | None = None,
    said: Said | None = None,
    rule: CrawlRule = RULE,
) -> NamespaceCrawls:
    """A crawler that collects."""
    book, entropy = Book(path), SeededEntropy(Random(str(path)))
    return NamespaceCrawls(
        homes=world.homes, plans=Plans(world.kvsp, path.name, entropy), book=book,
        board=Board(book, entropy), rule=rule, pace=Pace(),
        collector=collector(world.kvsp, world.s3, said, limit),
    )  # fmt: skip


async def graveyard(*, removes: bool = True) -> Ground:
    """Live keys, and dead ones old enough and not."""
    world = Ground()
    world.s3._removes = removes
    for n in range(40):
        await world.hold(f"{n:04}", record(n))
    for name, dead in (("gone", GONE), ("fresh", FRESH), ("expired", EXPIRED)):
        await world.hold(name, dead)
    return world


def test_what_has_been_dead_for_long_leaves_both_homes_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard()
        crawls = collecting(world, tmp_path / "book")
        tally = (await crawls.crawl(NAMESPACE)).tally
        assert (tally.rows_removed, tally.objects_removed) == (2, 2)
        for name in ("gone", "expired"):
            assert world.copies(name) == (None, None)
        assert world.copies("fresh") == (FRESH, FRESH)
        again = await crawls.crawl(NAMESPACE)
        assert (again.equal, again.tally.equal, again.tally.rows_removed) == (True, 41, 0)

    run(main())


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard()
        dry = RunRequest(NAMESPACE, dry_run=True)
        crawled = await collecting(world, tmp_path / "book").crawl(NAMESPACE, dry)
        assert (crawled.equal, crawled.tally.rows_removed, crawled.withheld) == (True, 0, "")
        assert world.copies("gone") == (GONE, GONE)

    run(main())


def test_after_a_crawl_in_two_runs_nothing_goes_before_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the collector saw before the second run is not of before all of the crawl."""
    save = Book.save

    async def main() -> None:
        begun = asyncio.Event()

        def saving(self: Book, plan: str, number: int, at: Checkpoint) -> None:
            save(self, plan, number, at)
            begun.set()

        monkeypatch.setattr(Book, "save", saving)
        world = await graveyard()
        first = asyncio.create_task(collecting(world, tmp_path / "book").crawl(NAMESPACE))
        await begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        crawls = collecting(world, tmp_path / "book")
        resumed = await crawls.crawl(NAMESPACE)
        assert (resumed.number, resumed.equal, resumed.tally.rows_removed) == (1, True, 0)
        assert "the crawler was started anew" in resumed.withheld
        assert (await crawls.crawl(NAMESPACE)).tally.rows_removed == 2

    run(main())


def test_where_objects_must_stay_tombstones_retire_and_expired_values_go(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard(removes=False)
        crawls = collecting(world, tmp_path / "book")
        await crawls.crawl(NAMESPACE)
        assert world.copies("gone") == (None, GONE)
        row, stone = world.copies("expired")
        assert row is None
        assert stone is not None
        assert stone == seal_tombstone(stone.version)
        crawled = await crawls.crawl(NAMESPACE)
        assert (crawled.equal, crawled.tally.drifted) == (True, 0)

    run(main())


def _dirty(world: Ground, path: Path) -> NamespaceCrawls:
    return collecting(world, path, said=Said(dirty=True))


def _off(world: Ground, path: Path) -> NamespaceCrawls:
    return collecting(world, path, said=Said(off=True))


def _failing(world: Ground, path: Path) -> NamespaceCrawls:
    world.s3._namespace(NAMESPACE).remove("0003")
    real, world.s3.fails = world.s3.put_if_newer, None

    async def refused(*args: object) -> object:
        world.s3.fails = lambda: True
        try:
            return await real(*args)  # type: ignore[arg-type]
        finally:
            world.s3.fails = None

    world.s3.put_if_newer = refused  # type: ignore[method-assign, assignment]
    return collecting(world, path)


async def _silent(*_: object, **__: object) -> Failed:
    return Failed(Reason.TIMEOUT)


def test_where_clusters_say_too_little_dead_records_stay_and_it_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard()
        world.kvsp.clusters = _silent  # type: ignore[method-assign]
        crawled = await collecting(world, tmp_path / "book").crawl(NAMESPACE)
        assert (crawled.equal, crawled.tally.rows_removed) == (True, 0)
        assert "could not be compared with their mirrors" in crawled.withheld

    run(main())


def test_dead_records_are_forgotten_once_their_range_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace may have thousands of ranges, each with thousands of them."""
    enter, kept = NamespaceCrawls._enter, [(-1, -1)]

    def entering(self: NamespaceCrawls, task: _Task) -> Crawled:
        kept[:] = [(len(one.dead), len(one.remains)) for one in task.reports.values()]
        return enter(self, task)

    monkeypatch.setattr(NamespaceCrawls, "_enter", entering)

    async def main() -> None:
        world = await graveyard()
        for n in range(200):
            await world.hold(f"x{n:04}", FRESH)
        crawls = collecting(world, tmp_path / "book")
        for _ in range(2):
            crawled = await crawls.crawl(NAMESPACE)
        assert (crawled.ranges > 2, crawled.tally.tombstones) == (True, 201)
        assert kept == [(0, 0)] * crawled.ranges

    run(main())


@pytest.mark.parametrize("obstacle", [_dirty, _off, _failing])
def test_nothing_goes_without_the_whole_evidence(
    obstacle: Callable[[Ground, Path], NamespaceCrawls], tmp_path: Path
) -> None:
    async def main() -> None:
        world = await graveyard()
        crawled = await obstacle(world, tmp_path / "book").crawl(NAMESPACE)
        assert crawled.tally.rows_removed == 0
        assert world.copies("gone") == (GONE, GONE)
        if obstacle is not _failing:
            why = Withheld.DIRTY if obstacle is _dirty else Withheld.UNHEALTHY
            assert crawled.withheld == why.value
        else:
            assert not crawled.equal

    run(main())


async def _report_of(world: Ground, name: str) -> CrawlReport:
    """What a crawl says that has found one dead record."""
    page = await world.kvsp.scan(NAMESPACE, after="", prefix=name, limit=1, deadline_s=1.0)
    assert isinstance(page, ScanPage)
    now_us = world.clock.now_us()
    return CrawlReport(NAMESPACE, now_us, now_us, Tally(equal=43), dead=[*page.entries])


@pytest.mark.parametrize(("through", "goes"), [("x", True), ("x" * KEY_NAME_BYTES_MAX, False)])
def test_of_a_range_behind_whose_end_no_name_can_stand_nothing_goes(
    through: str, goes: bool
) -> None:
    """It would be collected as if it were the whole namespace, of which the rest was not seen."""

    async def main() -> None:
        world = await graveyard()
        one = collector(world.kvsp, world.s3)
        before, report = await one.look(), await _report_of(world, "gone")
        await one.collect(report, Range(0, "", through), before, IN_BOTH, accepted=0)
        assert report.tally.rows_removed == goes
        assert world.copies("gone") == ((None, None) if goes else (GONE, GONE))

    run(main())


def test_nothing_goes_where_clusters_say_too_little_after_the_crawl() -> None:
    async def main() -> None:
        world = await graveyard()
        one = collector(world.kvsp, world.s3)
        before, report = await one.look(), await _report_of(world, "gone")
        world.kvsp.clusters = _silent  # type: ignore[method-assign]
        await one.collect(report, WHOLE, before, IN_BOTH, accepted=0)
        assert "could not be compared with their mirrors" in report.withheld
        assert world.copies("gone") == (GONE, GONE)

    run(main())


def test_mass_removal_waits_for_a_person(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard()
        crawls = collecting(world, tmp_path / "book", limit=MassLimit(0.01, always=1))
        crawled = await crawls.crawl(NAMESPACE)
        assert crawled.stopped == "removing dead records would touch 2 of 43 records"
        assert world.copies("gone") == (GONE, GONE)
        Book(tmp_path / "book").accept()
        assert (await crawls.crawl(NAMESPACE)).tally.rows_removed == 2

    run(main())
