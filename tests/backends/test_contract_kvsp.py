"""The contract over KVSP: real files behind real gRPC."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

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


class TestKvspHome(GroupContract, HomeContract, RowsContract):
    @pytest.fixture
    async def under(self, tmp_path: Path) -> AsyncIterator[HomeUnderTest]:
        backends: list[KvspBackend] = []

        async def opened(kvsp: Kvsp) -> Backend:
            backends.append(KvspBackend(kvsp.address, SystemEntropy()))
            backends[-1].start()
            return backends[-1]

        async with running_kvsp(tmp_path) as kvsp:

            async def reopen() -> Backend:
                await backends[-1].aclose()
                await kvsp.stop()
                await kvsp.start()
                return await opened(kvsp)

            async def corrupt(key: Key) -> None:
                for file in tmp_path.glob("*.sqlite"):
                    _damage(file, key)

            home = await opened(kvsp)
            yield HomeUnderTest(home, kvsp.clock.now_us, reopen, corrupt)
            for backend in backends:
                await backend.aclose()

    @pytest.fixture
    def rows(self, under: HomeUnderTest) -> CollectableRows:
        assert isinstance(under.home, KvspBackend)
        return under.home


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
