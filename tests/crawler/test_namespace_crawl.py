"""A namespace in ranges: shared by crawlers, killed at every await, stopped by a breaker, deep."""

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest

from crawler.book import Book
from crawler.plans import LEASE_US
from crawler.registry import Kept
from crawler.report import CrawlRule
from tandem.core.crawl_status import Crawled, RunRequest
from tandem.core.drift import Drift
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.mass_change import MassLimit
from tandem.core.mode import Mode, Stage
from tandem.core.record import Record
from tandem.core.reply import Side, Stored
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, RULE, Ground, record
from tests.sim.loop import current, run

KEYS = 120
MISSING = frozenset({7, 31, 32, 90})


async def ground() -> Ground:
    """120 keys, four of which S3 lacks."""
    made = Ground()
    for n in range(KEYS):
        await made.hold(f"{n:04}", record(n), None if n in MISSING else record(n))
    return made


def check(crawled: Crawled) -> None:
    """What a crawl of that ground must say, however often it was begun."""
    tally = crawled.tally
    assert (crawled.failure, crawled.stopped) == ("", "")
    assert tally.equal == KEYS - len(MISSING)
    assert tally.keys[Drift.MISSING_IN_S3] + tally.keys[Drift.IN_FLIGHT] == len(MISSING)
    assert tally.records == KEYS
    assert crawled.equal


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


@pytest.mark.parametrize("turns", range(3, 240, 4))
def test_a_crawler_that_is_killed_anywhere_goes_on_and_counts_nothing_twice(
    turns: int, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await ground()
        await world.crawler(tmp_path / "other", "other").crawl(NAMESPACE, RunRequest(dry_run=True))
        first = asyncio.create_task(world.crawler(tmp_path / "book").crawl(NAMESPACE))
        current().after_turns(turns, partial(_cancel, first))
        await asyncio.gather(first, return_exceptions=True)
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        if crawled.number == 1:
            check(crawled)
        else:
            assert (crawled.tally.equal, crawled.equal) == (KEYS, True)
        assert world.equal()

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


FEW = CrawlRule(page_names=10, deadline_s=1.0, limit=MassLimit(0.3, always=5))
"""A rule whose breaker opens at six repairs."""


async def lost(side: Side, also: int = 0) -> Ground:
    """60 keys, of which a home lacks 30 and holds 10 in an older version; and the other one lacks
    so many of the rest."""
    made = Ground()
    for n in range(60):
        copies: dict[Side, Record | None] = {one: record(n + 500) for one in Side}
        if n < 40:
            copies[side] = record(n) if n < 10 else None
        elif n < 40 + also:
            copies[side.other] = None
        await made.hold(f"{n:04}", copies[Side.KVSP], copies[Side.S3])
    return made


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
        current().after_turns(60, partial(_cancel, first))
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


def test_a_crawl_keeps_to_the_rate_that_was_asked_for_after_a_restart_too(tmp_path: Path) -> None:
    async def main() -> None:
        world = await lost(Side.S3)
        request = RunRequest(NAMESPACE, rebuild=Side.S3, requests_per_s=4)
        first = asyncio.create_task(world.crawler(tmp_path / "book").crawl(NAMESPACE, request))
        await asyncio.sleep(5.0)
        assert not first.done()
        _cancel(first)
        await asyncio.gather(first, return_exceptions=True)
        began_s = current().time()
        assert (await world.crawler(tmp_path / "book").crawl(NAMESPACE)).equal
        assert current().time() - began_s > 60 / 4, "a second look and a copy of each key"
        began_s = current().time()
        assert (await world.crawler(tmp_path / "book").crawl(NAMESPACE)).equal
        assert current().time() - began_s < 5.0, "the next crawl goes as fast as ever"

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
        tallies = [
            (await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, deep_parts))).tally
            for _ in range(deep_parts)
        ]
        assert sum(tally.deep for tally in tallies) == KEYS
        assert sum(tally.keys[Drift.OTHER_BYTES] for tally in tallies) == 2
        assert world.s3.rotten == frozenset()

    run(main())


def test_without_kvsp_there_is_no_plan_and_nothing_is_concluded(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        world.kvsp.fails = lambda: True
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        assert (crawled.began_us, crawled.failure) == (0, "kvsp: error: as told")

    run(main())


def _cancel(task: "asyncio.Task[Crawled]") -> None:
    task.cancel()


PLAN = f"crawl/{NAMESPACE}"
LEASE = f"{PLAN}/0"
NO_PLANS = (
    b"", b"\xff", b"not JSON", b"[]", b"7", b"[" * 20_000, b'{"id": "x"}',
    b'{"id": "x", "number": "one", "splits": [], "deep_parts": 0, "rebuild": ""}',
    b'{"id":"x","number":1,"splits":{},"deep_parts":0,"rebuild":"","requests_per_s":0}',
    b'{"id":"x","number":1,"splits":[],"deep_parts":0,"rebuild":"tape","requests_per_s":0}',
)  # fmt: skip


@pytest.mark.parametrize("value", NO_PLANS)
def test_a_plan_that_cannot_be_read_counts_as_none(value: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        told: list[None] = []
        crawls = world.crawler(tmp_path / "book", unreadable=lambda: told.append(None))
        await crawls.crawl(NAMESPACE)
        await overwrite(world, PLAN, value)
        assert not await crawls.has_begun(NAMESPACE)
        crawled = await crawls.crawl(NAMESPACE)
        assert (crawled.failure, crawled.number, crawled.equal) == ("", 1, True)
        assert told
        told.clear()
        following = await crawls.crawl(NAMESPACE)
        assert (following.failure, following.number) == ("", 2)
        assert not told, "the next one was written over it"

    run(main())


@pytest.mark.parametrize(
    "change",
    [{"until_us": "soon"}, {"until_us": None}, {"report": {}}, {"report": {"tally": []}},
     {"report": {"began_at_us": 1, "ended_at_us": 2, "splits": [], "withheld": "", "tally": {},
                 "stopped": [["REPAIR", 1]]}}],
)  # fmt: skip
def test_a_lease_that_cannot_be_read_counts_as_free(
    change: dict[str, object], tmp_path: Path
) -> None:
    async def main() -> None:
        world = await ground()
        told: list[None] = []
        crawls = world.crawler(tmp_path / "book", unreadable=lambda: told.append(None))
        world.s3.fails = lambda: True
        assert (await crawls.crawl(NAMESPACE)).failure, "which leaves a plan with a range to do"
        plan = json.loads(held(world, PLAN))
        until_us = world.clock.now_us() + 10**9
        lease = {"plan": plan["id"], "holder": "other", "until_us": until_us, **change}
        await overwrite(world, LEASE, json.dumps(lease).encode())
        world.s3.fails = None
        check(await crawls.crawl(NAMESPACE))
        assert told

    run(main())


@pytest.mark.parametrize("name", [PLAN, LEASE])
def test_rot_under_a_plan_or_a_lease_ends_no_crawl(name: str, tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        crawls = world.crawler(tmp_path / "book")
        await crawls.crawl(NAMESPACE)
        world.kvsp.rotten = frozenset({name})
        assert (await crawls.crawl(NAMESPACE)).failure == ""
        assert not world.kvsp.rotten, "it was written anew"

    run(main())


def test_a_lease_that_rots_as_it_is_written_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        world.kvsp.rotten, world.kvsp.disk_rots = frozenset({LEASE}), True
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        assert "what was just written" in crawled.failure

    run(main())


def held(world: Ground, name: str) -> bytes:
    return world.kvsp._namespace(IDENTITY_NAMESPACE).records[name].value


async def overwrite(world: Ground, name: str, value: bytes) -> None:
    newer = seal(Version.at(world.clock.now_us()), value)
    stored = await world.kvsp.put_if_newer(Key(IDENTITY_NAMESPACE, name), newer, 1.0)
    assert isinstance(stored, Stored)
