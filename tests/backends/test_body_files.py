"""Bodies in files of their own: durable before their rows, gone after them, whoever dies when."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tandem.backends.file import FileHome
from tandem.backends.file.body_files import FILED_ABOVE_BYTES, BodyFiles
from tandem.backends.port import Heal
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.limits import LEG_DEADLINE_S, MIB
from tandem.core.record import Record, Stamp
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import Failed, Found, Missing, Reason, Refused, Stored, Superseded
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock

CLOCK = SystemClock()
NAMESPACE = "ab" * 16
KEY = Key(NAMESPACE, "large")
HOUR_S = 3600


def large(fill: bytes = b"x", at_us: int | None = None, size: int = 2 * MIB) -> Record:
    return seal(Version.at(at_us or CLOCK.now_us()), fill * size)


def small() -> Record:
    return seal(Version.at(CLOCK.now_us()), b"small")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
async def home(path: Path) -> AsyncIterator[FileHome]:
    opened = await FileHome.open(path, CLOCK)
    yield opened
    await opened.aclose()


def files(path: Path) -> list[Path]:
    return sorted(path.with_name("objects.db-bodies").glob("*"))


async def held(home: FileHome) -> object:
    found = await home.get(KEY, 20.0)
    return found.record if isinstance(found, Found) else found


async def write_some(home: FileHome) -> None:
    """One more transaction."""
    assert isinstance(await home.put_if_newer(Key(NAMESPACE, "other"), small(), 20.0), Stored)


async def left(path: Path, count: int) -> list[Path]:
    """The files once there are so many: what has lost its row is removed behind the transaction."""
    async with asyncio.timeout(50):
        while len(files(path)) != count:
            await asyncio.sleep(0.01)
    return files(path)


@pytest.mark.parametrize(("size", "filed"), [(FILED_ABOVE_BYTES - 100, 0), (FILED_ABOVE_BYTES, 1)])
async def test_only_bodies_of_full_size_have_a_file(
    home: FileHome, path: Path, size: int, filed: int
) -> None:
    record = large(size=size)
    assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    assert [file.read_bytes() for file in files(path)] == [record.envelope] * filed
    assert await held(home) == record
    page = await home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=20.0)
    assert not isinstance(page, Failed)
    [entry] = page.entries
    assert (entry.size, entry.digest) == (len(record.envelope), record.digest)


@pytest.mark.parametrize("after", ["large", "small", "tombstone", "removed", "purged", "replaced"])
async def test_a_file_goes_with_the_row_that_named_it(
    home: FileHome, path: Path, after: str
) -> None:
    first = large()
    await home.put_if_newer(KEY, first, 20.0)
    [old] = files(path)
    seen = Stamp(first.version, first.digest)
    match after:
        case "large":
            assert isinstance(await home.put_if_newer(KEY, large(b"y"), 20.0), Stored)
        case "small":
            assert isinstance(await home.put_if_newer(KEY, small(), 20.0), Stored)
        case "tombstone":
            dead = seal_tombstone(Version.at(CLOCK.now_us()))
            assert isinstance(await home.put_if_newer(KEY, dead, 20.0), Stored)
        case "removed":
            assert await home.remove(KEY, seen, 20.0) is Removal.DONE
        case "replaced":
            done = await home.replace(KEY, seen, small(), CLOCK.now_us(), 20.0)
            assert done is Removal.DONE
        case "purged":
            assert await home.purge_namespace(NAMESPACE, 10, 20.0) == NamespacePurge(1, more=False)
        case _:
            pytest.fail(f"no such case: {after}")
    assert old not in await left(path, int(after == "large"))


async def test_what_is_not_stored_leaves_no_file(home: FileHome, path: Path) -> None:
    now_us = CLOCK.now_us()
    newer, older = large(b"n", now_us), large(b"o", now_us - 1)
    late = large(b"l", now_us - int(LEG_DEADLINE_S * 2e6))
    assert isinstance(await home.put_if_newer(KEY, newer, 20.0), Stored)
    assert isinstance(await home.put_if_newer(KEY, older, 20.0), Superseded)
    assert isinstance(await home.put_if_newer(KEY, late, 20.0), Refused)
    assert isinstance(await home.put_if_newer(KEY, newer, 20.0), Stored)
    await left(path, 1)
    assert await held(home) == newer


async def test_a_group_of_all_sizes_has_every_reply(home: FileHome) -> None:
    puts = [(Key(NAMESPACE, f"k{n}"), large() if n % 2 else small()) for n in range(6)]
    replies = await _all(home, puts)
    assert {position: type(reply) for position, reply in replies.items()} == dict.fromkeys(
        range(6), Stored
    )
    for key, record in puts:
        found = await home.get(key, 20.0)
        assert isinstance(found, Found)
        assert found.record == record


async def _all(home: FileHome, puts: list[tuple[Key, Record]]) -> dict[int, object]:
    replies: dict[int, object] = {}
    home.put_all(puts, 20.0, replies.update)
    assert not replies
    while len(replies) < len(puts):
        await home.get(KEY, 20.0)
    return replies


async def test_a_damaged_file_is_a_corrupt_copy_that_a_heal_replaces(
    home: FileHome, path: Path
) -> None:
    record = large()
    await home.put_if_newer(KEY, record, 20.0)
    [file] = files(path)
    file.write_bytes(record.envelope[:-1])
    corrupt = await held(home)
    assert isinstance(corrupt, Failed)
    assert corrupt.reason is Reason.CORRUPT
    heal = Heal(CLOCK.now_us(), over_corrupt=True)
    assert isinstance(await home.put_if_newer(KEY, record, 20.0, heal), Stored)
    assert await held(home) == record
    assert file not in await left(path, 1)


async def test_a_file_that_is_gone_is_a_corrupt_copy(home: FileHome, path: Path) -> None:
    record = large()
    await home.put_if_newer(KEY, record, 20.0)
    files(path)[0].unlink()
    gone = await held(home)
    assert isinstance(gone, Failed)
    assert gone.reason is Reason.CORRUPT
    heal = Heal(CLOCK.now_us(), over_corrupt=True)
    assert isinstance(await home.put_if_newer(KEY, record, 20.0, heal), Stored)
    assert await held(home) == record


@pytest.mark.parametrize("size", [MIB // 2, 2 * MIB])
async def test_a_body_that_is_removed_before_it_is_read_is_missing(
    home: FileHome, path: Path, size: int
) -> None:
    await home.put_if_newer(KEY, large(size=size), 20.0)

    def removed() -> bool:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("delete from objects")
        return True

    assert isinstance(await home.get(KEY, 20.0, removed), Missing)


async def test_a_body_that_is_replaced_while_it_is_read_is_read_anew(
    home: FileHome, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its row and its file another process may write the key."""
    read, old, new = BodyFiles.read, large(b"o"), large(b"n")
    other = await FileHome.open(path, CLOCK)
    await home.put_if_newer(KEY, old, 20.0)
    loop = asyncio.get_running_loop()

    def late(self: BodyFiles, name: str) -> bytes:
        monkeypatch.setattr(BodyFiles, "read", read)
        writing = asyncio.run_coroutine_threadsafe(_replaced(other, path, new), loop)
        writing.result()
        return read(self, name)

    monkeypatch.setattr(BodyFiles, "read", late)
    assert await held(home) == new
    await other.aclose()


async def _replaced(home: FileHome, path: Path, record: Record) -> None:
    assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    await left(path, 1)


async def test_a_file_whose_row_could_not_be_written_goes(home: FileHome, path: Path) -> None:
    await write_some(home)
    await home._filed.do(lambda connection: connection.execute("pragma query_only = on").close())
    assert isinstance(await home.put_if_newer(KEY, large(), 20.0), Failed)
    assert len(files(path)) == 1
    await write_some(home)
    await left(path, 0)
    assert isinstance(await held(home), Missing)
    assert isinstance(await home.put_if_newer(KEY, large(), 20.0), Stored)


async def test_a_start_removes_what_a_writer_that_died_has_left(home: FileHome, path: Path) -> None:
    record = large()
    await home.put_if_newer(KEY, record, 20.0)
    await home.aclose()
    [named] = files(path)
    old, begun, young = (named.with_name(name) for name in ("old", "begun.ahead", "young"))
    for file in (old, begun, young):
        file.write_bytes(b"half")
    long_ago_s = CLOCK.now_us() / 1e6 - HOUR_S - 60
    for file in (named, old, begun):
        os.utime(file, (long_ago_s, long_ago_s))
    again = await FileHome.open(path, CLOCK)
    assert files(path) == sorted([named, young])
    assert await held(again) == record
    await again.aclose()


async def test_a_file_that_another_start_has_just_removed_stops_no_start(
    home: FileHome, path: Path
) -> None:
    """Workers start together, and each removes what a dead one has left."""
    await home.put_if_newer(KEY, large(), 20.0)
    [named] = files(path)
    named.with_name("listed").symlink_to(named.with_name("gone"))
    again = await FileHome.open(path, CLOCK)
    await again.aclose()


async def test_two_processes_share_the_files(home: FileHome, path: Path) -> None:
    other = await FileHome.open(path, CLOCK)
    for n in range(6):
        record = large(bytes([65 + n]))
        writer, reader = (home, other) if n % 2 else (other, home)
        assert isinstance(await writer.put_if_newer(KEY, record, 20.0), Stored)
        assert await held(reader) == record
    await left(path, 1)
    await other.aclose()


class TestBodyFiles:
    def test_no_name_is_used_twice(self, path: Path) -> None:
        class Stopped:
            def now_us(self) -> int:
                return 7

            def monotonic_us(self) -> int:
                return 7

        body_files = BodyFiles(path, Stopped())
        names = [body_files.write(b"%d" % n) for n in range(3)]
        assert len(set(names)) == 3
        assert [body_files.read(name) for name in names] == [b"0", b"1", b"2"]

    @pytest.mark.parametrize("synced", [0, 1], ids=["file", "directory"])
    def test_a_file_that_cannot_be_made_stable_is_removed(
        self, path: Path, synced: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        syncs = iter(range(2))

        def full(_: int) -> None:
            if next(syncs) == synced:
                raise OSError("No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        path.with_name("objects.db-bodies").mkdir()
        with pytest.raises(OSError, match="No space"):
            BodyFiles(path, CLOCK).write(b"body")
        assert files(path) == []

    async def test_all_retired_names_are_forgotten_however_many(
        self, home: FileHome, path: Path
    ) -> None:
        await home.put_if_newer(KEY, large(), 20.0)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executemany(
                "insert into retired_file values (?)", [(f"gone-{n}",) for n in range(40)]
            )
        await write_some(home)
        async with asyncio.timeout(50):
            while _retired(path):
                await asyncio.sleep(0.01)
        assert not home._files.untidy
        assert len(files(path)) == 1


def _retired(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        [(count,)] = connection.execute("select count(*) from retired_file")
    return int(count)
