import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from kvsp.postgres import connecting
from kvsp.postgres.cluster import PostgresCluster
from tandem.core.reply import Stored
from tests.kvsp.records import SetClock, get, put, value
from tests.kvsp.serving import Clusters, open_postgres_store
from tests.servers.postgres import Postgres

# Much slower than anything here, and much quicker than a person would wait.
ANSWER_S = 2.0
CONNECT_S = LOCK_S = 1.0

Serving = Callable[[], Awaitable[Clusters[PostgresCluster]]]


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.empty_databases(1)[0]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a database gives up soon."""
    for name, duration_s in (("ANSWER_S", ANSWER_S), ("CONNECT_S", CONNECT_S), ("LOCK_S", LOCK_S)):
        monkeypatch.setattr(connecting, name, duration_s)


async def until_it_stores(cluster: PostgresCluster, name: str) -> None:
    """Returns once a write of this name is acknowledged."""
    async with asyncio.timeout(60):
        while await cluster.write([put(name, value())]) != [Stored(0)]:
            await asyncio.sleep(0.02)


async def until_it_reads(cluster: PostgresCluster, *names: str) -> None:
    """Returns once what was stored under these names is answered."""
    async with asyncio.timeout(60):
        while await cluster.read([get(name) for name in names]) != [value().envelope] * len(names):
            await asyncio.sleep(0.02)


@pytest.fixture
async def serving(dsn: str, clock: SetClock) -> AsyncIterator[Serving]:
    """One more KVSP over the database; what is still open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def opened() -> Clusters[PostgresCluster]:
            store = await open_postgres_store([dsn], clock)
            stack.push_async_callback(store.aclose)
            return store

        yield opened
