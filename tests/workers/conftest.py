"""One whole Tandem for the tests of this directory, with both homes and with either one missing."""

import asyncio
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment
from tests.workers import runtimes
from tests.workers.runtimes import Runtime

NAMESPACE = "of-the-worker"


@pytest.fixture(scope="session", params=["both homes", "without kvsp", "without s3"])
def tandem(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """KVSP and a gateway; KVSP is killed, or S3 is switched off, for all that the tests do."""
    deployment = Deployment(tmp_path_factory.mktemp("workers") / "tandem", workers=2)
    try:
        asyncio.run(_start(deployment, request.param))
        yield deployment
    finally:
        deployment.end()
        shutil.rmtree(deployment.data, ignore_errors=True)


async def _start(deployment: Deployment, homes: str) -> None:
    await deployment.start()
    status, output = await deployment.kvctl("namespace", "create", NAMESPACE)
    assert status == 0, output
    if homes == "without kvsp":
        await deployment.settled()
        deployment.kvsp.kill()
        await deployment.kvctl("backend", "disable", "kvsp")
    elif homes == "without s3":
        await deployment.kvctl("backend", "disable", "s3")


@pytest.fixture(scope="session")
def workerd(
    npm_packages: None, tandem: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """workerd with Tandem behind it."""
    directory = tmp_path_factory.mktemp("workerd")
    yield from _running(asyncio.run(runtimes.workerd(directory, tandem, NAMESPACE)))


@pytest.fixture(scope="session")
def adapted(
    npm_packages: None, tandem: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """Miniflare with an adapter before Tandem."""
    directory = tmp_path_factory.mktemp("adapter")
    yield from _running(asyncio.run(runtimes.adapted(directory, tandem, NAMESPACE)))


@pytest.fixture(scope="session")
def miniflare(npm_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Miniflare with its own KV."""
    yield from _running(runtimes.miniflare(tmp_path_factory.mktemp("miniflare")))


def _running(runtime: Runtime) -> Iterator[Runtime]:
    try:
        runtime.start()
        yield runtime
    finally:
        runtime.stop()
