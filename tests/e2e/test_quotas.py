"""Quotas through whole gateways: the greedy are told when to come again, others notice nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from http.client import HTTPConnection
from pathlib import Path

import pytest
import pytest_asyncio

from tandem import Client
from tandem.core.access import Permission
from tandem.core.limits import MIB
from tandem.core.quota import Quota
from tandem.errors import QuotaExceeded
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.pages import metrics, total
from tests.e2e.waiting import until_true

pytestmark = pytest.mark.asyncio(loop_scope="module")

_WORKERS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tandem(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """It has a namespace without a quota; each test makes those that have one."""
    directory: Path = tmp_path_factory.mktemp("quotas") / "tandem"
    async with deployed(directory, workers=_WORKERS) as deployment:
        await deployment.start()
        async with deployment.client() as client:
            await client.namespaces.create("modest")
        yield deployment


async def _outcomes(clients: list[Client], count: int) -> list[object]:
    """So many puts at once, over several connections, none of them repeated."""
    for client in clients:
        client._retries.closed = True
    return await asyncio.gather(
        *(clients[n % len(clients)].put(f"k{n}", b"v") for n in range(count)),
        return_exceptions=True,
    )


def _refused(outcomes: Sequence[object]) -> list[QuotaExceeded]:
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    refused = [error for error in errors if isinstance(error, QuotaExceeded)]
    assert refused == errors
    return refused


async def test_a_greedy_client_is_told_when_to_come_again_and_another_is_served(
    tandem: Deployment,
) -> None:
    async with tandem.client() as client:
        greedy = await client.namespaces.create("greedy", operations_per_s=50)
    refusals = {"namespace": greedy.id, "limit": "operations"}
    async with (
        tandem.client("greedy") as one,
        tandem.client("greedy") as two,
        tandem.client("modest") as modest,
    ):
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        outcomes = await _outcomes([one, two], 1000)
        refused = _refused(outcomes)
        granted = len(outcomes) - len(refused)
        assert 50 <= granted <= 50 + 50 * (loop.time() - began_s) + 2 * _WORKERS
        assert all(0 < error.retry_after_s < 60 for error in refused)
        assert all("50 operations a second" in str(error) for error in refused)
        await asyncio.gather(*(modest.put(f"k{n}", b"v") for n in range(1000)))

        async def counted() -> bool:
            samples = await metrics(tandem.http)
            return total(samples, "tandem_quota_refused_total", **refusals) == len(refused)

        await until_true(counted, "the metrics show the refusals")


async def test_a_client_that_waits_as_it_is_told_loses_nothing(tandem: Deployment) -> None:
    async with tandem.client() as client:
        await client.namespaces.create("patient", operations_per_s=50)
    async with Client(tandem.grpc, "patient", timeout_s=60) as kv:
        await asyncio.gather(*(kv.put(f"k{n}", b"v") for n in range(150)))
        assert len([key async for key in kv.list()]) == 150


async def test_one_write_of_a_key_a_second_whichever_worker_it_meets(tandem: Deployment) -> None:
    async with tandem.client() as client:
        await client.namespaces.create("once", key_write_interval=True)
    clients = [tandem.client("once") for _ in range(6)]
    for number, client in enumerate(clients):
        await client.__aenter__()
        await client.put(f"warm{number}", b"v")
        client._retries.closed = True
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    written = await asyncio.gather(*(c.put("k", b"v") for c in clients), return_exceptions=True)
    refused = _refused(written)
    assert 1 <= len(clients) - len(refused) <= 1 + int(loop.time() - began_s)
    assert {str(error) for error in refused} == {"Too Many Requests"}
    assert all(0 < error.retry_after_s <= 1 for error in refused)
    for client in clients:
        await client.__aexit__(None, None, None)
    async with tandem.client("once") as kv:
        await kv.put("k", b"after a second")
        assert await kv.get("k") == b"after a second"


async def test_large_bodies_of_a_namespace_are_counted_over_workers(tandem: Deployment) -> None:
    async with tandem.client() as client:
        await client.namespaces.create("bodies", large_bodies_max=2)
    let_on = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield bytes(2 * MIB)
        while not let_on.is_set():
            yield b"more"
            await asyncio.sleep(0.02)

    async def put(client: Client, number: int) -> object:
        try:
            return await client.put_stream(f"k{number}", pieces(), timeout_s=30)
        except QuotaExceeded as error:
            return error

    clients = [tandem.client("bodies") for _ in range(5)]
    for client in clients:
        await client.__aenter__()
    tasks = [asyncio.create_task(put(client, n)) for n, client in enumerate(clients)]

    async def three_over() -> bool:
        return sum(task.done() for task in tasks) == 3

    await until_true(three_over, "three of five are refused")
    refused = [task.result() for task in tasks if task.done()]
    assert all(isinstance(outcome, QuotaExceeded) for outcome in refused)
    let_on.set()
    outcomes = await asyncio.gather(*tasks)
    assert sum(isinstance(outcome, QuotaExceeded) for outcome in outcomes) == 3
    await clients[0].put_stream("k", bytes(2 * MIB))
    for client in clients:
        await client.__aexit__(None, None, None)


async def test_a_token_has_a_quota_of_its_own(tandem: Deployment) -> None:
    async with tandem.client() as client:
        made = await client.tokens.create(
            "slow", Permission.WRITE, quota=Quota(operations_per_s=20)
        )
        assert [token.quota for token in await client.tokens.list()] == [Quota(20)]
    async with Client(tandem.grpc, "modest", token=made.text) as kv:
        refused = _refused(await _outcomes([kv], 300))
        assert refused
        assert all(f"token {made.token.id} is over 20" in str(error) for error in refused)
    async with tandem.client("modest") as kv:
        assert not _refused(await _outcomes([kv], 300))


async def test_http_says_429_and_when_to_come_again(tandem: Deployment) -> None:
    async with tandem.client() as client:
        await client.namespaces.create("greediest", operations_per_s=1)
        namespaces = {n.title: n.id for n in await client.namespaces.list()}

    def answers(title: str, count: int) -> Counter[int]:
        connection = HTTPConnection(tandem.http, timeout=60)
        seen: Counter[int] = Counter()
        for number in range(count):
            target, headers = (
                f"/k{number}?urlencoded=true",
                {"CF-KV-Namespace-ID": namespaces[title]},
            )
            connection.request("PUT", target, b"v", headers)
            response = connection.getresponse()
            response.read()
            seen[response.status] += 1
            if response.status == 429:
                assert response.reason == "Too Many Requests"
                assert int(response.headers["Retry-After"]) >= 1
        connection.close()
        return seen

    greediest = await asyncio.to_thread(answers, "greediest", 40)
    assert set(greediest) == {200, 429}
    assert await asyncio.to_thread(answers, "modest", 40) == {200: 40}
