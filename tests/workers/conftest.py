"""One whole Tandem for the tests of this directory, with both homes and with either one missing."""

import asyncio
import json
import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment
from tests.workers import runtimes
from tests.workers.runtimes import Runtime, Served

ADMIN_TOKEN = "admin-token-of-the-tests-of-workers"
NAMESPACE = "of-the-worker"


@pytest.fixture(scope="session", params=["both homes", "without kvsp", "without s3"])
def tandem(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Every door demands a token. KVSP is killed, or S3 switched off, for all that the tests do."""
    deployment = Deployment(
        tmp_path_factory.mktemp("workers") / "tandem",
        workers=2,
        TANDEM_AUTH="required",
        TANDEM_ADMIN_TOKEN=ADMIN_TOKEN,
    )
    try:
        yield asyncio.run(_served(deployment, request.param))
    finally:
        deployment.end()
        shutil.rmtree(deployment.data, ignore_errors=True)


async def _served(deployment: Deployment, homes: str) -> Served:
    await deployment.start()
    await _kvctl(deployment, "namespace", "create", NAMESPACE)
    tokens = {
        permission: json.loads(
            await _kvctl(
                deployment, "token", "create", "--json", "--name", permission,
                "--permission", permission, "--namespace", NAMESPACE,
            )
        )["token"]
        for permission in ("read", "write")
    }  # fmt: skip
    if homes != "both homes":
        await _kvctl(deployment, "backend", "disable", homes.removeprefix("without "))
    if homes == "without kvsp":
        deployment.kvsp.kill()
    return Served(deployment, NAMESPACE, admin=ADMIN_TOKEN, **tokens)


async def _kvctl(deployment: Deployment, *arguments: str) -> str:
    status, output = await deployment.kvctl(*arguments)
    assert status == 0, output
    return output


@pytest.fixture(scope="session")
def workerd(
    npm_packages: None, tandem: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """workerd with Tandem behind it."""
    directory = tmp_path_factory.mktemp("workerd")
    yield from _running(runtimes.workerd(directory, tandem))


@pytest.fixture(scope="session")
def adapted(
    npm_packages: None, tandem: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runtime]:
    """Miniflare with an adapter before Tandem."""
    directory = tmp_path_factory.mktemp("adapter")
    yield from _running(runtimes.adapted(directory, tandem))


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
