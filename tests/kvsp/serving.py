"""A KVSP inside the test's own process: real files or databases, real gRPC, a port of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from kvsp.cluster import Cluster
from kvsp.limits import ClusterLimits
from kvsp.postgres import clusters as postgres
from kvsp.postgres.cluster import PostgresCluster
from kvsp.server import StorageServer
from kvsp.sqlite.cluster import SqliteCluster
from kvsp.sqlite.clusters import open_clusters
from kvsp.sqlite.directory import DataDirectory
from kvsp.store import Store
from tandem.backends.kvsp import KvspBackend
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.randomness import SystemEntropy
from tests.servers.ports import free_port

_Engine = TypeVar("_Engine", bound=Cluster)

LARGE_VALUE_BYTES = 128 * 1024


@dataclass(slots=True)
class Clusters(Generic[_Engine]):
    """The clusters of one KVSP, and the store over them."""

    clusters: list[_Engine]
    store: Store
    directory: DataDirectory | None = None

    async def aclose(self) -> None:
        await self.store.aclose()
        if self.directory is not None:
            self.directory.release()


async def open_store(
    path: Path,
    clusters: int = 4,
    clock: Clock | None = None,
    limits: ClusterLimits | None = None,
    large_value_bytes: int = LARGE_VALUE_BYTES,
) -> Clusters[SqliteCluster]:
    directory = DataDirectory(path)
    directory.claim()
    try:
        opened = await open_clusters(
            directory,
            clusters,
            clock=clock or SystemClock(),
            entropy=SystemEntropy(),
            limits=limits,
        )
    except BaseException:
        directory.release()
        raise
    return Clusters(opened, Store(opened, large_value_bytes), directory)


async def open_postgres_store(
    dsns: Sequence[str], clock: Clock | None = None, limits: ClusterLimits | None = None
) -> Clusters[PostgresCluster]:
    opened = await postgres.open_clusters(
        dsns, clock=clock or SystemClock(), entropy=SystemEntropy(), limits=limits
    )
    return Clusters(opened, Store(opened, LARGE_VALUE_BYTES))


@dataclass(slots=True)
class Kvsp:
    """A running KVSP; `stop` and `start` again over the same data and port. In databases if there
    are any, else in files."""

    path: Path
    clock: Clock
    clusters: int = 4
    dsns: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    served: Clusters[SqliteCluster] | Clusters[PostgresCluster] | None = None
    server: StorageServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        if self.dsns:
            self.served = await open_postgres_store(self.dsns, self.clock)
        else:
            self.served = await open_store(self.path, self.clusters, self.clock)
        self.server = StorageServer(self.served.store, self.clock)
        await self.server.start(self.address)

    async def stop(self) -> None:
        if self.server is not None and self.served is not None:
            await self.server.stop(1.0)
            await self.served.aclose()
        self.server = self.served = None


@asynccontextmanager
async def running_kvsp(
    path: Path, clusters: int = 4, dsns: Sequence[str] = ()
) -> AsyncIterator[Kvsp]:
    kvsp = Kvsp(path, SystemClock(), clusters, dsns)
    await kvsp.start()
    try:
        yield kvsp
    finally:
        await kvsp.stop()


@asynccontextmanager
async def connected(kvsp: Kvsp) -> AsyncIterator[KvspBackend]:
    backend = KvspBackend(kvsp.address, SystemEntropy())
    backend.start()
    try:
        yield backend
    finally:
        await backend.aclose()
