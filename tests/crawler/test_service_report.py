"""What crawls found, as the crawler's service reports it: page by page, within its limits."""

from dataclasses import replace
from typing import Any

import grpc
import pytest

from tandem.client.crawler import CrawlerClient
from tandem.core.drift import Drift
from tandem.core.reply import Side
from tandem.core.tally import UNHEALED_MAX, Tally
from tandem.errors import InvalidArgument
from tandem.wire.crawler_codec import REPORT_PAGE_MAX
from tandem.wire.v1 import crawler_pb2 as pb
from tandem.wire.v1 import crawler_pb2_grpc as rpc
from tests.crawler.served import A, B, Served, crawled, drifted


async def test_a_report_holds_the_newest_first_within_its_limits(
    served: Served, crawler: CrawlerClient
) -> None:
    first, second, third = crawled(A), crawled(B, 10, tally=drifted()), crawled(A, 20)
    served.found(first, second, third)
    assert await crawler.report() == [third, second, first]
    assert await crawler.report(A) == [third, first]
    assert await crawler.report(since_us=second.began_us) == [third, second]
    assert await crawler.report(limit=1) == [third]
    assert await crawler.report("c" * 32) == []
    with pytest.raises(InvalidArgument):
        await crawler.report("articles")


async def test_a_long_report_comes_page_by_page(served: Served, crawler: CrawlerClient) -> None:
    crawls = [crawled(A, at, tally=drifted()) for at in range(2 * REPORT_PAGE_MAX + 3)]
    served.found(*crawls)
    assert await crawler.report(limit=10_000) == crawls[::-1]
    for limit in (1, REPORT_PAGE_MAX, REPORT_PAGE_MAX + 1):
        assert await crawler.report(limit=limit) == crawls[::-1][:limit]


@pytest.mark.parametrize(
    "asked",
    [
        pb.DriftReportRequest(limit=REPORT_PAGE_MAX + 1),
        pb.DriftReportRequest(after="soon"),
        pb.DriftReportRequest(after=f"-1/{A}/p"),
        pb.DriftReportRequest(after=f"{'9' * 40}/{A}/p"),
        pb.DriftReportRequest(after="1//p"),
        pb.DriftReportRequest(after="1/articles/p"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(
    served: Served, asked: pb.DriftReportRequest
) -> None:
    async with grpc.aio.insecure_channel(served.address) as channel:
        stub: Any = rpc.CrawlerStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.DriftReport(asked, timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_page_of_the_largest_crawls_fits_a_message(
    served: Served, crawler: CrawlerClient
) -> None:
    tally, longest, reasons = Tally(), "\x00" * 508, "s3: timeout " * 40
    for number in range(UNHEALED_MAX):
        tally.not_healed(f"{number:04}{longest}: {reasons}")
    crawls = [crawled(A, at, tally=tally) for at in range(REPORT_PAGE_MAX)]
    served.found(*crawls)
    assert len(await crawler.report(limit=REPORT_PAGE_MAX)) == REPORT_PAGE_MAX


async def test_all_that_a_tally_counts_arrives(served: Served, crawler: CrawlerClient) -> None:
    tally = Tally()
    numbers = [name for name in tally.document() if isinstance(getattr(tally, name, None), int)]
    for at, name in enumerate(numbers, 1):
        setattr(tally, name, at)
    for at, drift in enumerate(Drift, 1):
        tally.keys[drift], tally.bytes[drift], tally.oldest_us[drift] = at, at * 10, at * 100
    tally.copied = {Side.KVSP: 3, Side.S3: 4}
    tally.unhealed = ["naïve\x00: gone"]
    whole = crawled(tally=tally, failure="f", stopped="s", withheld="w")
    alone = replace(crawled(after_us=-1), alone=Side.KVSP)
    served.found(whole, alone)
    assert await crawler.report() == [whole, alone]
