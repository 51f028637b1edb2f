"""What stands still without a word: the database, or another KVSP inside its transaction."""

import asyncio

import asyncpg
import pytest

from kvsp.postgres.errors import FAILURES
from tandem.core.removal import Renewal, Span
from tandem.core.reply import Failed, Reason
from tandem.core.version import Version
from tandem.wire.scan_codec import Scan
from tests.kvsp.postgres.conftest import Serving, until_it_reads, until_it_stores
from tests.kvsp.records import NAMESPACE, START_US, get, put, value, write_large
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.usefixtures("impatient")
BEGIN = "begin; update tandem.meta set commits = commits + 1"

END_WHO_WAITS = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'kvsp' and wait_event_type = 'Lock'
"""


async def test_everything_that_is_asked_of_a_server_that_stands_still_is_answered(
    serving: Serving, postgres: Postgres
) -> None:
    store, closing = await serving(), await serving()
    [cluster] = store.clusters
    await until_it_stores(cluster, "before")
    life = await cluster.life()
    with postgres.frozen():
        async with asyncio.timeout(60):
            answers = await asyncio.gather(
                cluster.write([put("key", value())]),
                cluster.read([get("before")]),
                cluster.read([get("before")]),
                cluster.scan(Scan(NAMESPACE, b"", b"", 10)),
                write_large(cluster, put("large", value(b"x" * 200_000))),
                cluster.raise_floor(life.named, Span(NAMESPACE), Version.at(START_US)),
                cluster.renew(Renewal(life.name, life.named, life)),
                cluster.purge_namespace(NAMESPACE, 10),
                *(cluster.scan(Scan(NAMESPACE, b"", b"", 10)) for _ in range(100)),
            )
            await closing.aclose()
        told = [answer[0] if isinstance(answer, list) else answer for answer in answers]
        assert {answer.reason for answer in told if isinstance(answer, Failed)} == {
            Reason.UNREACHABLE
        }
        assert all(isinstance(answer, Failed) for answer in told)
        assert "unreachable" in store.store.failure()
    await until_it_stores(cluster, "after")
    await until_it_reads(cluster, "before")


async def test_who_waits_for_another_transaction_is_answered_and_reads_go_on(
    serving: Serving, dsn: str
) -> None:
    [cluster] = (await serving()).clusters
    await until_it_stores(cluster, "before")
    outside = await asyncpg.connect(dsn)
    try:
        await outside.execute(BEGIN)
        told: object = None
        async with asyncio.timeout(60):
            while "lock timeout" not in str(told):
                [told] = await cluster.write([put("held", value())])
                assert isinstance(told, Failed)
                assert "nothing was written" in told.detail
        await until_it_reads(cluster, "before")
    finally:
        await outside.close()
    await until_it_stores(cluster, "held")


async def test_a_kvsp_that_stands_still_in_its_transaction_holds_up_the_others_for_a_while_only(
    serving: Serving,
) -> None:
    [still], [other] = (await serving()).clusters, (await serving()).clusters
    async with still._reach.writing.one() as connection:
        await connection.execute(BEGIN)
        await until_it_stores(other, "after")
        with pytest.raises(FAILURES):
            await connection.execute("commit")
    await until_it_stores(still, "again")
    await until_it_reads(other, "after", "again")


async def test_a_kvsp_whose_transaction_was_ended_never_acknowledges_what_was_in_it(
    serving: Serving, dsn: str
) -> None:
    [cluster] = (await serving()).clusters
    await until_it_stores(cluster, "before")
    outside = await asyncpg.connect(dsn)
    try:
        await outside.execute("begin; lock table tandem.record in share mode")
        writing = cluster.write([put("key", value())])
        async with asyncio.timeout(60):
            while not writing.done() and not await outside.fetch(END_WHO_WAITS):
                await asyncio.sleep(0.01)
            [answer] = await writing
    finally:
        await outside.close()
    assert isinstance(answer, Failed)
    [found] = await cluster.read([get("key")])
    assert not isinstance(found, bytes)
    await until_it_stores(cluster, "key")
