"""What happens while keys are looked at again: pauses, leases, breath, and how many at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from crawler.board import Board
from crawler.book import Book
from crawler.crawl import Crawl
from crawler.pace import LISTED_BYTES, Pace
from crawler.plans import LEASE_US
from crawler.report import CrawlMode, CrawlRule
from tandem.core.crawl_status import RunRequest
from tandem.core.drift import Drift
from tandem.core.key import Key
from tandem.core.reply import Side
from tests.crawler.crawling import NAMESPACE, FickleHome, Ground, record
from tests.crawler.ranges_world import lost
from tests.sim.loop import SeededEntropy, current, run

RULE = CrawlRule(page_names=10, deadline_s=1.0, heals_at_once=2)


async def lacking(count: int) -> Ground:
    """So many keys that S3 lacks."""
    world = Ground()
    for n in range(count):
        await world.hold(f"{n:04}", record(n), None)
    return world


def test_a_pause_holds_in_the_middle_of_repair(tmp_path: Path) -> None:
    async def main() -> None:
        world = await lacking(40)
        world.s3.delay_s = 0.1
        board = Board(Book(tmp_path / "book"), SeededEntropy(Random("board")))

        async def hold() -> str:
            await board.going()
            return ""

        crawl = asyncio.create_task(Crawl(world.homes, NAMESPACE, RULE, hold=hold).run())
        while not copied(world):
            await asyncio.sleep(0.01)
        board.pause()
        before = copied(world)
        await asyncio.sleep(600.0)
        assert copied(world) <= before + RULE.heals_at_once
        board.go_on()
        assert (await crawl).equal
        assert copied(world) == 40

    run(main())


def test_what_objects_in_the_middle_of_repair_ends_the_crawl() -> None:
    async def main() -> None:
        world = await lacking(40)

        async def hold() -> str:
            return "enough" if copied(world) else ""

        report = await Crawl(world.homes, NAMESPACE, RULE, hold=hold).run()
        assert (report.failure, report.equal) == ("enough", False)
        assert copied(world) <= RULE.heals_at_once

    run(main())


def test_a_long_second_look_keeps_its_lease(tmp_path: Path) -> None:
    async def main() -> None:
        world = await lost(Side.S3)
        began_s = current().time()
        request = RunRequest(NAMESPACE, rebuild=Side.S3, requests_per_s=1)
        slow = asyncio.create_task(
            world.crawler(tmp_path / "slow", "slow").crawl(NAMESPACE, request)
        )
        await asyncio.sleep(1.0)
        other = await world.crawler(tmp_path / "other", "other").crawl(NAMESPACE)
        assert current().time() - began_s > LEASE_US / 1e6
        assert ((await slow).failure, other.failure) == ("", "")
        assert other.tally.copied[Side.S3] == 40

    run(main())


class UnderWay:
    """How many keys of the namespace were read or written in one home at once."""

    def __init__(self, home: FickleHome) -> None:
        self.most = self._now = 0
        for call in ("get", "put_if_newer"):
            setattr(home, call, self._counted(getattr(home, call)))

    def _counted(self, call: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def counted(key: Key, *arguments: object) -> object:
            counts = key.namespace == NAMESPACE
            self._now += counts
            self.most = max(self.most, self._now)
            try:
                return await call(key, *arguments)
            finally:
                self._now -= counts

        return counted


def test_no_more_keys_are_under_way_than_may_be_healed_at_once() -> None:
    async def main() -> None:
        world = await lacking(40)
        under_way = UnderWay(world.s3)
        await Crawl(world.homes, NAMESPACE, RULE, mode=CrawlMode(deep_parts=1)).run()
        assert under_way.most == RULE.heals_at_once

    run(main())


def test_that_bound_is_for_all_ranges_together(tmp_path: Path) -> None:
    async def main() -> None:
        world = Ground()
        for n in range(80):
            await world.hold(f"{n:04}", record(n), record(n + 500))
        rule = replace(RULE, range_names=10, heals_at_once=6)
        crawls = world.crawler(tmp_path / "book", rule=rule)
        assert (await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, rebuild=Side.KVSP))).ranges == 1
        for n in range(80):
            await world.hold(f"{n:04}", record(n + 1000), record(n + 500))
        world.s3.delay_s = 1.0
        under_way = UnderWay(world.s3)
        healed = await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, rebuild=Side.S3))
        assert (healed.ranges, healed.tally.copied[Side.S3]) == (9, 80)
        assert under_way.most == rule.heals_at_once

    run(main())


def test_waiting_for_the_rate_is_no_work_to_rest_from() -> None:
    """Else a crawler with a limit of ten requests a second would send five."""

    async def main() -> None:
        world = Ground()
        for n in range(400):
            await world.hold(f"{n:04}", record(n))
        pace = Pace(requests_per_s=4, breathe_ratio=1.0)
        began_s = current().time()
        mode = CrawlMode(deep_parts=1)
        report = await Crawl(world.homes, NAMESPACE, RULE, mode=mode, pace=pace).run()
        assert report.tally.deep == 400
        requests = 400 + 2 * 40
        assert requests / 4 - 2 < current().time() - began_s < requests / 4 + 2

    run(main())


@pytest.mark.parametrize("sides", [tuple(Side), (Side.KVSP,)])
def test_what_is_read_is_counted_and_waits_for_the_rate_of_bytes(sides: tuple[Side, ...]) -> None:
    """As are the pages; the one look at the store's id is no part of it."""

    async def main() -> None:
        world = Ground()
        held = [record(n, b"v" * 10_000) for n in range(20)]
        for n, one in enumerate(held):
            await world.hold(f"{n:04}", one)
        pace, began_s = Pace(bytes_per_s=10_000), current().time()
        homes = {side: world.homes[side] for side in sides}
        mode = CrawlMode(deep_parts=1, dry_run=True)
        tally = (await Crawl(homes, NAMESPACE, RULE, mode=mode, pace=pace).run()).tally
        assert tally.deep == 20
        assert tally.bytes_read == sum(len(one.envelope) for one in held) * len(sides)
        listed = 20 * len(sides) * LISTED_BYTES
        assert current().time() - began_s > (tally.bytes_read + listed) / 10_000 - 1.01
        requests = {Side.KVSP: tally.kvsp_requests, Side.S3: tally.s3_requests}
        calls = {Side.KVSP: world.kvsp.calls, Side.S3: world.s3.calls}
        assert requests == {side: max(n - 1, 0) for side, n in calls.items()}

    run(main())


def _arrives(world: Ground) -> None:
    world.s3._namespace(NAMESPACE).store("key", record(1))


def _is_collected(world: Ground) -> None:
    held = world.kvsp._namespace(NAMESPACE)
    held.floors = held.floors.raised(b"", b"", record(1).version)
    held.records.clear()
    _arrives(world)


def _fails(world: Ground) -> None:
    world.s3.fails = lambda: True


@pytest.mark.parametrize(
    ("happens", "counted", "repaired", "unhealed", "remains"),
    [
        (_arrives, Drift.IN_FLIGHT, 0, 0, []),
        (_is_collected, Drift.ZOMBIE, 0, 0, ["key"]),
        (_fails, Drift.MISSING_IN_S3, 0, 1, []),
        (lambda world: None, Drift.MISSING_IN_S3, 1, 0, []),
    ],
)
def test_a_key_counts_once_as_what_its_heal_has_found(
    happens: Callable[[Ground], None],
    counted: Drift,
    repaired: int,
    unhealed: int,
    remains: list[str],
) -> None:
    """Whatever happens between the second look and the heal."""

    async def main() -> None:
        world, asked = Ground(), 0
        await world.hold("key", record(1), None)

        async def hold() -> str:
            nonlocal asked
            asked += 1
            if asked == len(("page", "page", "look", "heal")):
                happens(world)
            return ""

        report = await Crawl(world.homes, NAMESPACE, RULE, hold=hold).run()
        tally = report.tally
        assert {drift for drift, n in tally.keys.items() for _ in range(n)} == {counted}
        assert (tally.records, tally.repaired, tally.unhealed_keys) == (1, repaired, unhealed)
        assert report.remains == remains
        assert report.equal is not bool(unhealed)

    run(main())


def test_a_fault_in_one_heal_ends_the_others() -> None:
    async def main() -> None:
        world = await lacking(40)
        world.s3.fails = lambda: _raise() if copied(world) else False
        with pytest.raises(LookupError, match="a bug"):
            await Crawl(world.homes, NAMESPACE, RULE).run()
        world.s3.fails = None
        calls = world.kvsp.calls
        await asyncio.sleep(60.0)
        assert world.kvsp.calls == calls

    run(main())


def _raise() -> bool:
    raise LookupError("a bug")


def copied(world: Ground) -> int:
    """How many keys S3 holds by now."""
    return len(world.s3._namespace(NAMESPACE).records)
