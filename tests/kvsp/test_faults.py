"""Failing disks: what is acknowledged stays, what fails says so, the file is opened again."""

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kvsp.answers import Absent
from kvsp.sqlite.cluster import SqliteCluster
from kvsp.sqlite.transaction import _UPSERT, _upsert_of
from tandem.core.cluster_life import life_of
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE
from tandem.core.removal import NamespacePurge, Renewal
from tandem.core.reply import Failed, Refusal, Refused, Stored
from tandem.core.version import NO_VERSION
from tandem.wire.scan_codec import Scan
from tests.kvsp.conftest import Opening
from tests.kvsp.records import (
    NAMESPACE,
    START_US,
    get,
    put,
    tombstone,
    value,
    write_large,
)
from tests.kvsp.test_writes import sql

STORED = Stored(0)
DELETION = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
"""Of a namespace, for ever."""


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Makes every write beyond `size` fail with an IO error, in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def until_it_stores(cluster: SqliteCluster, name: str) -> None:
    async with asyncio.timeout(60):
        while await cluster.write([put(name, value())]) != [STORED]:
            await asyncio.sleep(0.02)


async def test_a_failed_commit_fails_all_and_the_file_is_checked(
    opening: Opening, tmp_path: Path
) -> None:
    cluster = (await opening()).clusters[0]
    assert await cluster.write([put("before", value())]) == [STORED]
    log_bytes = (tmp_path / "cluster-0.sqlite-wal").stat().st_size
    with files_no_longer_than(log_bytes + 1_000):
        answers = await cluster.write([put(f"during-{n}", value(b"x" * 500)) for n in range(100)])
        assert {type(answer) for answer in answers} == {Failed}
        assert "the commit failed" in str(answers[0])
        [meanwhile] = await cluster.write([put("meanwhile", value(b"x" * 5_000))])
        assert isinstance(meanwhile, Failed)
    await until_it_stores(cluster, "after")
    assert (await cluster.life()).failure == ""
    found = await cluster.read([get("before"), get("after")])
    assert found == [value().envelope] * 2


COUNT_COMMIT = "update meta set commits = ?"
"""The last statement before a COMMIT."""


class Fails:
    """A connection on which one statement, mostly COMMIT, ends in one of SQLite's errors."""

    def __init__(
        self, inner: sqlite3.Connection, code: int, statement: str, meanwhile: str
    ) -> None:
        self._inner = inner
        self._statement = statement
        self._meanwhile = meanwhile
        self._error = sqlite3.DatabaseError(f"error {code}")
        self._error.sqlite_errorcode = code

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def execute(self, sql: str, *values: Sequence[bytes | int]) -> sqlite3.Cursor:
        if sql == self._statement:
            if self._meanwhile:
                self._inner.execute(self._meanwhile)
            raise self._error
        return self._inner.execute(sql, *values)


def fail_commits(
    cluster: SqliteCluster, code: int, statement: str = "commit", *, meanwhile: str = ""
) -> Callable[[], None]:
    """Returns what mends it. `meanwhile` is what is carried out all the same."""
    assert cluster._file.opened is not None
    transactions = cluster._file.opened.transactions
    sound = transactions._connection
    failing = Fails(sound, code, statement, meanwhile)
    transactions._connection = failing  # type: ignore[assignment]  # stands in for a broken disk
    return lambda: setattr(transactions, "_connection", sound)


async def test_what_a_transaction_would_have_deleted_is_not_deleted_when_it_was_undone(
    opening: Opening,
) -> None:
    cluster = (await opening()).clusters[0]
    mend = fail_commits(cluster, sqlite3.SQLITE_FULL, COUNT_COMMIT)
    for answer in await cluster.write([DELETION, put("key", value())]):
        assert "nothing was written" in str(answer)
    mend()
    for name in ("before the next commit", "after it"):
        assert await cluster.write([put(name, value())]) == [STORED]
    assert await cluster.read([get("key"), get("after it")]) == [
        Absent(NO_VERSION),
        value().envelope,
    ]


async def test_a_commit_that_finds_damage_closes_the_file_for_good(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]
    fail_commits(cluster, sqlite3.SQLITE_IOERR)
    [failed] = await cluster.write([put("key", value())])
    assert "the commit failed" in str(failed)
    await until_it_stores(cluster, "key")

    fail_commits(cluster, sqlite3.SQLITE_CORRUPT)
    [failed] = await cluster.write([put("other", value())])
    assert "the commit failed" in str(failed)
    for answer in (*await cluster.write([put("key", value())]), *await cluster.read([get("key")])):
        assert "cluster-0.sqlite is damaged" in str(answer)
    assert "cluster-0.sqlite is damaged" in (await cluster.life()).failure


ROWS = pytest.mark.parametrize(
    ("statement", "first"),
    [(_upsert_of(2), NAMESPACE), (_UPSERT, SYSTEM_NAMESPACE)],
    ids=["together", "one by one"],
)
"""What stores two rows, the first of them in that namespace."""


@ROWS
async def test_an_error_that_ends_the_transaction_fails_all_that_is_in_it(
    opening: Opening, statement: str, first: str
) -> None:
    """SQLite undoes what was before, and what comes after would be in no transaction."""
    cluster = (await opening()).clusters[0]
    mend = fail_commits(cluster, sqlite3.SQLITE_IOERR, statement, meanwhile="rollback")
    for answer in await cluster.write([put("one", value(), namespace=first), put("two", value())]):
        assert "nothing was written" in str(answer)
    mend()
    assert await cluster.write([put("three", value())]) == [STORED]
    assert await cluster.read([get("two")]) == [Absent(NO_VERSION)]


async def test_a_new_life_whose_commit_had_no_answer_is_gone_on_with(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]
    old = await cluster.life()
    fail_commits(cluster, sqlite3.SQLITE_IOERR, meanwhile="commit")
    assert isinstance(await cluster.renew(Renewal(old.name, old.named, old)), Failed)
    await until_it_stores(cluster, "key")
    new = await cluster.life()
    assert (new.failure, life_of(new.incarnation)) == ("", life_of(old.incarnation) + 1)


async def test_a_file_that_has_lost_what_was_acknowledged_is_not_served(
    opening: Opening, tmp_path: Path
) -> None:
    cluster = (await opening()).clusters[0]
    for name in ("one", "two"):
        assert await cluster.write([put(name, value())]) == [STORED]
    sql(tmp_path, "update meta set commits = 1")
    fail_commits(cluster, sqlite3.SQLITE_IOERR)
    await cluster.write([put("three", value())])
    async with asyncio.timeout(60):
        while "shows transaction 1, but 2" not in (await cluster.life()).failure:
            await asyncio.sleep(0.01)
    sql(tmp_path, "update meta set commits = 2")
    await until_it_stores(cluster, "three")


async def test_a_namespace_whose_deletion_had_no_answer_is_deleted(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]
    fail_commits(cluster, sqlite3.SQLITE_IOERR, meanwhile="commit")
    [answer] = await cluster.write([DELETION])
    async with asyncio.timeout(60):
        while isinstance(answer, Failed):
            [answer] = await cluster.write([put("key", value())])
    assert answer == Refused(Refusal.DELETED_NAMESPACE, 0)
    assert isinstance(await cluster.purge_namespace(NAMESPACE, 10), NamespacePurge)


async def test_after_a_failing_disk_nothing_depends_on_the_log_any_more(
    opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as somebody reads from it, what it holds cannot be moved into the file."""
    monkeypatch.setattr("kvsp.sqlite.thread.BUSY_TIMEOUT_S", 0.01)
    cluster = (await opening()).clusters[0]
    assert await cluster.write([put("before", value())]) == [STORED]
    with closing(sqlite3.connect(tmp_path / "cluster-0.sqlite", isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from meta").fetchall()
        fail_commits(cluster, sqlite3.SQLITE_IOERR)
        await cluster.write([put("during", value())])
        async with asyncio.timeout(60):
            while "in use elsewhere" not in (await cluster.life()).failure:
                await asyncio.sleep(0.01)
    await until_it_stores(cluster, "after")


async def test_a_listing_while_the_file_is_opened_again_fails_by_value(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]
    answers: list[object] = []

    async def ask_on() -> None:
        while True:
            answers.append(await cluster.scan(Scan(NAMESPACE, b"", b"", 10)))
            answers.append(await cluster.life())
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_on()) for _ in range(5)]
        fail_commits(cluster, sqlite3.SQLITE_IOERR)
        await cluster.write([put("key", value())])
        await until_it_stores(cluster, "key")
        for task in asking:
            task.cancel()
    assert any(isinstance(answer, Failed) for answer in answers)


async def test_damage_that_is_found_while_the_file_is_opened_again_stays(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = (await opening()).clusters[0]
    opens = cluster._file.open
    damage = sqlite3.DatabaseError("malformed")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    async def open_beside_damage(*, log_must_move: bool) -> None:
        await opens(log_must_move=log_must_move)
        cluster._file.met(damage)

    monkeypatch.setattr(cluster._file, "open", open_beside_damage)
    fail_commits(cluster, sqlite3.SQLITE_IOERR)
    await cluster.write([put("key", value())])
    async with asyncio.timeout(60):
        while not cluster._file.serving.is_set():
            await asyncio.sleep(0.01)
    [refused] = await cluster.write([put("key", value())])
    assert "cluster-0.sqlite is damaged" in str(refused)


async def test_a_row_whose_blob_cannot_be_looked_at_fails_alone(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]
    large = value(b"x" * 200_000)
    assert await write_large(cluster, put("large", large)) == STORED

    def broken(_blob: str) -> bool:
        raise OSError("input/output error")

    assert cluster._file.opened is not None
    cluster._file.opened.transactions._blob_exists = broken
    failed, stored = await cluster.write(
        [put("large", value(at_us=START_US - 10)), put("small", value())]
    )
    assert isinstance(failed, Failed)
    assert "input/output error" in failed.detail
    assert stored == STORED
    assert await cluster.read([get("small")]) == [value().envelope]


async def test_whoever_waits_hears_of_a_fault_that_ends_the_writer(opening: Opening) -> None:
    cluster = (await opening()).clusters[0]

    def fault(_: sqlite3.Connection) -> None:
        raise RuntimeError("nobody thought of this")

    async with asyncio.timeout(60):
        [met, beside] = await cluster._desk.submit([fault, put("key", value())])
        assert "nobody thought of this" in str(met)
        assert met == beside
        [later] = await cluster.write([put("key", value())])
        assert "writer ended" in str(later)
