"""A crawl that is shared, killed at every await, taken over, and held by two at once."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from crawler.book import Book
from crawler.plans import LEASE_US
from tandem.core.crawl_status import HistoryPage, RunRequest
from tests.crawler.crawling import NAMESPACE, RULE
from tests.crawler.ranges_world import KEYS, cancel, check, ground
from tests.sim.loop import current, run


@pytest.mark.parametrize("turns", range(3, 260, 2))
def test_a_crawler_that_is_killed_anywhere_goes_on_and_counts_everything_once(
    turns: int, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await ground()
        await world.crawler(tmp_path / "other", "other").crawl(NAMESPACE, RunRequest(dry_run=True))
        first = asyncio.create_task(world.crawler(tmp_path / "book").crawl(NAMESPACE))
        current().after_turns(turns, partial(cancel, first))
        await asyncio.gather(first, return_exceptions=True)
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        check(crawled if first.cancelled() else first.result())
        assert (crawled.number, crawled.tally.records) == (1 if first.cancelled() else 2, KEYS)
        assert world.equal()
        assert len(Book(tmp_path / "book").history(HistoryPage(NAMESPACE))) == crawled.number

    run(main())


def test_what_another_crawler_began_and_left_is_taken_over_when_its_lease_has_run_out(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = await ground()
        dead = asyncio.create_task(world.crawler(tmp_path / "dead", "dead").crawl(NAMESPACE))
        await asyncio.sleep(0.015)
        dead.cancel()
        await asyncio.gather(dead, return_exceptions=True)
        began_s = current().time()
        check(await world.crawler(tmp_path / "book").crawl(NAMESPACE))
        assert LEASE_US / 1e6 - 1 < current().time() - began_s < LEASE_US / 1e6 + 10

    run(main())


def test_a_range_that_cannot_be_crawled_is_left_to_the_others_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        world.s3.fails = lambda: True
        assert (await world.crawler(tmp_path / "cut off", "cut off").crawl(NAMESPACE)).failure
        world.s3.fails, began_s = None, current().time()
        check(await world.crawler(tmp_path / "book").crawl(NAMESPACE))
        assert current().time() - began_s < LEASE_US / 1e6 / 2

    run(main())


def test_who_stood_still_until_another_one_took_its_lease_lets_go_of_the_range(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        world = await ground()
        world.s3.listed_late_s = LEASE_US / 1e6 + 30
        slow = asyncio.create_task(world.crawler(tmp_path / "slow", "slow").crawl(NAMESPACE))
        await asyncio.sleep(1.0)
        world.s3.listed_late_s = 0.0
        check(await world.crawler(tmp_path / "other", "other").crawl(NAMESPACE))
        assert (await slow).failure == "another crawler is at the range"

    run(main())


def test_two_crawlers_share_the_ranges_and_both_know_the_sum(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        one, other = (world.crawler(tmp_path / me, me) for me in ("one", "other"))
        await one.crawl(NAMESPACE)
        before = world.s3.calls
        both = await asyncio.gather(one.crawl(NAMESPACE), other.crawl(NAMESPACE))
        assert [crawled.tally.equal for crawled in both] == [KEYS, KEYS]
        assert both[0].plan == both[1].plan
        pages = KEYS / RULE.page_names + both[0].ranges
        assert world.s3.calls - before <= pages + 3 * both[0].ranges, "no range was done twice"

    run(main())


def test_two_crawlers_that_believe_to_hold_one_lease_do_no_harm(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        twins = [world.crawler(tmp_path / name, "same") for name in ("one", "other")]
        for crawled in await asyncio.gather(*(twin.crawl(NAMESPACE) for twin in twins)):
            assert (crawled.failure, crawled.tally.records) == ("", KEYS)
        assert world.equal()

    run(main())
