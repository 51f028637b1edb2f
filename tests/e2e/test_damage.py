"""Damaged files and objects: every answer is right, what is damaged says so, and it is mended from
the other home."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from kvgateway.homes.switch_copies import SWITCHES_KEY
from kvgateway.homes.trust import ALL
from tandem import Client
from tandem.client.crawler import CrawlerClient
from tandem.core.reply import Found, Side
from tandem.errors import TandemError, Unavailable
from tests.e2e.comparison import equal_records, records
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.program import stop_process
from tests.e2e.waiting import until, until_true
from tests.servers.damage import damage_pages, flip_byte

_SMALL = {f"small-{number:04}": b"%d" % number * 50 for number in range(600)}
_LARGE = {f"large-{number}": b"%d" % number * 200_000 for number in range(4)}
_ALL = {**_SMALL, **_LARGE}


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment whose homes hold the same; its processes run."""
    async with deployed(tmp_path / "tandem", TANDEM_CLUSTERS="2") as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        await _put_all(tandem)
        await tandem.settled()
        yield tandem


async def _put_all(tandem: Deployment) -> None:
    async with tandem.client("n") as client:
        written = await client.put_many(_ALL)
    assert not [one for one in written.values() if isinstance(one, TandemError)]


async def _stop_both(tandem: Deployment) -> None:
    """So that nobody has a file open, and no gateway remembers a value."""
    assert await tandem.gateway.stop() == 0
    assert await tandem.kvsp.stop() == 0


async def _start_both(tandem: Deployment) -> None:
    await tandem.restart_kvsp()
    await tandem.restart_gateway()


async def _wrong(client: Client) -> Sequence[str]:
    """The keys that are not answered as they were written."""
    read = {}
    for some in (_SMALL, _LARGE):
        read.update(await client.get_many(some))
    return [key for key, value in _ALL.items() if getattr(read[key], "value", None) != value]


async def _mended(tandem: Deployment) -> None:
    """Reads everything, and waits until both homes hold the same, whole."""
    async with tandem.client("n", session_keys_max=0) as client:
        assert await _wrong(client) == []
        namespace_id = await client.namespaces.id_of("n")
    await tandem.settled()
    held = await equal_records(tandem, namespace_id)
    assert {name: record.value for name, record in held.items()} == _ALL


async def test_rotten_rows_and_objects_are_mended_from_the_other_home(filled: Deployment) -> None:
    await _stop_both(filled)
    for cluster in filled.data.glob("kvsp/cluster-*.sqlite"):
        _execute(
            cluster,
            "update record set envelope = zeroblob(length(envelope))"
            " where cast(name as text) between 'small-0100' and 'small-0200'",
        )
    _execute(
        filled.data / "objects.sqlite",
        "update objects set body = zeroblob(length(body)) where rowid in"
        " (select rowid from objects where length(body) between 120 and 400"
        " order by name desc limit 50)",
    )
    await _start_both(filled)
    await _mended(filled)


async def test_rotten_and_missing_large_values_are_mended(filled: Deployment) -> None:
    await _stop_both(filled)
    blobs = sorted(path for path in filled.data.glob("kvsp/blobs/*/*/*") if path.is_file())
    assert len(blobs) == len(_LARGE)
    flip_byte(blobs[0], 100)
    flip_byte(blobs[1], blobs[1].stat().st_size - 1)
    blobs[2].unlink()
    await _start_both(filled)
    await _mended(filled)


async def test_a_damaged_cluster_answers_nothing_and_kvsp_is_filled_anew(
    filled: Deployment,
) -> None:
    await _stop_both(filled)
    damage_pages(filled.data / "kvsp" / "cluster-0.sqlite", "record", spared=20)
    await _start_both(filled)
    async with filled.client("n", session_keys_max=0) as client:
        assert await _wrong(client) == []
        assert [key.name async for key in client.list()] == sorted(_ALL)
    await _put_all(filled)
    await filled.kvsp.says("cluster_damaged")
    assert (await filled.kvctl("backend", "disable", "kvsp"))[0] == 0
    filled.kvsp.kill()
    (filled.data / "kvsp").rename(filled.data / "kvsp-damaged")
    await filled.restart_kvsp()
    assert (await filled.kvctl("backend", "enable", "kvsp"))[0] == 0
    filled.crawler.start()
    await filled.trusted()
    await _mended(filled)


async def test_what_is_acknowledged_after_the_object_file_was_removed_is_in_the_new_one(
    filled: Deployment,
) -> None:
    for file in filled.data.glob("objects.sqlite*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    await until(lambda: filled.gateway.words().count("home_admitted") > 2, "the new one is named")
    homes = (await filled.status()).homes
    assert [home.behind for home in homes] == [(), (ALL,)]
    filled.kvsp.kill()
    async with filled.client("n") as client:
        written = await client.put_many(_SMALL)
    assert not [one for one in written.values() if isinstance(one, TandemError)]
    await filled.kill_gateway()
    await filled.restart_gateway()
    async with filled.client("n", session_keys_max=0) as client:
        read = await client.get_many(_SMALL)
    assert {key: getattr(entry, "value", None) for key, entry in read.items()} == _SMALL
    await filled.restart_kvsp()
    filled.crawler.start()
    await filled.trusted()
    await _mended(filled)


def _remove_log(file: Path) -> None:
    file.with_name(f"{file.name}-wal").unlink()


def _replace_by_copy(file: Path) -> None:
    copy = file.with_name("copy")
    with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(copy)) as copied:
        now.backup(copied)
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    copy.rename(file)


@pytest.mark.parametrize("remove", [_remove_log, _replace_by_copy])
async def test_what_kvsp_acknowledges_after_its_file_was_removed_or_replaced_is_in_the_one_there_is(
    filled: Deployment, remove: Callable[[Path], None]
) -> None:
    assert (await filled.kvctl("backend", "disable", "s3"))[0] == 0
    remove(filled.data / "kvsp" / "cluster-0.sqlite")
    stored = set()
    async with filled.client("n") as client:
        namespace_id = await client.namespaces.id_of("n")
        for _ in range(2):
            written = await client.put_many(dict.fromkeys(_SMALL, b"new"))
            stored |= {key for key, one in written.items() if not isinstance(one, TandemError)}
    await filled.kvsp.says("cluster_closed")
    assert stored
    filled.kvsp.kill()
    await filled.restart_kvsp()
    async with filled.homes() as homes:
        held = await records(homes.backends[Side.KVSP], namespace_id)
    assert {held[key].value for key in stored} == {b"new"}


async def test_a_damaged_repair_queue_is_replaced_and_a_crawl_finds_what_it_held(
    filled: Deployment,
) -> None:
    filled.kvsp.kill()
    await _put_all(filled)
    async with filled.client() as client:
        assert (await client.ops.status()).queue.depth > 0
    await filled.kill_gateway()
    damage_pages(filled.data / "gateway" / "repair.sqlite", "repair")
    await _start_both(filled)
    assert "repair_queue_damaged" in filled.gateway.words()
    async with filled.client("n", session_keys_max=0) as client:
        assert await _wrong(client) == []
        homes = (await client.ops.status()).homes
        assert [home.behind for home in homes] == [(ALL,), (ALL,)]
    filled.crawler.start()
    await filled.trusted()
    await _mended(filled)


async def test_a_damaged_journal_is_read_on_and_a_crawl_finds_what_it_held(
    filled: Deployment,
) -> None:
    """The writes of which KVSP knows nothing are in the journal alone when everything dies."""
    stop_process(filled.kvsp.pid)
    async with filled.client("n") as client:
        for key, value in _ALL.items():
            await client.put(key, value)
    await filled.kill_gateway()
    filled.kvsp.kill()
    journal = filled.data / "gateway" / "journal"
    flip_byte(max(journal.glob("*/*.log"), key=lambda path: path.stat().st_size), 40)
    await _start_both(filled)
    assert "journal_damaged" in filled.gateway.words()
    async with filled.client("n", session_keys_max=0) as client:
        homes = (await client.ops.status()).homes
        assert [home.behind for home in homes] == [(ALL,), (ALL,)]
    filled.crawler.start()
    await filled.trusted()
    await _mended(filled)


async def test_damaged_copies_are_said_and_written_anew(tandem: Deployment) -> None:
    async with tandem.client("n") as client:
        await client.put("k", b"v")
    assert await tandem.gateway.stop() == 0
    for name in ("namespaces.json", "tokens.json", "trust.json"):
        (tandem.data / "gateway" / name).write_bytes(b"\xee" * 1000)
    await tandem.restart_gateway()
    async with tandem.client("n", session_keys_max=0) as client:
        assert await client.get("k") == b"v"
        homes = (await client.ops.status()).homes
        assert [home.behind for home in homes] == [(ALL,), (ALL,)]
    await tandem.gateway.says("trust_file_unreadable")
    await until(lambda: tandem.gateway.words().count("registry_file_unreadable") >= 2, "said")


async def test_a_gateway_that_cannot_read_its_kill_switches_does_not_start(
    tandem: Deployment,
) -> None:
    """Without the file it learns from the homes what is off, before it serves anyone."""
    assert (await tandem.kvctl("backend", "disable", "s3"))[0] == 0
    async with tandem.homes() as homes:
        kvsp = homes.backends[Side.KVSP]

        async def copied() -> bool:
            return isinstance(await kvsp.get(SWITCHES_KEY, 1.0), Found)

        await until_true(copied, "the switches are copied")
    assert await tandem.gateway.stop() == 0
    switches = tandem.data / "gateway" / "switches.json"
    switches.write_bytes(b"\xee" * 1000)
    tandem.gateway.start()
    assert await tandem.gateway.ended() == 2
    assert "remove the file: copies in the homes say what is off" in tandem.gateway.words()
    switches.unlink()
    await tandem.restart_gateway()
    enabled = {home.side: home.writes_enabled for home in (await tandem.status()).homes}
    assert enabled == {Side.KVSP: True, Side.S3: False}


async def test_a_damaged_checkpoint_costs_a_range_anew_and_no_crawl(filled: Deployment) -> None:
    """A crawler died in the middle of a range, and its disk has lost a byte of how far it was."""
    book = filled.data / "crawler" / "crawler.sqlite"
    filled.crawler.start(TANDEM_REQUESTS_PER_SECOND="1")
    await until(lambda: _rows(book, "checkpoint") > 0, "a range is half done")
    filled.crawler.kill()
    _execute(book, "update checkpoint set content = substr(content, 2)")
    filled.crawler.start()
    async with CrawlerClient(filled.crawler_address) as crawler:

        async def whole() -> bool:
            with suppress(Unavailable):
                latest = (await crawler.status()).latest
                return len(latest) == 2 and all(one.equal for one in latest)
            return False

        await until_true(whole, "both namespaces are crawled")
    assert filled.crawler.words().count("checkpoint_damaged") == 1


def _rows(file: Path, table: str) -> int:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        return int(db.execute(f"select count(*) from {table}").fetchone()[0])
    return 0


def _execute(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        assert connection.execute(sql).rowcount > 0
