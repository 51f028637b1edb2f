"""A database that goes away, comes back, or comes back with less."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from tandem.core.cluster_life import is_behind
from tandem.core.removal import FloorReply, Removal, Renewal, Span
from tandem.core.reply import Failed, Reason, Stored
from tandem.core.version import Version
from tandem.wire.scan_codec import Scan
from tests.kvsp.postgres.conftest import Serving, until_it_stores
from tests.kvsp.records import NAMESPACE, START_US, get, put, value, write_large
from tests.servers.postgres import Postgres

STORED = Stored(0)
DEADLY = """
create function tandem.die() returns trigger language plpgsql as
$$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
create constraint trigger deadly after insert on tandem.record
deferrable initially deferred for each row execute function tandem.die();
"""

CHATTY = """
do $$ begin
    execute format('alter database %I set client_min_messages = log', current_database());
    execute format('alter database %I set log_duration = on', current_database());
end $$
"""


async def test_what_was_acknowledged_outlives_a_crash_of_the_server(
    serving: Serving, postgres: Postgres
) -> None:
    store = await serving()
    [cluster] = store.clusters
    acknowledged: list[str] = []
    failed: list[Failed] = []
    ending = asyncio.Event()

    async def write_on(writer: int) -> None:
        number = 0
        while not ending.is_set():
            name, number = f"key-{writer}-{number}", number + 1
            [answer] = await cluster.write([put(name, value())])
            if isinstance(answer, Failed):
                failed.append(answer)
                await asyncio.sleep(0.01)
            else:
                acknowledged.append(name)

    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        for writer in range(4):
            tasks.create_task(write_on(writer))
        while len(acknowledged) < 100:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(postgres.stop, "immediate")
        while not store.store.failure():
            await asyncio.sleep(0.01)
        [down] = await cluster.read([get("key")])
        assert isinstance(down, Failed)
        assert down.reason is Reason.UNREACHABLE
        before = len(acknowledged)
        await asyncio.to_thread(postgres.start)
        while len(acknowledged) < before + 100:
            await asyncio.sleep(0.01)
        ending.set()
    assert Reason.UNREACHABLE in {answer.reason for answer in failed}
    found = await cluster.read([get(name) for name in acknowledged])
    assert all(isinstance(answer, bytes) for answer in found)
    assert store.store.failure() == ""


async def test_everything_that_is_asked_of_a_server_that_is_down_is_answered(
    serving: Serving, postgres: Postgres
) -> None:
    store = await serving()
    [cluster] = store.clusters
    large = put("large", value(b"x" * 200_000))
    assert await write_large(cluster, large) == STORED
    [held] = await cluster.read([get("large")])
    life = await cluster.life()
    await asyncio.to_thread(postgres.stop)
    try:
        answers = [
            *await cluster.write([put("key", value())]),
            *await cluster.read([get("key")]),
            await cluster.scan(Scan(NAMESPACE, b"", b"", 10)),
            await write_large(cluster, put("other", value(b"y" * 200_000))),
            await cluster.large.load(held),  # type: ignore[arg-type]  # the record is a large one
            await cluster.raise_floor(life.named, Span(NAMESPACE), Version.at(START_US)),
            await cluster.renew(Renewal(life.name, life.named, life)),
            await cluster.purge_namespace(NAMESPACE, 10),
        ]
        assert {type(answer) for answer in answers} == {Failed}
        assert {answer.reason for answer in answers if isinstance(answer, Failed)} == {
            Reason.UNREACHABLE
        }
        with pytest.raises(OSError, match="PostgreSQL"):
            [piece async for piece in cluster.large.pieces("name")]
        assert "unreachable" in (await cluster.life()).failure
        assert "unreachable" in store.store.failure()
    finally:
        await asyncio.to_thread(postgres.start)
    async with asyncio.timeout(60):
        while store.store.failure():
            await asyncio.sleep(0.02)
    again = await cluster.life()
    assert (again.incarnation, again.floors) == (life.incarnation, life.floors)
    old = await cluster.raise_floor(life.named, Span(NAMESPACE), Version.at(START_US))
    assert old is FloorReply.OTHER_INCARNATION, "the server may have been restored meanwhile"
    loaded = await cluster.large.load(held)  # type: ignore[arg-type]  # as above
    assert loaded == large.record.envelope


async def test_a_connection_that_dies_at_commit_fails_the_whole_group(
    serving: Serving, dsn: str, postgres: Postgres
) -> None:
    [cluster] = (await serving()).clusters
    postgres.sql(DEADLY, dsn)
    answers = await cluster.write([put("a", value()), put("b", value())])
    assert ["the commit failed" in str(answer) for answer in answers] == [True, True]
    postgres.sql("drop trigger deadly on tandem.record", dsn)
    await until_it_stores(cluster, "a")


async def test_what_a_server_tells_of_its_work_is_no_failed_commit(
    serving: Serving, dsn: str, postgres: Postgres
) -> None:
    postgres.sql(CHATTY, dsn)
    try:
        [cluster] = (await serving()).clusters
        assert await cluster.write([put("key", value())]) == [STORED]
    finally:
        postgres.sql(
            "do $$ begin execute format('alter database %I reset all', current_database()); end $$",
            dsn,
        )


@asynccontextmanager
async def without_its_standby(postgres: Postgres, dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Commits wait for a standby that never comes; a connection that does not."""
    outside = await asyncpg.connect(dsn)
    await outside.execute("set synchronous_commit = local")
    try:
        postgres.sql("alter system set synchronous_standby_names = 'nobody'")
        await outside.execute("select pg_reload_conf()")
        yield outside
    finally:
        await outside.execute("alter system reset synchronous_standby_names")
        await outside.execute("select pg_reload_conf()")
        await outside.close()


WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


@pytest.mark.parametrize("end", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_that_no_standby_has_confirmed_is_not_acknowledged(
    serving: Serving, dsn: str, postgres: Postgres, end: str
) -> None:
    """PostgreSQL says COMMIT then, and only warns."""
    [cluster] = (await serving()).clusters
    async with asyncio.timeout(60), without_its_standby(postgres, dsn) as outside:
        number = 0
        answer: object = STORED
        while answer == STORED:  # until the server has read its settings again
            number += 1
            writing = cluster.write([put(f"key-{number}", value())])
            while not writing.done() and (pid := await outside.fetchval(WAITING)) is None:
                await asyncio.sleep(0.01)
            if not writing.done():
                await outside.execute(f"select {end}($1)", pid)
            [answer] = await writing
    assert isinstance(answer, Failed)
    assert "the commit failed" in answer.detail
    await until_it_stores(cluster, "later")
    [held] = await cluster.read([get(f"key-{number}")])
    assert isinstance(held, bytes), "it was committed after all, and nobody was told"


async def test_a_server_that_takes_no_writes_any_more_is_away_until_it_does(
    serving: Serving, postgres: Postgres
) -> None:
    """As one that has become a standby, to the connections that it has and to new ones."""
    [cluster] = (await serving()).clusters
    await until_it_stores(cluster, "before")
    postgres.sql("alter system set default_transaction_read_only = on")
    try:
        postgres.sql("select pg_reload_conf()")
        answer: object = STORED
        async with asyncio.timeout(60):
            while "no server of this address takes writes" not in str(answer):
                [answer] = await cluster.write([put("key", value())])
                if isinstance(answer, Failed):
                    assert answer.reason is Reason.UNREACHABLE
                await asyncio.sleep(0.01)
    finally:
        postgres.sql("alter system reset default_transaction_read_only")
        postgres.sql("select pg_reload_conf()")
    await until_it_stores(cluster, "after")


@pytest.mark.parametrize("first", ["read", "write"])
async def test_an_old_copy_is_not_served_and_is_behind_its_mirror(
    serving: Serving, dsn: str, postgres: Postgres, first: str
) -> None:
    store = await serving()
    [cluster] = store.clusters
    backup = postgres.file("backup")
    assert await cluster.write([put("old", value())]) == [STORED]
    postgres.dump(dsn, backup)
    assert await cluster.write([put("new", value())]) == [STORED]
    mirror = await cluster.life()
    postgres.restore(dsn, backup)
    reading, writing = (
        partial(cluster.read, [get("new")]),
        partial(cluster.write, [put("x", value())]),
    )
    for ask in (reading, writing) if first == "read" else (writing, reading):
        [answer] = await ask()
        assert isinstance(answer, Failed)
        assert "but 2 was acknowledged" in answer.detail
    assert "an old copy took its place" in store.store.failure()

    [restarted] = (await serving()).clusters
    life = await restarted.life()
    assert is_behind(life, mirror)
    assert life.opening != mirror.opening
    renewal = Renewal(mirror.name, mirror.named, mirror)
    assert await restarted.renew(renewal) is Removal.OTHER_INCARNATION
    found = await restarted.read([get("old"), get("new")])
    assert [isinstance(answer, bytes) for answer in found] == [True, False]
