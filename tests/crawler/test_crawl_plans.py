"""Plans and leases in KVSP that are away, rotten or in no known form end no crawl."""

import json
from pathlib import Path
from random import Random

import pytest

from crawler.plans import Plans
from crawler.report import CrawlReport
from tandem.core.crawl_status import RunRequest
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.reply import Stored
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, Ground
from tests.crawler.ranges_world import check, ground
from tests.sim.loop import SeededEntropy, run


def test_without_kvsp_there_is_no_plan_and_nothing_is_concluded(tmp_path: Path) -> None:
    async def main() -> None:
        world = await ground()
        world.kvsp.fails = lambda: True
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        assert (crawled.began_us, crawled.failure) == (0, "kvsp: error: as told")

    run(main())


def test_a_plan_of_a_time_to_come_is_told(tmp_path: Path) -> None:
    """KVSP's clock was an hour ahead when it was made: nothing is stamped above it before."""

    async def main() -> None:
        world = await ground()
        ahead = seal(Version.at(world.clock.now_us() + 3_600_000_000), b"{}")
        world.kvsp._namespace(IDENTITY_NAMESPACE).store(PLAN, ahead)
        crawled = await world.crawler(tmp_path / "book").crawl(NAMESPACE)
        assert crawled.failure == "kvsp: refused: ahead of the home's clock"

    run(main())


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


def test_a_range_is_whose_it_is_until_it_is_done_and_done_for_good() -> None:
    async def main() -> None:
        kvsp = Ground().kvsp
        mine, theirs = (Plans(kvsp, me, SeededEntropy(Random(me))) for me in ("me", "they"))
        plan = await mine.begin(NAMESPACE, 1, ["m"], RunRequest(NAMESPACE))
        taken = await mine.take(plan, 0)
        assert mine.is_mine(taken)
        await theirs.release(plan, 0)
        assert await theirs.take(plan, 0) == taken
        await mine.finish(plan, 0, CrawlReport(NAMESPACE, 1, 2))
        done = await theirs.take(plan, 0)
        assert done.report is not None
        await mine.release(plan, 0)
        assert await mine.take(plan, 0) == done

    run(main())


def test_a_plan_counts_even_if_kvsps_clock_was_set_back_since_the_last_one() -> None:
    async def main() -> None:
        world = Ground()
        plans = Plans(world.kvsp, "me", SeededEntropy(Random("me")))
        ahead = seal(Version.at(world.clock.now_us() + 400_000), b"{}")
        await world.kvsp.put_if_newer(Key(IDENTITY_NAMESPACE, PLAN), ahead, 1.0)
        mine = await plans.begin(NAMESPACE, 1, [], RunRequest(NAMESPACE))
        assert await plans.current(NAMESPACE) == mine

    run(main())


def held(world: Ground, name: str) -> bytes:
    return world.kvsp._namespace(IDENTITY_NAMESPACE).records[name].value


async def overwrite(world: Ground, name: str, value: bytes) -> None:
    newer = seal(Version.at(world.clock.now_us()), value)
    stored = await world.kvsp.put_if_newer(Key(IDENTITY_NAMESPACE, name), newer, 1.0)
    assert isinstance(stored, Stored)
