"""A real S3 server that dies, hangs and comes back in the middle of a load."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw


@pytest.fixture
async def on_rgw(rgw: Rgw, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment with a bucket on Ceph RGW, and a namespace "n"."""
    async with deployed(tmp_path / "tandem", new_bucket(rgw)) as deployment:
        await deployment.start()
        async with deployment.client() as client:
            await client.namespaces.create("n")
        yield deployment


async def test_rgw_killed_and_restarted_under_load(on_rgw: Deployment, rgw: Rgw) -> None:
    async with under_load(on_rgw.grpc, "n", Mix()) as history:
        await more(history, 1000)
        rgw.kill()
        try:
            await more(history, 2000)
        finally:
            rgw.restart()
        await more(history, 1000)
    assert not history.errors()
    await check(on_rgw, "n", history)


async def test_rgw_that_hangs_under_load(on_rgw: Deployment, rgw: Rgw) -> None:
    async with under_load(on_rgw.grpc, "n", Mix()) as history:
        await more(history, 1000)
        rgw.freeze()
        try:
            await more(history, 2000)
        finally:
            rgw.thaw()
        await more(history, 1000)
    assert not history.errors()
    await check(on_rgw, "n", history)


async def test_kvsp_killed_under_load_with_rgw_as_the_other_home(on_rgw: Deployment) -> None:
    async with under_load(on_rgw.grpc, "n", Mix(clients=2)) as history:
        await more(history, 500)
        on_rgw.kvsp.kill()
        await more(history, 500)
        await on_rgw.restart_kvsp()
        await more(history, 500)
    assert not history.errors()
    await check(on_rgw, "n", history)


async def test_the_gateway_killed_while_legs_to_rgw_hang(on_rgw: Deployment, rgw: Rgw) -> None:
    async with under_load(on_rgw.grpc, "n", Mix(keys=50, clients=2)) as history:
        await more(history, 300)
        rgw.freeze()
        try:
            await more(history, 300)
            await on_rgw.kill_gateway()
        finally:
            rgw.thaw()
        await on_rgw.restart_gateway()
        await more(history, 300)
    await check(on_rgw, "n", history)


async def test_the_second_dialect_stopped_and_restarted_under_load(
    ministack: Ministack, tmp_path: Path
) -> None:
    """Not killed: it writes an object and its metadata one after the other, and killed in between
    it comes back with one that nobody can tell for ours."""
    async with deployed(tmp_path / "tandem", new_bucket(ministack)) as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        async with under_load(tandem.grpc, "n", Mix(clients=2)) as history:
            await more(history, 300)
            ministack.stop()
            try:
                await more(history, 500)
            finally:
                ministack.restart()
            await more(history, 300)
        assert not history.errors()
        await check(tandem, "n", history)
