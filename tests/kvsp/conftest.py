from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kvsp.sqlite.cluster import SqliteCluster
from tests.kvsp.engines import Databases, Engine, Files
from tests.kvsp.records import SetClock
from tests.kvsp.serving import Clusters, open_store

Opening = Callable[..., Awaitable[Clusters[SqliteCluster]]]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def opening(tmp_path: Path, clock: SetClock) -> AsyncIterator[Opening]:
    """Opens the store in the test's directory; what is still open at the end is closed."""
    async with AsyncExitStack() as stack:

        async def opened(clusters: int = 1, **options: object) -> Clusters[SqliteCluster]:
            store = await open_store(tmp_path, clusters, clock, **options)  # type: ignore[arg-type]
            stack.push_async_callback(store.aclose)
            return store

        yield opened


@pytest.fixture(params=[Files, Databases], ids=["sqlite", "postgres"])
async def engine(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock
) -> AsyncIterator[Engine]:
    """Either of them; what is still open at the end is closed."""
    async with AsyncExitStack() as stack:
        if request.param is Files:
            yield Files(tmp_path, clock, stack)
        else:
            yield Databases(request.getfixturevalue("postgres"), clock, stack)
