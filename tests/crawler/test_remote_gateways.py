"""The gateways as a crawler asks and tells them, over real gRPC."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from crawler.evidence import StoreEvidence
from crawler.gateways import RemoteGateways
from tandem.core.collect import Homes
from tandem.core.operations import CrawlReport, Status
from tandem.core.reply import Side
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, running
from tests.servers.ports import free_port

REPORT = CrawlReport(NAMESPACE, 1_700_000_000_000_000, True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again, so that who is not there is known by the first word, not by time."""
    monkeypatch.setattr("tandem.client.retries.RETRY_TOKENS_MAX", 0.0)


@pytest.fixture
async def two() -> AsyncIterator[list[Running]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running()) for _ in range(2)]


def _silent() -> str:
    return f"127.0.0.1:{free_port()}"


def _of(*addresses: str) -> RemoteGateways:
    return RemoteGateways(addresses, lambda _: "", timeout_s=60.0)


def _nobody() -> RemoteGateways:
    return _of(_silent())


async def test_homes_are_in_use_while_no_gateway_has_switched_one_off(two: list[Running]) -> None:
    gateways = _of(two[0].address, two[1].address)
    assert await gateways.enabled() == frozenset(Side)
    for gateway in two:
        for side in Side:
            for reads, writes in ((False, True), (True, False)):
                await gateway.operations.switch(side, reads_enabled=reads, writes_enabled=writes)
                assert await gateways.enabled() == frozenset({side.other})
            await gateway.operations.switch(side, reads_enabled=True, writes_enabled=True)
    assert await gateways.enabled() == frozenset(Side)


async def test_a_silent_gateway_is_skipped_as_long_as_another_answers(two: list[Running]) -> None:
    assert await _of(_silent(), two[0].address).enabled() == frozenset(Side)
    await two[0].operations.switch(Side.S3, reads_enabled=True, writes_enabled=False)
    assert await _of(_silent(), two[0].address).enabled() == frozenset({Side.KVSP})
    assert not await _nobody().enabled()
    assert not await _of().enabled()


async def test_a_gateway_that_is_silent_is_told_of_once(two: list[Running]) -> None:
    gateways = _of(two[0].address, two[1].address)
    with capture_logs() as logs:
        await two[1].stop()
        for _ in range(2):
            await gateways.enabled()
            assert (await gateways.trouble()).unsure
            await gateways.tell(REPORT)
        await two[1].start()
        for _ in range(2):
            assert await gateways.enabled()
    assert [(log["event"], log["gateway"]) for log in logs] == [
        ("gateway_silent", two[1].address),
        ("gateway_answers_again", two[1].address),
    ]


async def test_every_gateway_that_answers_is_told(two: list[Running]) -> None:
    await _of(two[0].address, _silent(), two[1].address).tell(REPORT)
    assert [gateway.operations.reports for gateway in two] == [[REPORT], [REPORT]]


async def test_silent_gateways_are_waited_for_all_at_once(two: list[Running]) -> None:
    """A crawl of a thousand namespaces asks and tells two thousand times."""
    asked, answer = [0], asyncio.Event()
    for gateway in two:
        _hold_status(gateway, asked, answer)
    asking = asyncio.create_task(_of(two[0].address, two[1].address).enabled())
    async with asyncio.timeout(60):
        while asked[0] < 2:
            await asyncio.sleep(0.01)
    answer.set()
    assert await asking


def _hold_status(gateway: Running, asked: list[int], answer: asyncio.Event) -> None:
    """Its status is asked for, counted, and not given before `answer` is set."""
    status = gateway.operations.status

    async def held() -> Status:
        asked[0] += 1
        await answer.wait()
        return await status()

    gateway.operations.status = held  # type: ignore[method-assign]


async def test_what_is_kept_in_kvsp_alone_waits_for_nothing_but_the_switch_of_kvsp(
    two: list[Running],
) -> None:
    """KVSP holds all that was acknowledged, whatever a gateway has lost, and wherever S3 is."""
    evidence = StoreEvidence(_of(two[0].address, two[1].address, _silent()), {}, 1.0)
    assert (await two[0].operations.status()).queue.dirty_ranges
    assert await evidence.is_dirty(NAMESPACE, Homes.BOTH)
    assert not await evidence.is_dirty(NAMESPACE, Homes.KVSP)
    for homes in (Homes.BOTH, Homes.KVSP):
        assert await evidence.in_use(homes)
    await two[0].operations.switch(Side.S3, reads_enabled=False, writes_enabled=False)
    assert not await evidence.in_use(Homes.BOTH)
    assert await evidence.in_use(Homes.KVSP)
    await two[1].operations.switch(Side.KVSP, reads_enabled=True, writes_enabled=False)
    assert not await evidence.in_use(Homes.KVSP)
    assert not await StoreEvidence(_nobody(), {}, 1.0).in_use(Homes.KVSP)
