"""A namespace in ranges: as many as its names ask for, at the rate asked for, in deep rounds."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crawler.book import Book
from crawler.registry import IN_BOTH, Kept
from tandem.core.crawl_status import RunRequest
from tandem.core.drift import Drift
from tandem.core.key import IDENTITY_NAMESPACE
from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tests.crawler.crawling import NAMESPACE, RULE, Ground, record
from tests.crawler.ranges_world import KEYS, MISSING, cancel, check, ground, lost
from tests.sim.loop import current, run


def test_ranges_grow_with_the_names_and_the_sum_stays_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        crawls = world.crawler(tmp_path / "book")
        first = await crawls.crawl(NAMESPACE)
        check(first)
        assert (first.ranges, first.number) == (1, 1)
        assert first.tally.keys[Drift.MISSING_IN_S3] == len(MISSING)
        assert world.equal()
        second = await crawls.crawl(NAMESPACE)
        assert (second.ranges, second.number) == (5, 2)
        assert second.tally.equal == KEYS
        assert (second.tally.drifted, second.equal) == (0, True)

    run(main())


@pytest.mark.parametrize("name", ["0003", "0060", "0119"])
def test_the_range_of_an_urgent_name_comes_first_and_all_are_shown_while_they_last(
    name: str, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await ground()
        crawls = world.crawler(tmp_path / "book", rule=replace(RULE, ranges_at_once=1))
        await crawls.crawl(NAMESPACE)
        shown: list[tuple[int, int]] = []

        def see() -> bool:
            shown.extend((one.number, one.ranges) for one in crawls._board.ranges)
            return False

        world.s3.fails = see
        await crawls.crawl(NAMESPACE, urgent=[name])
        assert shown[0] == (int(name) // 30, 5)
        assert {*shown} == {(number, 5) for number in range(5)}
        assert not crawls._board.ranges

    run(main())


def test_equal_keys_cost_one_request_a_page_however_many_ranges(tmp_path: Path) -> None:
    async def main() -> None:
        world = Ground()
        for n in range(KEYS):
            await world.hold(f"{n:04}", record(n))
        crawls = world.crawler(tmp_path / "book")
        await crawls.crawl(NAMESPACE)
        tally = (await crawls.crawl(NAMESPACE)).tally
        assert tally.s3_requests <= KEYS / RULE.page_names + 1

    run(main())


def test_a_fault_in_one_range_ends_the_work_on_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        world = await ground()
        book = Book(tmp_path / "book")
        crawls = world.crawler(book)
        await crawls.crawl(NAMESPACE)  # there are ranges now

        def broken(*_: object) -> None:
            raise LookupError("no such checkpoint")

        monkeypatch.setattr(book, "save", broken)
        with pytest.raises(LookupError, match="no such checkpoint"):
            await crawls.crawl(NAMESPACE)
        calls = world.kvsp.calls
        await asyncio.sleep(60)
        assert world.kvsp.calls == calls

    run(main())


def test_on_a_full_disk_a_crawl_says_so_and_the_next_one_sees_it_all(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        book = Book(tmp_path / "book")
        crawls = world.crawler(book)
        book._db.execute("pragma query_only = on")  # whatever is written fails
        crawled = await crawls.crawl(NAMESPACE)
        assert crawled.failure.startswith("the crawler's own file cannot be used: ")
        assert not crawled.equal
        book._db.execute("pragma query_only = off")
        check(await crawls.crawl(NAMESPACE))
        assert world.equal()

    run(main())


ALONE, LATER = (Kept(Mode(Stage.SINGLE, Side.KVSP), epoch) for epoch in (1, 2))


@pytest.mark.parametrize(
    ("begun", "asked", "kept", "number"),
    [
        (IN_BOTH, False, IN_BOTH, 1),
        (IN_BOTH, True, IN_BOTH, 2),
        (IN_BOTH, False, ALONE, 2),
        (ALONE, False, IN_BOTH, 2),
        (ALONE, False, ALONE, 1),
        (ALONE, False, LATER, 2),
    ],
)
def test_what_a_dead_crawler_began_is_gone_on_with_unless_another_crawl_is_wanted_now(
    begun: Kept, asked: bool, kept: Kept, number: int, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await ground()
        dead = world.crawler(tmp_path / "book").crawl(NAMESPACE, kept=begun)
        crawling = asyncio.create_task(dead)
        while not world.kvsp._namespace(IDENTITY_NAMESPACE).records:
            await asyncio.sleep(0.0001)
        cancel(crawling)
        await asyncio.gather(crawling, return_exceptions=True)
        request = RunRequest(NAMESPACE) if asked else None
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE, request, kept=kept)
        assert (crawled.failure, crawled.number, crawled.alone) == ("", number, kept.alone)
        assert crawled.tally.records == KEYS

    run(main())


def test_a_crawl_has_begun_with_its_first_range_and_ended_with_its_last(tmp_path: Path) -> None:
    """Gateways forget what they knew of drift before it began."""

    async def main() -> None:
        world = await ground()
        crawls = world.crawler(tmp_path / "book", rule=replace(RULE, ranges_at_once=1))
        await crawls.crawl(NAMESPACE)
        world.s3.delay_s = 0.5
        began_us = world.clock.now_us()
        crawled = await crawls.crawl(NAMESPACE)
        assert crawled.ranges == 5
        assert crawled.began_us - began_us < 1_000_000
        assert world.clock.now_us() - crawled.ended_us < 2_000_000 < crawled.ended_us - began_us

    run(main())


def test_a_dry_run_touches_no_home(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        crawled = await world.crawler(tmp_path / "book").crawl(
            NAMESPACE, RunRequest(NAMESPACE, dry_run=True)
        )
        assert crawled.tally.keys[Drift.MISSING_IN_S3] == len(MISSING)
        assert crawled.tally.unhealed_keys == len(MISSING)
        assert not crawled.equal
        assert sum(world.copies(f"{n:04}")[1] is None for n in range(KEYS)) == len(MISSING)
        assert world.kvsp._namespaces.keys() <= {NAMESPACE, "0" * 31 + "1"}
        assert not world.kvsp._namespace("0" * 31 + "1").records, "no plan, no lease"

    run(main())


def test_a_crawl_keeps_to_the_rate_that_was_asked_for_after_a_restart_too(tmp_path: Path) -> None:
    async def main() -> None:
        world = await lost(Side.S3)
        request = RunRequest(NAMESPACE, rebuild=Side.S3, requests_per_s=4)
        first = asyncio.create_task(world.crawler(tmp_path / "book").crawl(NAMESPACE, request))
        await asyncio.sleep(5.0)
        assert not first.done()
        cancel(first)
        await asyncio.gather(first, return_exceptions=True)
        began_s = current().time()
        assert (await world.crawler(tmp_path / "book").crawl(NAMESPACE)).equal
        assert current().time() - began_s > 60 / 4, "a second look and a copy of each key"
        began_s = current().time()
        assert (await world.crawler(tmp_path / "book").crawl(NAMESPACE)).equal
        assert current().time() - began_s < 5.0, "the next crawl goes as fast as ever"

    run(main())


@pytest.mark.parametrize("deep_parts", [1, 3])
def test_deep_crawls_find_and_mend_rot_in_as_many_rounds_as_there_are_parts(
    deep_parts: int, tmp_path: Path
) -> None:
    async def main() -> None:
        world = Ground()
        for n in range(KEYS):
            await world.hold(f"{n:04}", record(n))
        world.s3.rotten = frozenset({"0011", "0099"})
        crawls = world.crawler(tmp_path / "book")
        shallow = await crawls.crawl(NAMESPACE)
        assert (shallow.equal, shallow.tally.deep) == (True, 0)
        with capture_logs() as logs:
            tallies = [
                (await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, deep_parts))).tally
                for _ in range(deep_parts)
            ]
        assert sum(tally.deep for tally in tallies) == KEYS
        assert sum(tally.keys[Drift.OTHER_BYTES] for tally in tallies) == 2
        assert world.s3.rotten == frozenset()
        found = {log["key"]: log["outcome"] for log in logs if log["event"] == "corruption"}
        assert found == dict.fromkeys(("0011", "0099"), "copied to s3")

    run(main())
