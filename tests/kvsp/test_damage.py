"""Damaged files: each fails its own cluster; none is served that cannot say what was deleted.

Files that are removed or replaced while they are served: nothing is acknowledged that goes with the
process.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from kvsp.sqlite.cluster import SqliteCluster
from tandem.core.removal import Renewal
from tandem.core.reply import Failed, Stored
from tandem.errors import ConfigurationError
from tandem.wire.scan_codec import Scan
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, get, put, value
from tests.kvsp.test_faults import COUNT_COMMIT, ROWS, fail_commits, until_it_stores
from tests.kvsp.test_writes import sql
from tests.servers.damage import damage_pages

STORED = Stored(0)


async def test_a_damaged_file_fails_its_cluster_and_no_other(
    opening: Opening, tmp_path: Path
) -> None:
    names = [f"key-{n:05}" for n in range(2_000)]
    first = await opening(2)
    for _, written in first.store.write([put(name, value(b"x" * 300)) for name in names]):
        assert set(await written) == {STORED}
    await first.aclose()
    damage_pages(tmp_path / "cluster-0.sqlite", "record", spared=20)

    second = await opening(2)
    owners = {}
    for part, answers in second.store.read([get(name) for name in names]):
        owners[part[0].raw_name] = {type(answer) for answer in await answers}
    assert sorted(owners.values(), key=str) == [{bytes}, {Failed}]
    damaged, sound = [await cluster.life() for cluster in second.clusters]
    assert "cluster-0.sqlite is damaged" in damaged.failure
    assert sound.failure == ""
    assert second.store.failure() == "", "one of them serves"
    [refused] = await second.clusters[0].write([put("key", value())])
    assert isinstance(refused, Failed)
    assert await second.clusters[1].write([put("key", value())]) == [STORED]
    listing = await second.store.scan(Scan(NAMESPACE, b"", b"", 10_000))
    assert not isinstance(listing, Failed)
    assert not listing.complete
    assert 0 < len(listing.rows) < len(names)
    await second.clusters[1].aclose()
    assert "cluster-0.sqlite is damaged" in second.store.failure()
    failed = await second.store.scan(Scan(NAMESPACE, b"", b"", 10_000))
    assert isinstance(failed, Failed), "nothing would be no listing"


async def test_kvsp_does_not_start_when_a_file_cannot_say_what_was_deleted(
    opening: Opening, tmp_path: Path
) -> None:
    first = await opening(2)
    names = [f"key-{n:05}" for n in range(500)]
    for _, written in first.store.write([put(name, value(b"x" * 300)) for name in names]):
        assert set(await written) == {STORED}
    await first.aclose()
    damage_pages(tmp_path / "cluster-1.sqlite", "deleted_namespace")
    with pytest.raises(ConfigurationError, match=r"cluster-1\.sqlite.* cannot be read: "):
        await opening(2)


@ROWS
@pytest.mark.parametrize("found_at", ["row", "count"])
async def test_damage_that_a_transaction_finds_closes_the_file_for_good(
    opening: Opening, statement: str, first: str, found_at: str
) -> None:
    cluster = (await opening()).clusters[0]
    meets = statement if found_at == "row" else COUNT_COMMIT
    fail_commits(cluster, sqlite3.SQLITE_CORRUPT, meets)
    puts = [put("one", value(), namespace=first), put("two", value())]
    for answer in (*await cluster.write(puts), *await cluster.read([get("two")])):
        assert "cluster-0.sqlite is damaged" in str(answer)


def _file(path: Path, beside: str = "") -> Path:
    return path / f"cluster-0.sqlite{beside}"


def _take_away(path: Path) -> None:
    away = path / "away"
    away.mkdir()
    for file in path.glob("cluster-0.sqlite*"):
        file.rename(away / file.name)


def _bring_back(path: Path) -> None:
    for file in path.glob("cluster-0.sqlite*"):
        file.unlink()
    for file in (path / "away").iterdir():
        file.rename(path / file.name)


def _put_older_copy(path: Path) -> None:
    (path / "older").rename(_file(path))


def _put_nothing(path: Path) -> None:
    _file(path).touch()


def _put_copies(path: Path) -> None:
    for file in (path / "away").iterdir():
        shutil.copy(file, path)


ASKED: dict[str, Callable[[SqliteCluster], Awaitable[object]]] = {
    "a write": lambda cluster: cluster.write([put("after", value())]),
    "a read": lambda cluster: cluster.read([get("before")]),
    "a listing": lambda cluster: cluster.scan(Scan(NAMESPACE, b"", b"", 10)),
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    ("replace", "found"),
    [
        (lambda _: None, "unable to open"),
        (_put_older_copy, "another file took its place"),
        (_put_nothing, "another file took its place"),
        (_put_copies, "another file took its place"),
    ],
    ids=["nothing", "an older copy", "an empty file", "copies"],
)
async def test_a_file_that_was_taken_away_confirms_and_shows_nothing_before_it_is_back(
    opening: Opening, tmp_path: Path, replace: Callable[[Path], None], found: str, asked: str
) -> None:
    store = await opening(2)
    cluster = store.clusters[0]
    assert await cluster.write([put("old", value())]) == [STORED]
    with (
        closing(sqlite3.connect(_file(tmp_path))) as now,
        closing(sqlite3.connect(tmp_path / "older")) as older,
    ):
        now.backup(older)
    assert await cluster.write([put("before", value())]) == [STORED]
    _take_away(tmp_path)
    replace(tmp_path)
    assert "removed or replaced" in str(await ASKED[asked](cluster))
    async with asyncio.timeout(60):
        while found not in (await cluster.life()).failure:
            await asyncio.sleep(0.01)
    for ask in ASKED.values():
        assert found in str(await ask(cluster))
    assert await store.clusters[1].write([put("key", value())]) == [STORED]
    if replace is _put_nothing:
        assert _file(tmp_path).stat().st_size == 0, "it is nobody else's to write into"

    _bring_back(tmp_path)
    await until_it_stores(cluster, "after")
    assert (await cluster.life()).failure == ""
    held = await cluster.read([get("old"), get("before"), get("after")])
    assert held == [value().envelope] * 3


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_what_was_acknowledged_into_a_log_that_was_taken_away_is_in_the_file(
    opening: Opening, tmp_path: Path, replaced: bool
) -> None:
    """Whoever opens the file next sees it, a KVSP that is started again after a crash as well."""
    cluster = (await opening()).clusters[0]
    assert await cluster.write([put("before", value())]) == [STORED]
    _file(tmp_path, "-wal").unlink()
    if replaced:
        _file(tmp_path, "-wal").touch()
    [failed] = await cluster.write([put("after", value())])
    assert "log was removed or replaced" in str(failed)
    await until_it_stores(cluster, "after")
    assert sql(tmp_path, "select name from record order by name") == [(b"after",), (b"before",)]


async def test_a_file_that_goes_back_to_a_life_that_has_ended_is_not_served(
    opening: Opening, tmp_path: Path
) -> None:
    cluster = (await opening()).clusters[0]
    old = await cluster.life()
    await cluster.renew(Renewal(old.name, old.named, old))
    sql(tmp_path, f"update meta set incarnation = '{old.incarnation}'")
    fail_commits(cluster, sqlite3.SQLITE_IOERR)
    await cluster.write([put("key", value())])
    async with asyncio.timeout(60):
        while "another file took its place" not in (await cluster.life()).failure:
            await asyncio.sleep(0.01)


async def test_kvsp_stops_while_its_file_is_gone(opening: Opening, tmp_path: Path) -> None:
    store = await opening(2)
    _take_away(tmp_path)
    for cluster in store.clusters:
        await cluster.write([put("key", value())])
    async with asyncio.timeout(60):
        while "unable to open" not in (await store.clusters[0].life()).failure:
            await asyncio.sleep(0.01)
        await store.aclose()
    [refused] = await store.clusters[0].write([put("key", value())])
    assert "KVSP is stopping" in str(refused)


@pytest.mark.parametrize("column", ["cluster", "ring", "incarnation"])
async def test_a_file_that_has_become_another_one_in_its_place_is_not_served(
    opening: Opening, tmp_path: Path, column: str
) -> None:
    cluster = (await opening()).clusters[0]
    [(before,)] = sql(tmp_path, f"select {column} from meta")
    sql(tmp_path, f"update meta set {column} = 'another'")
    fail_commits(cluster, sqlite3.SQLITE_IOERR)
    await cluster.write([put("key", value())])
    async with asyncio.timeout(60):
        while "another file took its place" not in (await cluster.life()).failure:
            await asyncio.sleep(0.01)
    sql(tmp_path, f"update meta set {column} = '{before}'")
    await until_it_stores(cluster, "key")
