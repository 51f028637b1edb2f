"""One whole Tandem for the tests of this directory, with both homes and with either one missing."""

import asyncio
import shutil
from collections.abc import Iterator

import pytest

from tandem import Client
from tandem.core.access import Permission
from tandem.core.reply import Side
from tests.e2e.deployment import Deployment
from tests.e2e.pages import metrics
from tests.e2e.waiting import until_true
from tests.workers import runtimes
from tests.workers.runtimes import Runtime, Served, as_admin

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

    async def made(client: Client) -> Served:
        namespace = await client.namespaces.create(NAMESPACE)
        read, write = [
            await client.tokens.create(one.name, one, namespaces=[namespace.id])
            for one in (Permission.READ, Permission.WRITE)
        ]
        if homes != "both homes":
            missing = Side(homes.removeprefix("without "))
            await client.ops.switch(missing, reads_enabled=False, writes_enabled=False)
            await until_true(lambda: _out_of_use(deployment, missing), "each worker has seen it")
        return Served(deployment, namespace, admin=ADMIN_TOKEN, write=write.text, read=read.text)

    served = await as_admin(deployment, ADMIN_TOKEN, made)
    if homes == "without kvsp":
        deployment.kvsp.kill()
    return served


async def _out_of_use(deployment: Deployment, side: Side) -> bool:
    """Whether every worker has seen the switch: else one would take what another cannot read."""
    enabled = [
        sample.value
        for sample in await metrics(deployment.http)
        if sample.name == "tandem_home_enabled" and sample.labels["home"] == side.value
    ]
    return bool(enabled) and not any(enabled)


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
