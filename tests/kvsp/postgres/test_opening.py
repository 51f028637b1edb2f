"""Which databases are refused at the start, and what is said of them."""

import asyncio

import pytest

from kvsp.postgres import schema
from tandem.core.reply import Stored
from tandem.errors import ConfigurationError
from tests.kvsp.records import SetClock, get, put, value
from tests.kvsp.serving import open_postgres_store
from tests.servers.postgres import Postgres


async def refused(*dsns: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        await open_postgres_store(dsns)
    return str(error.value)


async def made(*dsns: str) -> None:
    await (await open_postgres_store(dsns)).aclose()


async def test_what_was_written_is_there_at_the_next_start(dsn: str, clock: SetClock) -> None:
    first = await open_postgres_store([dsn], clock)
    assert await first.clusters[0].write([put("key", value())]) == [Stored(0)]
    await first.aclose()
    second = await open_postgres_store([dsn], clock)
    assert await second.clusters[0].read([get("key")]) == [value().envelope]
    await second.aclose()


async def test_databases_of_another_ring_or_order_are_refused(postgres: Postgres) -> None:
    first, second, third = postgres.empty_databases(3)
    await made(first, second)
    assert "belongs to a ring of 2 clusters, the settings say 1" in await refused(first)
    exchanged = await refused(second, first)
    assert "holds cluster-1" in exchanged
    assert "holds cluster-0" in exchanged
    assert "is empty, and its data lost with it" in await refused(first, third)
    await made(first, second)


async def test_one_database_twice_is_refused(dsn: str) -> None:
    assert "holds cluster-0" in await refused(dsn, dsn)


async def test_a_making_that_was_cut_short_goes_on(postgres: Postgres) -> None:
    first, second = postgres.empty_databases(2)
    await made(first, second)
    postgres.sql("drop schema tandem cascade", second)
    postgres.sql("update tandem.meta set ring_complete = false", first)
    await made(first, second)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("update tandem.meta set schema_version = 2", "has schema 2; this program knows 1"),
        ("delete from tandem.meta", "has lost the row of its table meta"),
        ("alter table tandem.meta drop column schema_version", "is not a cluster of Tandem"),
    ],
)
async def test_what_is_no_cluster_of_ours_is_refused(
    postgres: Postgres, dsn: str, statement: str, told: str
) -> None:
    await made(dsn)
    postgres.sql(statement, dsn)
    assert told in await refused(dsn)


@pytest.mark.parametrize("level", ["on", "remote_apply", "remote_write", "off", "local"])
async def test_a_server_that_acknowledges_too_early_is_refused(
    postgres: Postgres, dsn: str, level: str
) -> None:
    database = dsn.partition("?")[0].rpartition("/")[2]
    postgres.sql(f"alter database {database} set synchronous_commit = {level}")
    try:
        if level in {"off", "local"}:
            assert f"has synchronous_commit = {level} for this user" in await refused(dsn)
        else:
            await made(dsn)
    finally:
        postgres.sql(f"alter database {database} reset synchronous_commit")


async def test_a_server_that_does_not_wait_for_its_disk_is_refused(
    postgres: Postgres, dsn: str
) -> None:
    await asyncio.to_thread(postgres.stop)
    await asyncio.to_thread(postgres.start, "fsync=off")
    try:
        assert "has fsync = off" in await refused(dsn)
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(postgres.start)
    await made(dsn)


async def test_an_old_server_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "SERVER_VERSION_MIN", 1_000_000)
    assert "is older than PostgreSQL 13" in await refused(dsn)


async def test_a_user_who_may_not_make_the_tables_is_told(postgres: Postgres, dsn: str) -> None:
    postgres.sql("create role guest login")
    said = await refused(dsn.replace("postgres@", "guest@"))
    assert "permission denied" in said


async def test_a_start_waits_for_a_server_that_is_not_there_yet(
    postgres: Postgres, dsn: str
) -> None:
    await asyncio.to_thread(postgres.stop)
    opening = asyncio.ensure_future(open_postgres_store([dsn]))
    try:
        await asyncio.sleep(0.1)
        assert not opening.done()
    finally:
        await asyncio.to_thread(postgres.start)
    async with asyncio.timeout(60):
        store = await opening
    await store.aclose()


async def test_another_encoding_is_refused(postgres: Postgres) -> None:
    dsn = postgres.new_database("latin", encoding="LATIN1")
    assert "has the encoding LATIN1" in await refused(dsn)
    postgres.sql("drop database latin")


async def test_a_database_that_does_not_exist_is_a_mistake(postgres: Postgres) -> None:
    said = await refused(postgres.dsn("nowhere"))
    assert 'database "nowhere" does not exist' in said
    assert schema.POOLER not in said
