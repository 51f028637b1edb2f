"""Whom the crawler's service lets in."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import RunRequest
from tandem.errors import Unauthenticated
from tandem.wire.v1 import crawler_pb2 as pb
from tandem.wire.v1 import crawler_pb2_grpc as rpc
from tests.crawler.served import A, Served

TOKEN, OTHER_TOKEN = "right", "right-too"
CALLS: dict[str, Callable[[CrawlerClient], Awaitable[object]]] = {
    "CrawlerStatus": lambda crawler: crawler.status(),
    "WatchCrawler": lambda crawler: anext(crawler.watch()),
    "PauseCrawler": lambda crawler: crawler.pause(),
    "ResumeCrawler": lambda crawler: crawler.resume(accept=True),
    "RunCrawl": lambda crawler: crawler.run(RunRequest(A)),
    "DriftReport": lambda crawler: crawler.report(),
}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path / "book.sqlite", tokens=("", TOKEN, OTHER_TOKEN), is_open=False)
    await served.start()
    yield served
    await served.stop()


def test_every_method_is_called_here() -> None:
    service = pb.DESCRIPTOR.services_by_name["Crawler"]
    assert {method.name for method in service.methods} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
async def test_every_method_asks_for_a_token_behind_a_closed_door(
    guarded: Served, name: str
) -> None:
    for token in (TOKEN, OTHER_TOKEN):
        async with guarded.client(token) as crawler:
            await CALLS[name](crawler)
    before = (guarded.board.paused, len(guarded.board.runs))
    for token in ("", "wrong", TOKEN[:-1], f"{TOKEN}x"):
        async with guarded.client(token) as crawler:
            with pytest.raises(Unauthenticated):
                await CALLS[name](crawler)
    assert (guarded.board.paused, len(guarded.board.runs)) == before


@pytest.mark.parametrize("name", CALLS)
async def test_an_open_door_refuses_no_token_that_only_the_gateways_know(
    served: Served, name: str
) -> None:
    for shown in ("", "tdm_of_the_store"):
        async with served.client(shown) as crawler:
            await CALLS[name](crawler)


async def test_the_tokens_are_those_of_the_moment(guarded: Served) -> None:
    async with guarded.client("new") as crawler:
        with pytest.raises(Unauthenticated):
            await crawler.status()
        guarded.tokens = ("new",)
        await crawler.status()
    async with guarded.client(TOKEN) as crawler:
        with pytest.raises(Unauthenticated):
            await crawler.status()


@pytest.mark.parametrize(
    "shown", [TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"bearer {TOKEN}", f"Bearer  {TOKEN}"]
)
async def test_a_token_is_shown_as_a_bearer_or_not_at_all(guarded: Served, shown: str) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        stub: Any = rpc.CrawlerStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CrawlerStatus(
                pb.CrawlerStatusRequest(), metadata=(("authorization", shown),), timeout=10
            )
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_and_reflection_ask_nobody(guarded: Served) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        reply = health_pb2.HealthCheckResponse.FromString(await check(b"", timeout=60))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        method: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = method()
        await call.write(b"\x3a\x00")
        assert b"tandem.v1.Crawler" in await call.read()
        call.cancel()
