"""Several KVSPs over the same databases: none of them knows what another one may have changed."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from kvsp.answers import Absent
from kvsp.postgres import connecting
from kvsp.postgres.cluster import PostgresCluster
from kvsp.postgres.deleted import DeletedNamespaces
from kvsp.rules import UNUSED_BLOB_LIFE_US
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.removal import (
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    Span,
)
from tandem.core.reply import Failed, Reason, Refusal, Refused, Stored, Superseded
from tandem.core.version import Version
from tandem.wire.storage_codec import Put
from tests.kvsp.postgres.conftest import Serving
from tests.kvsp.records import (
    NAMESPACE,
    START_US,
    SetClock,
    get,
    put,
    tombstone,
    value,
    write_large,
)
from tests.kvsp.serving import open_postgres_store
from tests.servers.postgres import Postgres

STORED = Stored(0)
WAITING = "select count(*) from pg_locks where not granted"


async def two(serving: Serving) -> list[PostgresCluster]:
    return [(await serving()).clusters[0] for _ in range(2)]


async def test_the_newest_of_all_wins_and_nobody_waits_for_ever(serving: Serving) -> None:
    clusters = await two(serving)
    names = [f"key-{n}" for n in range(5)]

    def puts(cluster: int, turn: int) -> Sequence[Put]:
        """In opposite orders, which would deadlock if rows were locked as they come."""
        at_us = START_US + (turn * 7919) % 100 * 2 + cluster
        ordered = names if cluster else names[::-1]
        return [put(name, value(f"{cluster} {turn}".encode(), at_us)) for name in ordered]

    groups = [(cluster, puts(cluster, turn)) for turn in range(100) for cluster in range(2)]
    answers = [
        answer
        for part in await asyncio.gather(*(clusters[at].write(group) for at, group in groups))
        for answer in part
    ]
    assert {type(answer) for answer in answers} == {Stored, Superseded}
    newest = max((one for _, group in groups for one in group), key=lambda one: one.record.version)
    for cluster in clusters:
        assert await cluster.read([get(name) for name in names]) == [newest.record.envelope] * 5
    [first, second] = [(await cluster.life()).commits for cluster in clusters]
    assert first == second


async def test_what_one_has_acknowledged_the_other_reads(serving: Serving) -> None:
    one, other = await two(serving)
    for turn in range(20):
        record = value(at_us=START_US + turn)
        assert await one.write([put("key", record)]) == [STORED]
        assert await other.read([get("key")]) == [record.envelope]
        one, other = other, one


async def test_a_floor_that_one_has_raised_holds_for_both(serving: Serving) -> None:
    one, other = await two(serving)
    floor = Version.at(START_US)
    assert await other.read([get("key")]) == [Absent(Version(bytes(16)))]
    life = await other.life()
    assert await one.raise_floor(life.named, Span(NAMESPACE), floor) is FloorReply.RAISED
    assert await other.write([put("key", value())]) == [Refused(Refusal.FLOOR, 0)]
    assert await other.read([get("key")]) == [Absent(floor)]
    assert (await other.life()).floors_of(NAMESPACE).of(b"key") == floor


async def test_evidence_from_one_is_good_for_the_other_until_a_new_life(serving: Serving) -> None:
    one, other = await two(serving)
    gone = tombstone(START_US - 1)
    await one.write([put("a", gone), put("b", gone)])
    old = await one.life()
    rows = {name: PurgeRow(name.encode(), gone.version, gone.digest) for name in ("a", "b")}
    await other.raise_floor(old.named, Span(NAMESPACE), Version.at(START_US))
    assert await other.purge(old.named, NAMESPACE, [rows["a"]]) == [Removal.DONE]
    assert await one.purge(old.named, NAMESPACE, [rows["a"]]) == [Removal.ABSENT]
    assert isinstance(await one.renew(Renewal(old.name, old.named, old)), Renewed)
    assert await other.purge(old.named, NAMESPACE, [rows["b"]]) == [Removal.OTHER_INCARNATION]
    assert (await other.life()).incarnation == (await one.life()).incarnation != old.incarnation


async def test_a_cluster_that_cannot_be_told_of_a_deletion_holds_up_no_writes_and_is_told_later(
    postgres: Postgres, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvsp.postgres.cluster._WATCH_EVERY_S", 0.01)
    monkeypatch.setattr("kvsp.postgres.cluster._WATCHES_UNTIL_TOLD", 1)
    for name in ("ANSWER_S", "LOCK_S"):
        monkeypatch.setattr(connecting, name, 3600.0)
    dsns = postgres.empty_databases(2)
    store = await open_postgres_store(dsns, clock)
    record = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
    silent = await asyncpg.connect(dsns[1])
    async with silent.transaction():
        await silent.execute("lock table tandem.deleted_namespace in access exclusive mode")
        async with asyncio.timeout(60):
            assert await store.clusters[0].write([record]) == [STORED]
            assert await store.clusters[0].write([put("key", value(), namespace="cd" * 16)]) == [
                STORED
            ]
    await silent.close()
    refused = [Refused(Refusal.DELETED_NAMESPACE, 0)]
    async with asyncio.timeout(60):
        while await store.clusters[1].write([put("key", value())]) != refused:
            await asyncio.sleep(0.01)
    await store.aclose()


class Told:
    """A cluster that hears of deleted namespaces, and cannot take in what it hears at first."""

    def __init__(self, misses: int = 0) -> None:
        self.heard: list[list[str]] = []
        self._misses = misses

    async def refuse(self, namespaces: Sequence[str]) -> Failed | None:
        self.heard.append([*namespaces])
        return Failed(Reason.UNREACHABLE) if len(self.heard) <= self._misses else None


async def test_a_cluster_that_cannot_be_told_is_told_with_the_next() -> None:
    away, there = Told(misses=1), Told()
    deleted = DeletedNamespaces([away, there])
    for namespaces in (["one"], ["one", "two"], ["two"]):
        await deleted.tell(namespaces)
    assert away.heard == there.heard == [["one"], ["one", "two"]]


async def test_a_deleted_namespace_is_refused_by_every_cluster_of_every_kvsp(
    postgres: Postgres, clock: SetClock
) -> None:
    dsns = postgres.empty_databases(2)
    one, other = [await open_postgres_store(dsns, clock) for _ in range(2)]
    try:
        puts = [put(f"key-{n}", value()) for n in range(20)]
        for _, answers in other.store.write(puts):
            assert set(await answers) == {STORED}
        record = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
        [(_, deleted)] = one.store.write([record])
        assert await deleted == [STORED]
        parts = other.store.write(puts)
        assert len(parts) == 2
        for _, answers in parts:
            assert set(await answers) == {Refused(Refusal.DELETED_NAMESPACE, 0)}
        assert await other.store.purge_namespace(NAMESPACE, 100) == NamespacePurge(20, more=False)
    finally:
        await one.aclose()
        await other.aclose()


async def test_who_missed_a_deletion_is_told_at_the_next_start(
    postgres: Postgres, clock: SetClock
) -> None:
    dsns = postgres.empty_databases(2)
    first = await open_postgres_store(dsns, clock)
    record = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
    [(_, deleted)] = first.store.write([record])
    await deleted
    await first.aclose()
    owner = first.store._owner(record.without_envelope())
    missed = next(n for n, cluster in enumerate(first.clusters) if cluster is not owner)
    postgres.sql("delete from tandem.deleted_namespace", dsns[missed])
    second = await open_postgres_store(dsns, clock)
    try:
        refused = Refused(Refusal.DELETED_NAMESPACE, 0)
        assert await second.clusters[missed].write([put("key", value())]) == [refused]
    finally:
        await second.aclose()


async def test_one_at_a_time_collects_blobs(serving: Serving, dsn: str, clock: SetClock) -> None:
    one, other = await two(serving)
    assert await write_large(one, put("key", value(b"x" * 200_000))) == STORED
    assert await one.write([put("key", value(at_us=START_US + 1))]) == [STORED]
    await other.large.collect()
    clock.time_us += UNUSED_BLOB_LIFE_US
    outside = await asyncpg.connect(dsn)
    try:
        async with outside.transaction():
            await outside.execute("select pg_advisory_xact_lock(1414223444)")
            await one.large.collect()
            assert await outside.fetchval("select count(*) from tandem.blob_piece") > 0
        await asyncio.gather(one.large.collect(), other.large.collect())
        await one.large.collect()
        assert await outside.fetchval("select count(*) from tandem.blob_piece") == 0
    finally:
        await outside.close()


async def test_a_write_that_waited_for_its_turn_is_judged_by_the_time_of_its_turn(
    serving: Serving, dsn: str, clock: SetClock
) -> None:
    """Else it could land long after the tombstone that it lost to is collected."""
    [cluster] = (await serving()).clusters
    outside = await asyncpg.connect(dsn)
    try:
        async with outside.transaction():
            await outside.execute("update tandem.meta set commits = commits")
            writing = cluster.write([put("key", value())])
            async with asyncio.timeout(60):
                while not await outside.fetchval(WAITING):
                    await asyncio.sleep(0.01)
            clock.time_us += int(LEG_DEADLINE_S * 1_000_000) + 1
        assert await writing == [Refused(Refusal.LATE, 0)]
    finally:
        await outside.close()


async def test_a_full_transaction_meets_what_is_there_however_many_keys_it_has(
    serving: Serving,
) -> None:
    [cluster] = (await serving()).clusters
    names = [f"key-{number}" for number in range(2_500)]
    every_third = [put(name, value(at_us=START_US + 1)) for name in names[::3]]
    assert set(await cluster.write(every_third)) == {STORED}
    answers = await cluster.write([put(name, value()) for name in names])
    assert [isinstance(answer, Superseded) for answer in answers] == [
        number % 3 == 0 for number in range(2_500)
    ]


@pytest.mark.parametrize("kvsps", [2, 3])
async def test_first_starts_may_race(serving: Serving, kvsps: int) -> None:
    stores = await asyncio.gather(*(serving() for _ in range(kvsps)))
    lives = {(await store.clusters[0].life()).incarnation for store in stores}
    assert len(lives) == 1
