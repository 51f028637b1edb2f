"""The contract over KVSP: real files, or real databases, behind real gRPC."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncpg
import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.backends.port import Backend, CollectableRows
from tandem.core.key import Key
from tandem.runtime.randomness import SystemEntropy
from tests.backends.contract import HomeContract
from tests.backends.contract_groups import GroupContract
from tests.backends.contract_rows import RowsContract
from tests.backends.home_under_test import HomeUnderTest
from tests.kvsp.serving import Kvsp, running_kvsp
from tests.servers.postgres import Postgres


class _KvspContract(GroupContract, HomeContract, RowsContract):
    """Every home of this kind has rows that can be collected."""

    @pytest.fixture
    def rows(self, under: HomeUnderTest) -> CollectableRows:
        assert isinstance(under.home, KvspBackend)
        return under.home


class TestKvspHome(_KvspContract):
    @pytest.fixture
    async def under(self, tmp_path: Path) -> AsyncIterator[HomeUnderTest]:
        async def corrupt(key: Key) -> None:
            for file in tmp_path.glob("*.sqlite"):
                _damage(file, key)

        async with running_kvsp(tmp_path) as kvsp, _over(kvsp, corrupt) as under:
            yield under


class TestKvspHomeOnPostgres(_KvspContract):
    @pytest.fixture
    async def under(self, tmp_path: Path, postgres: Postgres) -> AsyncIterator[HomeUnderTest]:
        dsns = postgres.empty_databases(2)

        async def corrupt(key: Key) -> None:
            for dsn in dsns:
                await _damage_database(dsn, key)

        async with running_kvsp(tmp_path, dsns=dsns) as kvsp, _over(kvsp, corrupt) as under:
            yield under


@asynccontextmanager
async def _over(
    kvsp: Kvsp, corrupt: Callable[[Key], Awaitable[None]]
) -> AsyncIterator[HomeUnderTest]:
    backends: list[KvspBackend] = []

    async def opened() -> Backend:
        backends.append(KvspBackend(kvsp.address, SystemEntropy()))
        backends[-1].start()
        return backends[-1]

    async def reopen() -> Backend:
        await backends[-1].aclose()
        await kvsp.stop()
        await kvsp.start()
        return await opened()

    yield HomeUnderTest(await opened(), kvsp.clock.now_us, reopen, corrupt)
    for backend in backends:
        await backend.aclose()


async def _damage_database(dsn: str, key: Key) -> None:
    connection = await asyncpg.connect(dsn)
    where = (key.namespace, key.name.encode())
    await connection.execute(
        "update tandem.record set envelope = set_byte(envelope, length(envelope) - 1, 0)"
        " where namespace = $1 and name = $2",
        *where,
    )
    await connection.execute(
        "update tandem.blob_piece as piece set bytes = set_byte(bytes, length(bytes) - 1, 0)"
        " from tandem.record where namespace = $1 and name = $2 and record.blob = piece.blob"
        " and bytes <> ''",
        *where,
    )
    await connection.close()


def _damage(file: Path, key: Key) -> None:
    where = (key.namespace, key.name.encode())
    with closing(sqlite3.connect(file)) as connection, connection:
        row = connection.execute(
            "select envelope, blob from record where namespace = ? and name = ?", where
        ).fetchone()
        if row is None:
            return
        envelope, blob = row
        if blob is not None:
            large = file.parent / "blobs" / file.stem / blob[:2] / blob
            large.write_bytes(large.read_bytes()[:-1] + b"\0")
            return
        connection.execute(
            "update record set envelope = ? where namespace = ? and name = ?",
            (envelope[:-1] + b"\0", *where),
        )
