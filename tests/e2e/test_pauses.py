"""Every process stopped and killed under load, one after the other, in one deployment with two
workers and a crawler: whatever was acknowledged is in both homes at the end, and no answer goes
back in time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.program import continue_process, kill_process, stop_process
from tests.e2e.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

_MIX = Mix(keys=100, clients=4, tasks=4)
_PAUSE_S = 1.5


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tandem(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    directory: Path = tmp_path_factory.mktemp("pauses") / "tandem"
    async with deployed(directory, workers=2) as deployment:
        await deployment.start()
        deployment.crawler.start()
        await deployment.serving(deployment.crawler, deployment.crawler_address)
        await _two_workers(deployment)
        yield deployment


async def _two_workers(tandem: Deployment) -> None:
    await until(lambda: len(tandem.workers()) == 2, "two workers run")


async def _new_namespace(tandem: Deployment, title: str) -> str:
    async with tandem.client() as client:
        return (await client.namespaces.create(title)).id


async def _paused(pids: Sequence[int]) -> None:
    """All of them stand still for a while, and go on together."""
    for pid in pids:
        stop_process(pid)
    try:
        await asyncio.sleep(_PAUSE_S)
    finally:
        for pid in pids:
            continue_process(pid)


async def test_the_supervisor_is_paused_and_nobody_notices(tandem: Deployment) -> None:
    namespace, workers = await _new_namespace(tandem, "supervisor"), tandem.workers()
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        await _paused([tandem.gateway.pid])
        await more(history, 300)
    assert not history.errors()
    assert tandem.workers() == workers
    await check(tandem, namespace, history)


async def test_the_whole_gateway_is_paused(tandem: Deployment) -> None:
    namespace = await _new_namespace(tandem, "gateway")
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        await _paused([tandem.gateway.pid, *tandem.workers()])
        await more(history, 300)
    await _two_workers(tandem)
    await check(tandem, namespace, history)


async def test_the_whole_machine_is_paused(tandem: Deployment) -> None:
    namespace = await _new_namespace(tandem, "machine")
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        await _paused(tandem.pids())
        await more(history, 300)
    await _two_workers(tandem)
    await check(tandem, namespace, history)


async def test_one_worker_is_killed(tandem: Deployment) -> None:
    namespace = await _new_namespace(tandem, "worker")
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        victim = tandem.workers()[0]
        kill_process(victim)
        await more(history, 300)
        await until(lambda: victim not in tandem.workers(), "it is gone")
        await _two_workers(tandem)
        await more(history, 300)
    await check(tandem, namespace, history)


async def test_the_crawler_is_paused_and_killed_while_it_heals(tandem: Deployment) -> None:
    namespace = await _new_namespace(tandem, "crawler")
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        await _paused([tandem.crawler.pid])
        tandem.kvsp.kill()
        await more(history, 300)
        await tandem.restart_kvsp()
        tandem.crawler.kill()
        await more(history, 300)
        tandem.crawler.start()
        await tandem.serving(tandem.crawler, tandem.crawler_address)
    assert not history.errors()
    await check(tandem, namespace, history)
    await tandem.trusted()


async def test_kvsp_is_paused_longer_than_a_write_may_take(tandem: Deployment) -> None:
    namespace = await _new_namespace(tandem, "kvsp")
    async with under_load(tandem.grpc, namespace, _MIX) as history:
        await more(history, 300)
        stop_process(tandem.kvsp.pid)
        try:
            await more(history, 600)
            await asyncio.sleep(_PAUSE_S)
        finally:
            continue_process(tandem.kvsp.pid)
        await more(history, 300)
    assert not history.errors()
    await check(tandem, namespace, history)
