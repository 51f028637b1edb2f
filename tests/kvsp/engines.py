"""What a test of the seam does to an engine from outside, whichever it is."""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import asyncpg

from kvsp.limits import ClusterLimits
from kvsp.postgres.cluster import PostgresCluster
from kvsp.sqlite.cluster import SqliteCluster
from tandem.runtime.clock import Clock
from tests.kvsp.serving import Clusters, open_postgres_store, open_store
from tests.servers.postgres import Postgres

AnyCluster = SqliteCluster | PostgresCluster
AnyClusters = Clusters[SqliteCluster] | Clusters[PostgresCluster]


class Engine(ABC):
    """Opens stores over the same data again and again, and looks into it."""

    def __init__(self, clock: Clock, stack: AsyncExitStack) -> None:
        self._clock = clock
        self._stack = stack

    async def open(self, clusters: int = 1, limits: ClusterLimits | None = None) -> AnyClusters:
        opened = await self._open(clusters, limits)
        self._stack.push_async_callback(opened.aclose)
        return opened

    async def only(self, limits: ClusterLimits | None = None) -> AnyCluster:
        """The one cluster of a store."""
        return (await self.open(limits=limits)).clusters[0]

    @abstractmethod
    async def _open(self, clusters: int, limits: ClusterLimits | None) -> AnyClusters: ...

    @abstractmethod
    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Runs a statement on the first cluster's data."""

    @abstractmethod
    async def blobs(self) -> Sequence[bytes]:
        """What lies outside the rows, longest first."""

    @abstractmethod
    async def lose_blobs(self) -> None: ...

    @abstractmethod
    async def damage_blobs(self) -> None: ...

    @abstractmethod
    async def leave_orphan(self, blob: str, entered_us: int) -> None:
        """What a crash between a blob and its row leaves."""

    async def pending(self) -> object:
        """How many blobs wait for their rows."""
        return (await self.sql("select count(*) from blob_pending"))[0][0]


class Files(Engine):
    """SQLite, in a directory."""

    def __init__(self, path: Path, clock: Clock, stack: AsyncExitStack) -> None:
        super().__init__(clock, stack)
        self._path = path

    async def _open(self, clusters: int, limits: ClusterLimits | None) -> AnyClusters:
        return await open_store(self._path, clusters, self._clock, limits)

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        file = self._path / "cluster-0.sqlite"
        with closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()

    async def blobs(self) -> Sequence[bytes]:
        return sorted((file.read_bytes() for file in self._files()), key=len, reverse=True)

    async def lose_blobs(self) -> None:
        for file in self._files():
            file.unlink()

    async def damage_blobs(self) -> None:
        for file in self._files():
            file.write_bytes(file.read_bytes()[:-1] + b"\0")

    async def leave_orphan(self, blob: str, entered_us: int) -> None:
        orphan = self._path / "blobs" / "cluster-0" / blob[:2] / blob
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"half")
        await self.sql(f"insert into blob_pending values ('{blob}', {entered_us})")

    def _files(self) -> list[Path]:
        return [file for file in (self._path / "blobs").rglob("*") if file.is_file()]


class Databases(Engine):
    """PostgreSQL, in databases of the test run's server."""

    def __init__(self, postgres: Postgres, clock: Clock, stack: AsyncExitStack) -> None:
        super().__init__(clock, stack)
        self._postgres = postgres
        self._dsns: list[str] = []

    async def _open(self, clusters: int, limits: ClusterLimits | None) -> AnyClusters:
        if len(self._dsns) != clusters:
            self._dsns = self._postgres.empty_databases(clusters)
        return await open_postgres_store(self._dsns, self._clock, limits)

    async def sql(self, statement: str) -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(self._dsns[0], server_settings={"search_path": "tandem"})
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def blobs(self) -> Sequence[bytes]:
        rows = await self.sql(
            "select string_agg(bytes, '' order by number) from blob_piece group by blob"
        )
        whole = [row[0] for row in rows if isinstance(row[0], bytes)]
        return sorted(whole, key=len, reverse=True)

    async def lose_blobs(self) -> None:
        await self.sql("delete from blob_piece")

    async def damage_blobs(self) -> None:
        await self.sql(
            "update blob_piece set bytes = set_byte(bytes, length(bytes) - 1, 0) where bytes <> ''"
        )

    async def leave_orphan(self, blob: str, entered_us: int) -> None:
        await self.sql(f"insert into blob_piece values ('{blob}', 0, 'half')")
        await self.sql(f"insert into blob_pending values ('{blob}', {entered_us})")
