from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from kvsp.postgres.cluster import PostgresCluster
from tests.kvsp.records import SetClock
from tests.kvsp.serving import Clusters, open_postgres_store
from tests.servers.postgres import Postgres

Serving = Callable[[], Awaitable[Clusters[PostgresCluster]]]


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    """An empty database."""
    return postgres.empty_databases(1)[0]


@pytest.fixture
async def serving(dsn: str, clock: SetClock) -> AsyncIterator[Serving]:
    """One more KVSP over the database; what is still open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def opened() -> Clusters[PostgresCluster]:
            store = await open_postgres_store([dsn], clock)
            stack.push_async_callback(store.aclose)
            return store

        yield opened
