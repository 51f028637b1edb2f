"""The crawler's service over gRPC: what it shows, and what it is told."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from crawler.board import RUNS_KEPT_MAX, RUNS_WAITING_MAX
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.report import CrawlRule
from crawler.rounds import Rounds
from crawler.trouble import NO_TROUBLE, Trouble
from tandem.backends.store_id import STORE_ID_KEY
from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import CrawlerStatus, RunRequest, Stop
from tandem.core.drift import Drift
from tandem.core.envelope import seal
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.namespace import Namespace, encode_namespace
from tandem.core.operations import CrawlReport
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError, InvalidArgument, Overloaded, Unavailable
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.wire import crawler_codec as codec
from tandem.wire.v1 import crawler_pb2 as pb
from tandem.wire.v1 import crawler_pb2_grpc as rpc
from tests.crawler.crawling import collector, work
from tests.crawler.served import BEGAN_US, A, B, Served, crawled, drifted
from tests.memory.home import MemoryHome

STOP = Stop(A, BEGAN_US, 5000, "5,000 of 6,000 keys would change")


async def test_a_crawler_that_has_only_just_started(crawler: CrawlerClient) -> None:
    assert await crawler.status() == CrawlerStatus("crawler-1", False, "starting", 0, 0, 0, 0.0)
    assert await crawler.report() == []


async def test_the_status_shows_what_the_crawler_counts_and_what_stops_it(
    served: Served, crawler: CrawlerClient
) -> None:
    counters = served.board.counters
    counters.rounds, counters.crawls, counters.errors = 2, 5, 1
    served.pace.waited_s = 1.5
    served.board.doing = f"crawling {A}"
    served.book.stop(STOP)
    served.found(crawled(A), crawled(B, tally=drifted()), crawled(A, 10, failure="s3: timeout"))
    latest = (crawled(A, 10, failure="s3: timeout"), crawled(B, tally=drifted()))
    assert await crawler.status() == CrawlerStatus(
        "crawler-1", False, f"crawling {A}", 2, 5, 1, 1.5, (), (STOP,), latest
    )


async def test_a_pause_is_shown_and_outlives_the_crawler(
    served: Served, crawler: CrawlerClient
) -> None:
    paused = await crawler.pause()
    assert (paused.paused, paused.doing) == (True, "paused")
    await served.stop()
    await served.start()
    assert served.board.paused
    resumed = await crawler.resume()
    assert (resumed.paused, resumed.doing) == (False, "starting")
    await asyncio.wait_for(served.board.going(), 60)
    await served.stop()
    await served.start()
    assert not (await crawler.status()).paused


async def test_on_a_full_disk_it_is_paused_and_told_that_a_restart_would_end_it(
    served: Served, crawler: CrawlerClient
) -> None:
    served.book._db.execute("pragma query_only = on")  # whatever is written fails
    only = "; only until a restart: its file cannot be written: "
    paused = await crawler.pause()
    assert (paused.paused, served.board.paused) == (True, True)
    assert paused.doing.startswith(f"paused{only}")
    assert (await crawler.resume()).doing.startswith(f"starting{only}")
    assert not served.board.paused
    served.book._db.execute("pragma query_only = off")
    assert (await crawler.pause()).doing == "paused"


async def test_resume_alone_leaves_the_breakers_open(
    served: Served, crawler: CrawlerClient
) -> None:
    served.book.stop(STOP)
    assert (await crawler.resume()).stops == (STOP,)
    assert dict(served.book.stops()) == {A: STOP}


async def test_resume_with_accept_allows_each_breaker_what_it_named_and_no_more(
    served: Served, crawler: CrawlerClient
) -> None:
    accepted = replace(STOP, namespace=B, changes=70, accepted=50)
    served.book.stop(STOP)
    served.book.stop(accepted)
    for _ in range(2):
        stops = (await crawler.resume(accept=True)).stops
        assert set(stops) == {replace(STOP, accepted=5000), accepted}


@pytest.mark.parametrize("rebuild", [None, *Side])
async def test_a_run_is_handed_to_the_rounds_and_its_outcome_is_shown(
    served: Served, crawler: CrawlerClient, rebuild: Side | None
) -> None:
    request = RunRequest(A, 3, True, rebuild, 250)
    run_id = await crawler.run(request)
    [waiting] = (await crawler.status()).runs
    assert (waiting.id, waiting.request, waiting.ended) == (run_id, request, False)
    run = await served.board.asked(10)
    assert run == waiting
    served.board.progressed(run, (crawled(B),))
    [under_way] = (await crawler.status()).runs
    assert (under_way.ended, under_way.crawls) == (False, (crawled(B),))
    served.board.ended(run, "s3: timeout", (crawled(tally=drifted()),))
    [ended] = (await crawler.status()).runs
    assert (ended.id, ended.ended, ended.failure) == (run_id, True, "s3: timeout")
    assert ended.crawls == (crawled(tally=drifted()),)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RunRequest("articles"), "namespace"),
        (RunRequest(A.upper()), "namespace"),
        (RunRequest(A, deep_parts=1_000_001), "deep_parts"),
    ],
)
async def test_a_run_that_makes_no_sense_is_refused(
    served: Served, crawler: CrawlerClient, request_: RunRequest, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await crawler.run(request_)
    assert refused.value.field == field
    assert served.board.runs == ()


async def test_a_paused_crawler_takes_no_runs(served: Served, crawler: CrawlerClient) -> None:
    await crawler.pause()
    with pytest.raises(InvalidArgument, match="paused; `kvctl crawl resume` lets it go on"):
        await crawler.run(RunRequest())
    assert served.board.runs == ()


async def test_so_many_runs_wait_and_no_more(served: Served, crawler: CrawlerClient) -> None:
    while crawler._ask._retries.budget.spend():
        pass  # nothing is tried again: there is no room until somebody takes a run
    ids = [await crawler.run(RunRequest(A)) for _ in range(RUNS_WAITING_MAX)]
    with pytest.raises(Overloaded, match=f"{RUNS_WAITING_MAX} runs are waiting"):
        await crawler.run(RunRequest(A))
    first = await served.board.asked(10)
    assert first is not None
    assert first.id == ids[0]
    await crawler.run(RunRequest(B))


async def test_what_ended_runs_found_is_kept_up_to_a_bound(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status shows all that is kept, and has to fit into a message."""
    monkeypatch.setattr("crawler.board.CRAWLS_KEPT_MAX", 5)
    board = served.board
    ids = [board.ask(RunRequest()).id for _ in range(5)]
    for run_id, crawls in zip(ids[:4], (1, 2, 3, 9), strict=True):
        run = await board.asked(10)
        assert run is not None
        assert run.id == run_id
        board.ended(run, "", (crawled(A),) * crawls)
        kept = [one for one in board.runs if one.ended]
        assert kept[-1].id == run_id
        assert sum(len(one.crawls) for one in kept[:-1]) + min(crawls, 5) <= 5
    assert [run.id for run in board.runs] == ids[3:]


async def test_so_many_runs_are_kept_and_no_more(served: Served) -> None:
    board = served.board
    for _ in range(2 * RUNS_KEPT_MAX):
        asked = board.ask(RunRequest(A))
        assert await board.asked(10) == asked
        board.ended(asked, "", ())
    assert len(board.runs) == RUNS_KEPT_MAX
    assert board.runs[-1].id == asked.id


async def test_who_watches_may_ask_whether_anybody_is_there_as_often_as_it_likes(
    served: Served,
) -> None:
    """gRPC by itself ends a connection that is quiet and asked again and again."""
    often = (("grpc.keepalive_time_ms", 1_000), ("grpc.http2.max_pings_without_data", 0))
    async with grpc.aio.insecure_channel(served.address, options=often) as channel:
        stub: Any = rpc.CrawlerStub(channel)
        watching = stub.WatchCrawler(pb.WatchCrawlerRequest(every_ms=3_600_000))
        assert await watching.read()
        with pytest.raises(TimeoutError):  # time to do what it must not
            await asyncio.wait_for(watching.read(), 6)


async def test_who_watches_a_crawler_that_hangs_hears_of_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "every_s_of", lambda _: 3600.0)
    async with CrawlerClient(served.address, timeout_s=0.5) as client:
        watching = client.watch(0.1)
        assert (await anext(watching)).doing == "starting"
        with pytest.raises(Unavailable, match=r"^no answer came: it says no more"):
            await anext(watching)


async def test_a_watch_may_look_more_seldom_than_can_be_said(crawler: CrawlerClient) -> None:
    assert (await anext(crawler.watch(1e12))).doing == "starting"


async def test_a_watch_goes_on_and_shows_changes(served: Served, crawler: CrawlerClient) -> None:
    async with asyncio.timeout(60):
        async for status in crawler.watch(0.0001):
            if status.doing == "watched":
                break
            served.board.doing = "watched"
        seen = 0
        async for status in crawler.watch(0.1):
            assert status.doing == "watched"
            seen += 1
            if seen == 3:
                break


async def test_an_address_that_is_taken_is_told(served: Served, tmp_path: Path) -> None:
    port = int(served.address.rpartition(":")[2])
    second = Served(tmp_path / "second.sqlite", port=port)
    with pytest.raises(ConfigurationError, match=f"cannot listen on {served.address}"):
        await second.start()
    second.book.close()


class SilentGateways:
    """Gateways in whose eyes all is well."""

    async def enabled(self) -> frozenset[Side]:
        return frozenset(Side)

    async def tell(self, report: CrawlReport) -> None:
        pass

    async def trouble(self) -> Trouble:
        return NO_TROUBLE


async def test_a_run_finds_the_drift_and_the_report_tells_of_it(
    served: Served, crawler: CrawlerClient
) -> None:
    homes = {side: MemoryHome(side, SystemClock()) for side in Side}
    written_us = SystemClock().now_us() - 1_000_000_000
    identity = seal(Version.at(written_us), b"5" * 32)
    title = encode_namespace(Namespace(A, "articles", created_at_s=1))
    for home in homes.values():
        _hold(home, STORE_ID_KEY, identity)
        _hold(home, Key(SYSTEM_NAMESPACE, f"ns/{A}"), seal(Version.at(written_us), title))
    record = seal(Version.at(written_us), b"value")
    _hold(homes[Side.KVSP], Key(A, "key"), record)
    running = asyncio.create_task(_rounds(homes, served).run())
    try:
        run_id = await crawler.run(RunRequest(A))
        async with asyncio.timeout(60):
            async for status in crawler.watch(0.1):
                done = all(run.ended for run in status.runs)
                if done and status.doing == "resting between two rounds":
                    break
        [run] = status.runs
        assert (run.id, run.failure, [c.namespace for c in run.crawls]) == (run_id, "", [A])
        first, *_ = reversed(await crawler.report(A))
        assert (first.tally.keys[Drift.MISSING_IN_S3], first.tally.repaired, first.equal) == (
            1, 1, True,
        )  # fmt: skip
        assert homes[Side.S3]._namespace(A).records["key"] == record
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _hold(home: MemoryHome, key: Key, record: Record) -> None:
    home._namespace(key.namespace).store(key.name, record)  # past the rule that refuses old legs


def _rounds(homes: dict[Side, MemoryHome], served: Served) -> Rounds:
    board, kvsp, s3 = served.board, homes[Side.KVSP], homes[Side.S3]
    crawls = NamespaceCrawls(
        homes=homes, plans=Plans(kvsp, "me", SystemEntropy()), book=served.book,
        board=board, rule=CrawlRule(settle_s=0.1), pace=Pace(),
        collector=collector(kvsp, s3),
    )  # fmt: skip
    gateways = SilentGateways()
    return Rounds(
        homes=homes, gateways=gateways, enabled=gateways.enabled, board=board,
        work=work(crawls, kvsp, s3, SystemClock(), 60.0),
    )  # fmt: skip
