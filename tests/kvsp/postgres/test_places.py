"""Connections: so many and no more, used again while they are sound, and no longer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from kvsp.postgres.connecting import Database, NotReached
from kvsp.postgres.places import Places
from tandem.runtime.randomness import SystemEntropy
from tests.servers.postgres import Postgres


@pytest.fixture
async def places(dsn: str) -> AsyncIterator[Places]:
    opened = Places(Database(dsn, SystemEntropy()), 2)
    yield opened
    await opened.aclose()


async def pid(places: Places) -> int:
    async with places.one() as connection:
        return int(await connection.fetchval("select pg_backend_pid()"))


async def test_who_finds_no_place_waits_for_one(places: Places) -> None:
    async with places.one():
        async with places.one():
            waiting = asyncio.ensure_future(pid(places))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting


async def test_a_sound_connection_is_used_again(places: Places) -> None:
    first = await pid(places)
    assert await pid(places) == first
    with pytest.raises(asyncpg.UndefinedTableError):
        async with places.one() as connection:
            await connection.execute("select * from nothing")
    assert await pid(places) == first


async def test_one_inside_a_transaction_is_given_up(places: Places) -> None:
    first = await pid(places)
    async with places.one() as connection:
        await connection.execute("begin")
    assert await pid(places) != first


async def test_one_that_the_server_ended_is_given_up(places: Places) -> None:
    first = await pid(places)
    with pytest.raises(asyncpg.PostgresConnectionError):
        async with places.one() as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
    assert await pid(places) != first


async def test_one_that_the_server_ended_while_nobody_used_it_is_given_up(
    places: Places, postgres: Postgres
) -> None:
    async with places.one() as connection:
        first = int(await connection.fetchval("select pg_backend_pid()"))
    postgres.sql(f"select pg_terminate_backend({first})")
    async with asyncio.timeout(60):
        while not connection.is_closed():
            await asyncio.sleep(0.01)
    assert await pid(places) != first


async def test_whoever_is_cancelled_leaves_a_place_and_no_connection_behind(places: Places) -> None:
    first = await pid(places)

    async def sleeping() -> None:
        async with places.one() as connection:
            await connection.execute("select pg_sleep(60)")

    for _ in range(3):
        task = asyncio.create_task(sleeping())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await pid(places) != first


async def test_one_that_was_long_idle_is_not_trusted(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await pid(places)
    monkeypatch.setattr("kvsp.postgres.places.IDLE_S", 0.0)
    assert await pid(places) != first


@pytest.fixture
def pauses_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was not reached is not tried again in a test."""
    monkeypatch.setattr("kvsp.postgres.connecting._PAUSE_FIRST_S", 600.0)
    monkeypatch.setattr("kvsp.postgres.connecting._PAUSE_MOST_S", 600.0)


@pytest.mark.usefixtures("pauses_long")
async def test_a_database_that_was_just_not_reached_is_not_tried_again_at_once(
    tmp_path: Path,
) -> None:
    database = Database(f"postgresql://postgres@/name?host={tmp_path}", SystemEntropy())
    with pytest.raises(FileNotFoundError):
        await database.connect()
    with pytest.raises(NotReached, match="No such file"):
        await database.connect()


@pytest.mark.usefixtures("pauses_long")
async def test_why_a_database_is_not_tried_again_is_told_of_a_silent_one_too(
    sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsp.postgres.connecting.CONNECT_S", 0.1)
    database = Database(f"postgresql://postgres@/name?host={sockets}", SystemEntropy())
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(sockets / ".s.PGSQL.5432"))
        silent.listen()
        with pytest.raises(TimeoutError):
            await database.connect()
        with pytest.raises(NotReached, match="TimeoutError"):
            await database.connect()
