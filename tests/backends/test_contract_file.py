"""The contract over the embedded object home."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tandem.backends.file import FileHome
from tandem.backends.port import Backend, CollectableObjects
from tandem.core.key import Key, object_name
from tandem.runtime.clock import SystemClock
from tests.backends.contract import HomeContract
from tests.backends.contract_groups import GroupContract
from tests.backends.contract_objects import ObjectsContract
from tests.backends.home_under_test import HomeUnderTest


class TestFileHome(GroupContract, HomeContract, ObjectsContract):
    @pytest.fixture
    async def under(self, tmp_path: Path) -> AsyncIterator[HomeUnderTest]:
        clock, path = SystemClock(), tmp_path / "objects.db"
        home = await FileHome.open(path, clock)

        async def reopen() -> Backend:
            nonlocal home
            await home.aclose()
            home = await FileHome.open(path, clock)
            return home

        async def corrupt(key: Key) -> None:
            for file in tmp_path.glob("objects.db-bodies/*"):
                file.write_bytes(file.read_bytes()[:-1] + b"\0")
                return
            with closing(sqlite3.connect(path)) as connection, connection:
                changed = connection.execute(
                    "update objects set body = cast(substr(body, 1, length(body) - 1) || x'00'"
                    " as blob) where name = ?",
                    (object_name("", key).encode(),),
                )
                assert changed.rowcount == 1

        yield HomeUnderTest(home, clock.now_us, reopen, corrupt)
        await home.aclose()

    @pytest.fixture
    def objects(self, under: HomeUnderTest) -> CollectableObjects:
        assert isinstance(under.home, FileHome)
        return under.home
