"""What one cluster answers to writes: newest wins, floors, lateness, deleted namespaces, bounds."""

import sqlite3
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from kvsp.answers import Absent
from kvsp.limits import ClusterLimits
from kvsp.sqlite.thread import connect
from kvsp.store import Store
from tandem.backends.sqlite_thread import on_thread
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.limits import CLOCK_SKEW_MAX_US, HEAL_AGE_MAX_S, LEG_DEADLINE_S
from tandem.core.removal import Span
from tandem.core.reply import Failed, Reason, Refusal, Refused, Stored, Superseded, WriteReply
from tandem.core.version import Version
from tests.kvsp.engines import Engine
from tests.kvsp.records import NAMESPACE, START_US, get, put, tombstone, value

STORED = Stored(0)


def sql(path: Path, *statements: str, cluster: int = 0) -> list[tuple[object, ...]]:
    """Runs statements on a cluster's file from outside; returns the rows of the last one."""
    with closing(sqlite3.connect(path / f"cluster-{cluster}.sqlite")) as connection, connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


async def test_on_thread_gives_the_connection_on_its_own_thread(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch()
    connection = await connect(tmp_path / "a.sqlite", lambda _: None)

    def transaction(inner: sqlite3.Connection) -> list[tuple[int]]:
        inner.execute("begin")
        inner.execute("create table t (n)")
        inner.executemany("insert into t values (?)", [(1,), (2,)])
        inner.execute("commit")
        rows: list[tuple[int]] = inner.execute("select n from t").fetchall()
        return rows

    def failing(inner: sqlite3.Connection) -> None:
        inner.execute("select * from nothing")

    assert isinstance(connection, aiosqlite.Connection)
    assert await on_thread(connection, transaction) == [(1,), (2,)]
    with pytest.raises(sqlite3.OperationalError):
        await on_thread(connection, failing)
    await connection.close()


async def test_all_that_waits_is_one_transaction(engine: Engine) -> None:
    store = await engine.open()
    [cluster] = store.clusters
    first = cluster.write([put("opens the line", value())])
    waiting = [cluster.write([put(f"key-{n}-{m}", value()) for m in range(3)]) for n in range(50)]
    assert await first == [STORED]
    assert [await answers for answers in waiting] == [[STORED] * 3] * 50
    assert (await cluster.life()).commits <= 2
    assert await engine.sql("select count(*) from record") == [(151,)]


async def test_a_row_that_fails_fails_alone(engine: Engine) -> None:
    store = await engine.open()
    [cluster] = store.clusters
    beyond_sql = value(expires_at_s=2**63)
    answers = await cluster.write(
        [put("before", value()), put("bad", beyond_sql), put("after", value())]
    )
    assert [answers[0], answers[2]] == [STORED, STORED]
    assert isinstance(answers[1], Failed)
    found = await cluster.read([get("before"), get("bad"), get("after")])
    assert [isinstance(answer, bytes) for answer in found] == [True, False, True]


async def test_old_and_new_rows_in_one_statement_each_have_their_answer(engine: Engine) -> None:
    store = await engine.open()
    [cluster] = store.clusters
    held = put("held", value(at_us=START_US + 9))
    assert await cluster.write([held]) == [STORED]
    newer, older = put("twice", value(at_us=START_US + 2)), put("twice", value(at_us=START_US + 1))
    plain = [put(f"plain-{n}", value()) for n in range(100)]
    late = put("late", value(at_us=START_US - int(LEG_DEADLINE_S * 1e6) - 1))
    answers = await cluster.write([*plain, newer, older, put("held", value()), held, late])
    assert answers == [
        *[STORED] * 101,
        Superseded(newer.record.version, 0),
        Superseded(held.record.version, 0),
        STORED,
        Refused(Refusal.LATE, 0),
    ]
    assert await cluster.read([get("twice")]) == [newer.record.envelope]


async def test_a_floor_refuses_inserts_but_no_updates(engine: Engine) -> None:
    floor = Version.at(START_US - 1_000)
    below, above = value(at_us=START_US - 2_000), value(at_us=START_US)
    store = await engine.open()
    cluster = store.clusters[0]
    old = value(at_us=START_US - 5_000)
    await cluster.write([put("mm-held", old), put("mm-new", old, namespace="cd" * 16)])
    await cluster.raise_floor((await cluster.life()).named, Span(NAMESPACE, "m"), floor)
    await store.aclose()
    cluster = await engine.only()

    refused = Refused(Refusal.FLOOR, 0)
    assert await cluster.write(
        [put("mm-new", below), put("mm-held", below), put("a", below), put("mm-new", above)]
    ) == [refused, STORED, STORED, STORED]
    at_floor = value(at_us=START_US - 1_000)
    assert await cluster.write([put("n", at_floor)]) == [refused]
    assert await cluster.read([get("nothing"), get("a nothing")]) == [
        Absent(floor), Absent(Version(bytes(16))),
    ]  # fmt: skip


LATE_LEG_US = int(LEG_DEADLINE_S * 1e6)
LATE_HEAL_US = int(HEAL_AGE_MAX_S * 1e6)


@pytest.mark.parametrize(
    ("age_us", "read_ago_us", "answer"),
    [
        (LATE_LEG_US, None, STORED),
        (LATE_LEG_US + 1, None, Refused(Refusal.LATE, 0)),
        (LATE_LEG_US + 1, LATE_HEAL_US, STORED),
        (0, LATE_HEAL_US + 1, Refused(Refusal.LATE, 0)),
        (-CLOCK_SKEW_MAX_US, None, STORED),
        (-CLOCK_SKEW_MAX_US - 1, None, Refused(Refusal.FUTURE, 0)),
        (-CLOCK_SKEW_MAX_US - 1, 0, Refused(Refusal.FUTURE, 0)),
    ],
)
async def test_lateness_goes_by_kvsps_own_clock(
    engine: Engine, age_us: int, read_ago_us: int | None, answer: object
) -> None:
    cluster = await engine.only()
    record = value(at_us=START_US - age_us)
    read_at_us = 0 if read_ago_us is None else START_US - read_ago_us
    assert await cluster.write([put("key", record, read_at_us=read_at_us)]) == [answer]
    [found] = await cluster.read([get("key")])
    assert isinstance(found, bytes) == (answer == STORED)


DAMAGE = ("envelope = digest", "metadata = digest", "expires_at_s = 9", "kind = 2", "kind = 999",
          "size = 0")  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_corrupt_copy_is_replaced_by_the_same_version(engine: Engine, damage: str) -> None:
    cluster = await engine.only()
    record = value(b"right")
    await cluster.write([put("key", record)])
    await engine.sql(f"update record set {damage}")
    [found] = await cluster.read([get("key")])
    assert isinstance(found, Failed)
    assert found.reason is Reason.CORRUPT
    assert await cluster.write([put("key", record)]) == [STORED]
    assert await cluster.read([get("key")]) == [found]
    assert await cluster.write([put("key", record, over_corrupt=True)]) == [STORED]
    assert await cluster.read([get("key")]) == [record.envelope]
    older = value(at_us=START_US - 1)
    assert await cluster.write([put("key", older, over_corrupt=True)]) == [
        Superseded(record.version, 0)
    ]


async def test_a_deleted_namespace_is_refused_by_all_clusters_for_ever(engine: Engine) -> None:
    gone = "cd" * 16
    puts = [put(f"key-{n}", value(), namespace=gone) for n in range(20)]

    async def answers(store: Store) -> set[WriteReply]:
        parts = store.write(puts)
        assert len(parts) == 4
        return {answer for _, written in parts for answer in await written}

    first = await engine.open(4)
    assert await answers(first.store) == {STORED}
    record = put(f"ns/{gone}", tombstone(), namespace=SYSTEM_NAMESPACE)
    [(_, deleted)] = first.store.write([record])
    assert await deleted == [STORED]
    assert await answers(first.store) == {Refused(Refusal.DELETED_NAMESPACE, 0)}
    [(_, other)] = first.store.write([put("key", value())])
    assert await other == [STORED]
    await first.aclose()
    assert await answers((await engine.open(4)).store) == {Refused(Refusal.DELETED_NAMESPACE, 0)}


async def test_namespaces_that_are_deleted_in_one_group_are_refused_each(engine: Engine) -> None:
    """They must not pass with the plain rows of a group, of which nothing is noted."""
    store = await engine.open()
    gone = ["cd" * 16, "ef" * 16]
    ends = [put(f"ns/{one}", tombstone(), namespace=SYSTEM_NAMESPACE) for one in gone]
    [cluster] = store.clusters
    assert await cluster.write([*ends, put("key", value())]) == [STORED] * 3
    late = [put("key", value(), namespace=one) for one in gone]
    assert await cluster.write(late) == [Refused(Refusal.DELETED_NAMESPACE, 0)] * 2
    assert await cluster.write([put("other", value())]) == [STORED]


async def test_a_line_at_its_bound_is_refused(engine: Engine) -> None:
    store = await engine.open(limits=ClusterLimits(writes_waiting_max=2, reads_waiting_max=1))
    [cluster] = store.clusters
    answers = [cluster.write([put(f"key-{n}", value())]) for n in range(3)]
    assert await answers[0] == await answers[1] == [STORED]
    [refused] = await answers[2]
    assert isinstance(refused, Failed)
    assert refused.reason is Reason.OVERLOADED
    reads = [cluster.read([get("a")]), cluster.read([get("b")])]
    await reads[0]
    [too_many] = await reads[1]
    assert isinstance(too_many, Failed)
    assert too_many.reason is Reason.OVERLOADED


async def test_a_group_longer_than_the_line_is_taken_where_nothing_waits(engine: Engine) -> None:
    store = await engine.open(limits=ClusterLimits(writes_waiting_max=2, reads_waiting_max=1))
    [cluster] = store.clusters
    group = [put(f"key-{n}", value()) for n in range(3)]
    assert await cluster.write(group) == [STORED] * 3
    assert await cluster.read([get(f"key-{n}") for n in range(3)]) == [value().envelope] * 3
    first, second = cluster.write(group[:1]), cluster.write(group)
    assert await first == [STORED]
    assert {type(answer) for answer in await second} == {Failed}


async def test_closing_finishes_what_waits_in_a_full_line(engine: Engine) -> None:
    store = await engine.open(limits=ClusterLimits(writes_waiting_max=2))
    answers = store.clusters[0].write([put("a", value()), put("b", value())])
    await store.aclose()
    assert await answers == [STORED] * 2


async def test_closing_finishes_what_waits(engine: Engine) -> None:
    store = await engine.open()
    answers = store.clusters[0].write([put("key", value())])
    await store.aclose()
    assert await answers == [STORED]
    [late] = await store.clusters[0].write([put("late", value())])
    assert isinstance(late, Failed)
    assert await engine.sql("select count(*) from record") == [(1,)]
