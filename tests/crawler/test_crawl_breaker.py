"""Repairs in mass: they wait for a person, once, but for a home that is filled on purpose."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from crawler.book import Book
from crawler.registry import Kept
from crawler.report import CrawlRule
from tandem.core.crawl_status import RunRequest, Stop
from tandem.core.mass_change import MassLimit
from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tests.crawler.crawling import NAMESPACE, Ground, record
from tests.crawler.ranges_world import cancel, lost
from tests.sim.loop import current, run


def test_mass_repair_waits_for_a_person_and_is_accepted_once(tmp_path: Path) -> None:
    async def main() -> None:
        world = Ground()
        for n in range(60):
            await world.hold(f"{n:04}", record(n), None if n < 40 else record(n))
        rule = CrawlRule(page_names=10, deadline_s=1.0, limit=MassLimit(0.3, always=5))
        book = Book(tmp_path / "book")
        crawls = world.crawler(book, rule=rule)
        for _ in range(2):
            stopped = await crawls.crawl(NAMESPACE)
            assert stopped.stopped == "repairing would touch 40 of 60 records"
            assert (stopped.tally.drifted, stopped.tally.repaired) == (40, 0)
            assert not stopped.equal
            assert await missing_count(world) == 40
        assert [stop.changes for stop in book.accept()] == [40]
        accepted = await crawls.crawl(NAMESPACE)
        assert (accepted.equal, accepted.tally.repaired) == (True, 40)
        assert book.stops() == {}

    async def missing_count(world: Ground) -> int:
        return sum(world.copies(f"{n:04}")[1] is None for n in range(60))

    run(main())


def test_what_was_accepted_waits_for_a_crawl_that_sees_all_and_may_repair(tmp_path: Path) -> None:
    async def main() -> None:
        world, book = await lost(Side.S3), Book(tmp_path / "book")
        book.stop(Stop(NAMESPACE, 1, 40, "too much", accepted=40))
        crawls = world.crawler(book, rule=FEW)
        await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, dry_run=True))
        world.s3.fails = lambda: True
        assert (await crawls.crawl(NAMESPACE)).failure
        world.s3.fails = None
        assert book.stops()[NAMESPACE].accepted == 40
        assert (await crawls.crawl(NAMESPACE)).equal
        assert book.stops() == {}

    run(main())


@pytest.mark.parametrize(("meanwhile", "accepted"), [(False, 0), (True, 31)])
def test_less_than_is_wanted_is_accepted_for_one_crawl(
    meanwhile: bool, accepted: int, tmp_path: Path
) -> None:
    """What is accepted while that crawl is under way is for the next one."""

    async def main() -> None:
        world, book = await lost(Side.S3), Book(tmp_path / "book")
        book.stop(Stop(NAMESPACE, 1, 30, "too much", accepted=30))

        def accept() -> bool:
            if meanwhile:
                book.stop(Stop(NAMESPACE, 1, 31, "too much", accepted=31))
            return False

        world.s3.fails = accept
        assert (await world.crawler(book, rule=FEW).crawl(NAMESPACE)).stopped
        assert book.stops()[NAMESPACE].accepted == accepted

    run(main())


FEW = CrawlRule(page_names=10, deadline_s=1.0, limit=MassLimit(0.3, always=5))
"""A rule whose breaker opens at six repairs."""


@pytest.mark.parametrize("side", Side)
def test_a_home_that_is_rebuilt_gets_all_that_it_lacks_and_nobody_need_accept(
    side: Side, tmp_path: Path
) -> None:
    async def main() -> None:
        world, book = await lost(side, also=5), Book(tmp_path / "book")
        crawls = world.crawler(book, rule=FEW)
        assert (await crawls.crawl(NAMESPACE)).stopped
        crawled = await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, rebuild=side))
        assert (crawled.equal, crawled.stopped) == (True, "")
        assert crawled.tally.copied == {side: 40, side.other: 5}
        assert world.equal()
        assert book.stops() == {}

    run(main())


@pytest.mark.parametrize("side", Side)
def test_in_a_rebuild_the_breaker_holds_for_all_other_repairs(side: Side, tmp_path: Path) -> None:
    async def main() -> None:
        world = await lost(side, also=19)
        crawls = world.crawler(tmp_path / "book", rule=FEW)
        crawled = await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, rebuild=side))
        assert crawled.stopped == "repairing would touch 19 of 60 records"
        assert crawled.tally.repaired == 0
        named_wrongly = await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, rebuild=side.other))
        assert named_wrongly.stopped == "repairing would touch 40 of 60 records"
        assert named_wrongly.tally.repaired == 0

    run(main())


def test_a_rebuild_holds_for_one_crawl_which_others_and_the_next_run_of_the_crawler_finish(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = await lost(Side.S3)
        request = RunRequest(NAMESPACE, rebuild=Side.S3)
        first = asyncio.create_task(
            world.crawler(tmp_path / "book", rule=FEW).crawl(NAMESPACE, request)
        )
        current().after_turns(60, partial(cancel, first))
        await asyncio.gather(first, return_exceptions=True)
        assert not world.equal(), "it was killed in the middle"
        crawled = await world.crawler(tmp_path / "book", rule=FEW).crawl(NAMESPACE)
        assert (crawled.equal, crawled.stopped) == (True, "")
        assert world.equal()
        for n in range(60):
            world.s3._namespace(NAMESPACE).records.pop(f"{n:04}")
            world.s3._namespace(NAMESPACE)._names.remove(f"{n:04}")
        again = await world.crawler(tmp_path / "book", rule=FEW).crawl(NAMESPACE)
        assert again.stopped == "repairing would touch 60 of 60 records"

    run(main())


def _shadow(home: Side) -> Kept:
    """Kept in this home, with the other one being brought in."""
    return Kept(Mode(Stage.SHADOW, home), 1)


@pytest.mark.parametrize("side", Side)
def test_what_a_home_lacks_that_is_brought_in_is_copied_whoever_asks(
    side: Side, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await lost(side)
        crawls = world.crawler(tmp_path / "book", rule=FEW)
        assert not await crawls.has_begun(NAMESPACE)
        assert (await crawls.crawl(NAMESPACE, kept=_shadow(side))).stopped
        asked, kept = RunRequest(NAMESPACE), _shadow(side.other)
        assert (await crawls.crawl(NAMESPACE, asked, kept=kept)).equal
        assert world.equal()
        assert await crawls.has_begun(NAMESPACE)
        for fails in (True, False):
            world.kvsp.fails = lambda fails=fails: fails
            await crawls.forget(NAMESPACE)
            assert not await crawls.has_begun(NAMESPACE)
        assert (await crawls.crawl(NAMESPACE)).number == 1

    run(main())


def test_what_is_accepted_while_a_crawl_is_under_way_is_for_the_next_one(tmp_path: Path) -> None:
    async def main() -> None:
        world, book = await lost(Side.S3), Book(tmp_path / "book")
        crawls = world.crawler(book, rule=FEW)
        await crawls.crawl(NAMESPACE)
        second = asyncio.create_task(crawls.crawl(NAMESPACE))
        await asyncio.sleep(0.1)
        assert [stop.changes for stop in book.accept()] == [40]
        assert (await second).stopped
        assert book.stops()[NAMESPACE].accepted == 40
        assert (await crawls.crawl(NAMESPACE)).tally.repaired == 40
        assert book.stops() == {}

    run(main())


@pytest.mark.parametrize("turns", range(0, 240, 20))
def test_what_is_accepted_after_a_kill_is_not_voided_by_the_crawl_that_goes_on(
    turns: int, tmp_path: Path
) -> None:
    """Ranges that were stopped before the kill are not crawled again, and nobody has judged them by
    what was accepted."""

    async def main() -> None:
        world, path = await lost(Side.S3), tmp_path / "book"
        rule = replace(FEW, range_names=15)
        assert (await world.crawler(path, rule=rule).crawl(NAMESPACE)).stopped
        killed = asyncio.create_task(world.crawler(path, rule=rule).crawl(NAMESPACE))
        current().after_turns(turns, partial(cancel, killed))
        await asyncio.gather(killed, return_exceptions=True)
        book = Book(path)
        book.accept()
        crawls = world.crawler(book, rule=rule)
        await crawls.crawl(NAMESPACE)
        await crawls.crawl(NAMESPACE)
        assert world.equal()
        assert book.stops() == {}

    run(main())
