"""Going for good inside a cluster: in one transaction, durable, or not at all."""

import asyncio
from dataclasses import replace
from itertools import starmap
from pathlib import Path

import pytest

from kvsp.answers import Absent, InBlob
from kvsp.cluster import Cluster
from tandem.core.cluster_life import ClusterLife, life_of
from tandem.core.floors import RANGES_MAX, RangeFloors
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE
from tandem.core.record import Record
from tandem.core.removal import (
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
    Span,
)
from tandem.core.reply import Failed, Refusal, Refused, Stored
from tandem.core.version import NO_VERSION, Version
from tests.kvsp.conftest import Opening
from tests.kvsp.engines import Engine
from tests.kvsp.records import (
    HOUR_US,
    NAMESPACE,
    START_US,
    SetClock,
    get,
    put,
    tombstone,
    value,
    write_large,
)
from tests.kvsp.test_writes import sql

LARGE = b"x" * 200_000
FLOOR = Version.at(START_US)


def row(name: str, record: Record) -> PurgeRow:
    return PurgeRow(name.encode(), record.version, record.digest)


async def raised(cluster: Cluster, floor: Version = FLOOR, start: str = "", end: str = "") -> None:
    span = Span(NAMESPACE, start, end)
    assert await cluster.raise_floor((await cluster.life()).named, span, floor) is FloorReply.RAISED


async def purged(cluster: Cluster, *rows: PurgeRow) -> list[Removal | Failed]:
    return list(await cluster.purge((await cluster.life()).named, NAMESPACE, rows))


async def renewed(cluster: Cluster, past: ClusterLife | None = None) -> Renewed:
    life = await cluster.life()
    outcome = await cluster.renew(Renewal(life.name, life.named, past or life))
    assert isinstance(outcome, Renewed)
    return outcome


async def only(opening: Opening) -> Cluster:
    return (await opening()).clusters[0]


async def test_every_name_has_the_floor_of_its_range(engine: Engine) -> None:
    """For reads that miss, for inserts, and for what may go."""
    cluster = await engine.only()
    ranges = [("", "", 10), ("f", "m", 20), ("q", "r", 30)]
    for start, end, above in ranges:
        await raised(cluster, Version.at(START_US + above), start, end)
    expected = {"a": 10, "ez": 10, "f": 20, "lz": 20, "m": 10, "q": 30, "qz": 30, "r": 10, "z": 10}
    misses = [Absent(Version.at(START_US + above)) for above in expected.values()]
    assert await cluster.read([get(name) for name in expected]) == misses
    at_floor = [put(name, tombstone(START_US + above)) for name, above in expected.items()]
    assert await cluster.write(at_floor) == [Refused(Refusal.FLOOR, 0)] * len(expected)
    dead = {name: tombstone(START_US + above + 1) for name, above in expected.items()}
    assert await cluster.write(list(starmap(put, dead.items()))) == [Stored(0)] * len(expected)
    rows = list(starmap(row, dead.items()))
    assert await purged(cluster, *rows) == [Removal.ABOVE_FLOOR] * len(expected)
    for start, end, above in ranges:
        await raised(cluster, Version.at(START_US + above + 1), start, end)
    gone = await purged(cluster, *rows, rows[0])
    assert gone == [*[Removal.DONE] * len(expected), Removal.ABSENT]


async def test_a_transaction_sees_the_floor_that_it_has_raised(engine: Engine) -> None:
    cluster = await engine.only()
    raising = asyncio.ensure_future(
        cluster.raise_floor((await cluster.life()).named, Span(NAMESPACE), FLOOR)
    )
    await asyncio.sleep(0)
    writing = cluster.write([put("a", value(at_us=START_US - 1))])
    assert await raising is FloorReply.RAISED
    assert await writing == [Refused(Refusal.FLOOR, 0)]


async def test_a_floor_that_is_not_committed_is_none(opening: Opening, tmp_path: Path) -> None:
    cluster = await only(opening)
    await raised(cluster, Version.at(START_US - 100), "m")
    sql(tmp_path, "create trigger full before update on meta begin select raise(abort, 'x'); end")
    span = Span(NAMESPACE, "a")
    failed = await cluster.raise_floor((await cluster.life()).named, span, FLOOR)
    assert isinstance(failed, Failed)
    assert "nothing was written" in str(failed)
    sql(tmp_path, "drop trigger full")
    assert await cluster.read([get("b")]) == [Absent(NO_VERSION)]
    assert await cluster.write([put("b", value(at_us=START_US - 1))]) == [Stored(0)]
    assert (await cluster.life()).floors_of(NAMESPACE).of(b"n") == Version.at(START_US - 100)


async def test_floors_are_the_same_after_a_restart(engine: Engine) -> None:
    store = await engine.open()
    for start, floor in (("m", START_US - 5), ("", START_US - 9), ("q", START_US)):
        await raised(store.clusters[0], Version.at(floor), start)
    before = await store.clusters[0].life()
    await store.aclose()
    after = await (await engine.only()).life()
    assert after.floors == before.floors
    assert after.incarnation == before.incarnation
    assert after.commits >= before.commits


async def test_what_was_named_before_a_restart_is_refused(opening: Opening) -> None:
    store = await opening()
    gone = tombstone(START_US - 1)
    await store.clusters[0].write([put("key", gone)])
    await raised(store.clusters[0])
    old = await store.clusters[0].life()
    await store.aclose()
    cluster = await only(opening)
    assert (await cluster.life()).opening != old.opening
    other = FloorReply.OTHER_INCARNATION
    assert await cluster.raise_floor(old.named, Span(NAMESPACE), FLOOR) is other
    [outcome] = await cluster.purge(old.named, NAMESPACE, [row("key", gone)])
    assert outcome is Removal.OTHER_INCARNATION
    renewal = Renewal(old.name, old.named, old)
    assert await cluster.renew(renewal) is Removal.OTHER_INCARNATION
    assert await purged(cluster, row("key", gone)) == [Removal.DONE]


async def test_more_ranges_than_are_allowed_are_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RANGES_MAX >= 100_000
    monkeypatch.setattr("kvsp.rules.RANGES_MAX", 3)
    cluster = await engine.only()
    for start in "abc":
        await raised(cluster, FLOOR, start)
    span = Span("cd" * 16)
    reply = await cluster.raise_floor((await cluster.life()).named, span, FLOOR)
    assert reply is FloorReply.TOO_MANY_RANGES
    await raised(cluster, Version.at(START_US + 1), "b")


async def test_a_purged_large_value_leaves_its_blob_to_the_collector(
    engine: Engine, clock: SetClock
) -> None:
    cluster = await engine.only()
    large = value(LARGE, expires_at_s=1)
    assert await write_large(cluster, put("large", large)) == Stored(0)
    await raised(cluster)
    assert await purged(cluster, row("large", large)) == [Removal.DONE]
    await cluster.large.collect()
    assert await engine.blobs(), "a reader may hold its name"
    clock.time_us += HOUR_US + 1
    await cluster.large.collect()
    assert not await engine.blobs()
    assert not await engine.sql("select * from blob_retired"), "it would be collected for ever"


async def test_a_row_without_its_blob_has_no_floor(engine: Engine) -> None:
    """Else a value whose blob was lost would count as deleted, and be swept from S3."""
    cluster = await engine.only()
    large = value(LARGE)
    await write_large(cluster, put("large", large))
    await raised(cluster)
    await engine.lose_blobs()
    [found] = await cluster.read([get("large")])
    assert isinstance(found, InBlob)
    assert await cluster.large.load(found) == Absent(NO_VERSION)
    again = put("large", large, read_at_us=START_US)
    assert await write_large(cluster, again) == Stored(0), "the floor refuses to bring it back"
    [found] = await cluster.read([get("large")])
    assert isinstance(found, InBlob)
    assert await cluster.large.load(found) == large.envelope


async def test_a_new_life_drops_what_lay_below_the_floors_of_its_past(engine: Engine) -> None:
    store = await engine.open()
    cluster = store.clusters[0]
    names = ["a", "f", "m", "z"]
    await cluster.write([put(name, value(at_us=START_US - 10)) for name in names])
    await cluster.write([put("g", value(at_us=START_US))])
    await raised(cluster, Version.at(START_US - 20), "f", "h")
    await raised(cluster, FLOOR, "x", "y")
    past = RangeFloors([(b"f", Version.at(START_US - 10)), (b"m", NO_VERSION)])
    known = ClusterLife(cluster.name, "7-known", 99, {NAMESPACE: past})
    assert (await renewed(cluster, known)).rows_removed == 1
    assert life_of((await cluster.life()).incarnation) == 8
    [a, f, g, m, z] = await cluster.read([get(name) for name in ["a", "f", "g", "m", "z"]])
    assert f == Absent(NO_VERSION)
    assert all(isinstance(one, bytes) for one in (a, g, m, z))
    before = await cluster.life()
    await store.aclose()
    again = await (await engine.only()).life()
    assert (again.incarnation, again.floors) == (before.incarnation, before.floors)
    held = again.floors_of(NAMESPACE)
    assert [held.of(name) for name in (b"f", b"x", b"y")] == [NO_VERSION, FLOOR, NO_VERSION]


async def test_a_new_life_retires_the_blobs_that_it_drops(engine: Engine, clock: SetClock) -> None:
    cluster = await engine.only()
    await write_large(cluster, put("large", value(LARGE)))
    known = {NAMESPACE: RangeFloors([(b"", FLOOR)])}
    await renewed(cluster, replace(await cluster.life(), floors=known))
    await cluster.large.collect()
    clock.time_us += HOUR_US + 1
    await cluster.large.collect()
    assert not await engine.blobs()


@pytest.mark.parametrize("turns", range(4))
async def test_a_renewal_whose_caller_has_gone_counts(engine: Engine, turns: int) -> None:
    cluster = await engine.only()
    before = await cluster.life()
    asking = asyncio.ensure_future(cluster.renew(Renewal(cluster.name, before.named, before)))
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await cluster.write([put("a", value())])
    life = await cluster.life()
    assert (life.incarnation != before.incarnation) == (turns > 0)
    await raised(cluster)
    assert life_of((await renewed(cluster)).incarnation) == life_of(life.incarnation) + 1


async def test_two_renewals_of_one_life_begin_one(engine: Engine) -> None:
    cluster = await engine.only()
    life = await cluster.life()
    renewal = Renewal(cluster.name, life.named, life)
    outcomes = await asyncio.gather(*(cluster.renew(renewal) for _ in range(3)))
    assert [isinstance(one, Renewed) for one in outcomes].count(True) == 1
    assert outcomes.count(Removal.OTHER_INCARNATION) == 2


async def test_rows_of_a_namespace_go_only_once_it_is_deleted(engine: Engine) -> None:
    cluster = await engine.only()
    await cluster.write([put(f"k{n}", value()) for n in range(5)])
    assert await cluster.purge_namespace(NAMESPACE, 10) is Removal.LIVE
    record = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
    await cluster.write([record])
    steps = [await cluster.purge_namespace(NAMESPACE, 2) for _ in range(4)]
    assert steps == [
        NamespacePurge(2, more=True), NamespacePurge(2, more=True),
        NamespacePurge(1, more=False), NamespacePurge(0, more=False),
    ]  # fmt: skip
    refused = Refused(Refusal.DELETED_NAMESPACE, 0)
    assert await cluster.write([put("k0", value(at_us=START_US + 1))]) == [refused]


async def test_a_closing_cluster_answers_all_of_it(engine: Engine) -> None:
    store = await engine.open()
    cluster = store.clusters[0]
    life = await cluster.life()
    await store.aclose()
    assert isinstance(await cluster.raise_floor(life.named, Span(NAMESPACE), FLOOR), Failed)
    [outcome] = await cluster.purge(life.named, NAMESPACE, [row("a", tombstone())])
    assert isinstance(outcome, Failed)
    assert isinstance(await cluster.renew(Renewal(life.name, life.named, life)), Failed)
    assert (await cluster.life()).failure


async def test_rows_of_many_clusters_are_answered_in_order(engine: Engine) -> None:
    store = await engine.open(4)
    names = [f"key {n}" for n in range(40)]
    records = [tombstone(START_US - n) for n in range(40)]
    for _, answers in store.store.write(list(map(put, names, records))):
        await answers
    named = {life.name: life.named for life in await store.store.lives()}
    for cluster in store.clusters[1:]:
        await raised(cluster)
    del named[store.clusters[3].name]
    rows = list(map(row, names, records))
    outcomes = await store.store.purge(RowPurge(NAMESPACE, rows, named))
    assert set(outcomes) == {Removal.DONE, Removal.ABOVE_FLOOR, Removal.OTHER_INCARNATION}
    for name, outcome in zip(names, outcomes, strict=True):
        [(_, reading)] = store.store.read([get(name)])
        [left] = await reading
        assert isinstance(left, Absent) == (outcome is Removal.DONE)
