"""A KVSP inside the test's own process: real files, real gRPC, a port of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kvsp.cluster import ClusterLimits
from kvsp.server import StorageServer
from kvsp.sqlite.cluster import SqliteCluster
from kvsp.sqlite.clusters import open_clusters
from kvsp.sqlite.directory import DataDirectory
from kvsp.store import Store
from tandem.backends.kvsp import KvspBackend
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.randomness import SystemEntropy
from tests.servers.daemon import free_port

LARGE_VALUE_BYTES = 128 * 1024


@dataclass(slots=True)
class Clusters:
    """The clusters of a data directory, and the store over them."""

    directory: DataDirectory
    clusters: list[SqliteCluster]
    store: Store

    async def aclose(self) -> None:
        await self.store.aclose()
        self.directory.release()


async def open_store(
    path: Path,
    clusters: int = 4,
    clock: Clock | None = None,
    limits: ClusterLimits | None = None,
    large_value_bytes: int = LARGE_VALUE_BYTES,
) -> Clusters:
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
    return Clusters(directory, opened, Store(opened, large_value_bytes))


@dataclass(slots=True)
class Kvsp:
    """A running KVSP; `stop` and `start` again over the same data and port."""

    path: Path
    clock: Clock
    clusters: int = 4
    port: int = field(default_factory=free_port)
    served: Clusters | None = None
    server: StorageServer | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.served = await open_store(self.path, self.clusters, self.clock)
        self.server = StorageServer(self.served.store, self.clock)
        await self.server.start(self.address)

    async def stop(self) -> None:
        if self.server is not None and self.served is not None:
            await self.server.stop(1.0)
            await self.served.aclose()
        self.server = self.served = None


@asynccontextmanager
async def running_kvsp(path: Path, clusters: int = 4) -> AsyncIterator[Kvsp]:
    kvsp = Kvsp(path, SystemClock(), clusters)
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
