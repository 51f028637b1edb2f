"""A crawl: every class of difference, what it reports of it, and when it must not say equal."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.crawl import Crawl
from crawler.report import CrawlReport, CrawlRule
from tandem.backends.port import Backend, ScanPage
from tandem.core.drift import Drift
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.core.scan_diff import Entry
from tandem.core.version import Version
from tests.memory.home import MemoryHome
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

NAMESPACE = "ab" * 16
OLD, NEW = (seal(Version.at(EPOCH_US + n), b"value %d" % n) for n in (1, 2))
DELETED = seal_tombstone(Version.at(EPOCH_US + 3))
NEW_A = Entry("a", NEW.digest, len(NEW.envelope), NEW.version, NEW.kind)
COPIES = [None, OLD, NEW, DELETED]


async def homes_with(
    copies: dict[str, tuple[Record | None, Record | None]],
) -> dict[Side, MemoryHome]:
    homes = {side: MemoryHome(side, VirtualClock(current())) for side in Side}
    for name, pair in copies.items():
        for home, record in zip(homes.values(), pair, strict=True):
            if record is not None:
                await home.put_if_newer(Key(NAMESPACE, name), record, 1.0)
    return homes


async def crawled(homes: "dict[Side, Backend]", page_names: int = 10) -> CrawlReport:
    return await Crawl(homes, NAMESPACE, CrawlRule(page_names=page_names)).run()


@given(
    st.dictionaries(
        st.text("abc/é", min_size=1, max_size=4),
        st.tuples(st.sampled_from(COPIES), st.sampled_from(COPIES)),
        max_size=30,
    ),
    st.integers(1, 7),
)
@settings(max_examples=60)
def test_the_report_equals_the_true_difference(
    copies: dict[str, tuple[Record | None, Record | None]], page_names: int
) -> None:
    async def crawl() -> None:
        homes = await homes_with(copies)
        report = await crawled({**homes}, page_names)
        held = [pair for pair in copies.values() if pair != (None, None)]
        assert report.tally.equal == sum(kvsp == s3 for kvsp, s3 in held)
        newest = [max(filter(None, pair), key=lambda r: r.version) for pair in held]
        for at, side in enumerate(homes):
            lacking = sum(p[at] != r for p, r in zip(held, newest, strict=True))
            assert report.tally.copied[side] == lacking
        assert report.equal
        assert report.tally.keys[Drift.IN_FLIGHT] == 0
        assert (await crawled({**homes}, page_names)).tally.equal == len(held)

    run(crawl())


def test_a_write_in_flight_settles_and_is_no_drift() -> None:
    async def crawl() -> None:
        homes = await homes_with({"a": (NEW, None)})
        key = Key(NAMESPACE, "a")
        current().call_later(1.0, lambda: homes[Side.S3].put_if_newer(key, NEW, 1.0))
        report = await crawled({**homes})
        assert (report.tally.keys[Drift.IN_FLIGHT], sum(report.tally.copied.values())) == (1, 0)
        assert report.equal

    run(crawl())


class SlowListing(MemoryHome):
    """Its listing is a second old when it arrives, or does not arrive, or is not whole, or not in
    order."""

    page: Failed | None = None
    complete = True
    circles = False
    disorder: Callable[[ScanPage], ScanPage] | None = None

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        start = "" if self.circles else after
        page = await super().scan(
            namespace, after=start, prefix=prefix, limit=limit, deadline_s=deadline_s
        )
        await asyncio.sleep(1.0)
        if isinstance(page, Failed) or self.page is not None:
            return self.page or page
        if self.disorder is not None:
            return self.disorder(page)
        return ScanPage(page.entries, page.next_after, page.home_time_us + 1_000_000, self.complete)


def test_it_began_before_its_first_page_was_read() -> None:
    """A write that came while the page was on its way is not in it; a mark of that moment must not
    be cleared by this crawl."""

    async def crawl() -> None:
        clock = VirtualClock(current())
        report = await crawled({side: SlowListing(side, clock) for side in Side})
        assert report.began_at_us == EPOCH_US

    run(crawl())


@pytest.mark.parametrize("fault", ["failed", "incomplete", "circles"])
@pytest.mark.parametrize("side", list(Side))
def test_a_listing_that_shows_not_everything_proves_nothing(side: Side, fault: str) -> None:
    async def crawl() -> None:
        homes = {side: SlowListing(side, VirtualClock(current())) for side in Side}
        for home in homes.values():
            for name in "abc":
                await home.put_if_newer(Key(NAMESPACE, name), NEW, 1.0)
        homes[side].page = Failed(Reason.TIMEOUT) if fault == "failed" else None
        homes[side].complete = fault != "incomplete"
        homes[side].circles = fault == "circles"
        report = await crawled({**homes}, page_names=2)
        assert report.failure.startswith(side.value)
        assert not report.equal

    run(crawl())


@pytest.mark.parametrize("turns", range(1, 60))
def test_a_crawl_that_is_cancelled_anywhere_does_no_harm(turns: int) -> None:
    async def crawl() -> None:
        homes = await homes_with({"a": (OLD, NEW), "b": (NEW, None), "c": (DELETED, NEW)})
        task = asyncio.create_task(crawled({**homes}, 1))
        current().after_turns(turns, partial(_cancel, task))
        await asyncio.gather(task, return_exceptions=True)
        assert (await crawled({**homes}, 1)).equal
        for name, newest in (("a", NEW), ("b", NEW), ("c", DELETED)):
            for home in homes.values():
                reply = await home.get(Key(NAMESPACE, name), 1.0)
                assert isinstance(reply, Found)
                assert reply.record == newest

    run(crawl())


@pytest.mark.parametrize(
    "disorder",
    [
        lambda page: replace(page, entries=page.entries[::-1]),
        lambda page: replace(page, entries=page.entries[:1] * 2 + page.entries[1:]),
        lambda page: page if page.next_after else replace(page, entries=(NEW_A, *page.entries)),
        lambda page: replace(page, next_after="ab") if page.next_after else page,
    ],
    ids=["backwards", "twice", "again", "beyond"],
)
@pytest.mark.parametrize("side", list(Side))
def test_a_listing_out_of_order_proves_nothing_and_counts_nothing_twice(
    side: Side, disorder: Callable[[ScanPage], ScanPage]
) -> None:
    """Merged with the other one, it would show names as missing, or hide them."""

    async def crawl() -> None:
        homes = {side: SlowListing(side, VirtualClock(current())) for side in Side}
        for home in homes.values():
            for name in ("a", "b", "c", "d"):
                await home.put_if_newer(Key(NAMESPACE, name), NEW, 1.0)
        homes[side].disorder = disorder
        report = await crawled({**homes}, page_names=3)
        assert report.failure == f"{side.value}: the listing is out of order"
        assert report.tally.records <= len("abcd")

    run(crawl())


def test_ten_thousand_keys_in_pages() -> None:
    async def crawl() -> None:
        homes = await homes_with({f"{n:05}": (NEW, NEW) for n in range(10_000)})
        report = await crawled({**homes}, 1000)
        assert (report.tally.equal, report.equal) == (10_000, True)

    run(crawl())


def _cancel(task: "asyncio.Task[CrawlReport]") -> None:
    task.cancel()
