"""The file home as a file: shared by processes, held by others, damaged, full, misplaced."""

import asyncio
import random
import sqlite3
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import closing
from hashlib import md5
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tandem.backends.file import FileHome, objects, reading, schema
from tandem.backends.file import home as file_home
from tandem.backends.file.lane import LaneBounds
from tandem.backends.port import ScanPage
from tandem.core.envelope import seal
from tandem.core.key import Key, object_name
from tandem.core.limits import KIB, MIB
from tandem.core.record import Record, Stamp
from tandem.core.reply import Failed, Found, Glimpsed, Missing, Reason, Stored, Superseded
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tandem.runtime.clock import SystemClock
from tests.backends.file_racer import NAMESPACE

CLOCK = SystemClock()
KEY = Key(NAMESPACE, "key")
RACER = Path(__file__).with_name("file_racer.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.db"


@pytest.fixture
async def home(path: Path) -> AsyncIterator[FileHome]:
    opened = await FileHome.open(path, CLOCK)
    yield opened
    await opened.aclose()


def record(value: bytes = b"v") -> Record:
    return seal(Version.at(CLOCK.now_us()), value)


def in_use() -> tuple[int, int]:
    """How many files are open, and how many threads there are."""
    return len(list(Path("/dev/fd").iterdir())), threading.active_count()


async def racer(path: Path, writer: int, keys: int, rounds: int) -> list[list[str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, RACER, path, str(writer), str(keys), str(rounds),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return [line.split("\t") for line in out.decode().splitlines()]


async def test_four_processes_race_for_fifty_keys(path: Path) -> None:
    writers, keys, rounds = 4, 50, 10
    written = await asyncio.gather(*(racer(path, n, keys, rounds) for n in range(writers)))
    newest: dict[str, str] = defaultdict(str)
    for name, version, _ in (line for lines in written for line in lines):
        newest[name] = max(newest[name], version)
    assert len(newest) == keys
    home = await FileHome.open(path, CLOCK)
    for name, version in newest.items():
        found = await home.get(Key(NAMESPACE, name), 20.0)
        assert isinstance(found, Found)
        assert str(found.record.version) == version
    await home.aclose()
    for name, version, outcome in (line for lines in written for line in lines):
        assert outcome == "stored" or version < outcome <= newest[name], outcome


@pytest.mark.parametrize("size", [1, 2 * MIB])
async def test_a_writer_that_another_process_holds_up_answers_in_time(
    home: FileHome, path: Path, size: int
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        held_up = await home.put_if_newer(KEY, record(bytes(size)), 0.1)
        assert held_up == Failed(Reason.TIMEOUT)
        assert not isinstance(await home.get(KEY, 20.0), Failed)
        other.execute("commit")
    assert isinstance(await home.put_if_newer(KEY, record(), 20.0), Stored)


async def test_a_writer_that_is_held_up_too_long_says_so(
    home: FileHome, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    impatient = await FileHome.open(path, CLOCK)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        reply = await impatient.put_if_newer(KEY, record(), 20.0)
        assert reply == Failed(Reason.TIMEOUT, "another process holds the file")
    assert isinstance(await impatient.put_if_newer(KEY, record(), 20.0), Stored)
    await impatient.aclose()


async def test_a_start_that_is_held_up_too_long_may_be_tried_again(
    home: FileHome, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(ConfigurationError, match="locked") as refused:
            await FileHome.open(path, CLOCK)
    assert refused.value.passes


async def test_large_bodies_that_nobody_needs_are_not_read(home: FileHome) -> None:
    large = record(random.Random(1).randbytes(MIB))
    await home.put_if_newer(KEY, large, 20.0)
    assert isinstance(await home.get(KEY, 20.0, lambda: True), Found)
    glimpse = await home.get(KEY, 20.0, lambda: False)
    assert isinstance(glimpse, Glimpsed)
    assert (glimpse.version, glimpse.digest) == (large.version, large.digest)


async def test_what_waits_in_one_turn_is_one_transaction(home: FileHome, path: Path) -> None:
    log = path.with_name("objects.db-wal")
    before = log.stat().st_size
    await asyncio.gather(
        *(home.put_if_newer(Key(NAMESPACE, f"{n:03}"), record(), 20.0) for n in range(200))
    )
    frames = (log.stat().st_size - before) // 4096
    assert frames < 40, "each write had a transaction of its own"


async def test_old_and_new_rows_in_one_statement_each_have_their_answer(home: FileHome) -> None:
    now_us = CLOCK.now_us()
    old, new = (seal(Version.at(at_us), b"v") for at_us in (now_us - 1, now_us))
    assert isinstance(await home.put_if_newer(KEY, new, 20.0), Stored)
    plain = [home.put_if_newer(Key(NAMESPACE, f"{n:03}"), new, 20.0) for n in range(40)]
    older = home.put_if_newer(KEY, old, 20.0)
    again = home.put_if_newer(KEY, new, 20.0)
    assert all(isinstance(each, Stored) for each in await asyncio.gather(*plain))
    assert isinstance(answer := await older, Superseded) and answer.newest == new.version
    assert isinstance(await again, Stored)


async def test_a_full_disk_fails_the_write_and_nothing_else(home: FileHome) -> None:
    small = record()
    await home.put_if_newer(KEY, small, 20.0)
    await home._writes.do(
        lambda connection: connection.execute("pragma max_page_count = 10").close()
    )
    large = await home.put_if_newer(Key(NAMESPACE, "large"), record(b"x" * (MIB // 2)), 20.0)
    assert isinstance(large, Failed)
    assert "full" in large.detail
    found = await home.get(KEY, 20.0)
    assert isinstance(found, Found)
    assert found.record == small
    assert isinstance(await home.put_if_newer(Key(NAMESPACE, "large"), record(), 20.0), Stored)


async def test_a_damaged_file_fails_by_value(home: FileHome, path: Path) -> None:
    for n in range(50):
        await home.put_if_newer(Key(NAMESPACE, f"{n}"), record(b"x" * 3000), 20.0)
    await home.aclose()
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    again = await FileHome.open(path, CLOCK)
    read = await again.get(Key(NAMESPACE, "7"), 20.0)
    assert isinstance(read, Failed)
    assert read.reason is Reason.ERROR
    assert isinstance(await again.put_if_newer(KEY, record(), 20.0), Failed)
    page = await again.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=20.0)
    assert isinstance(page, Failed)
    await again.aclose()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"not a database" * 100, "not a database"), (None, "another program")],
    ids=["no database", "other program"],
)
async def test_a_foreign_file_is_refused_and_left_alone(
    path: Path, content: bytes | None, reason: str
) -> None:
    if content is None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("create table theirs (x)")
    else:
        path.write_bytes(content)
    before = in_use()
    with pytest.raises(ConfigurationError, match=reason):
        await FileHome.open(path, CLOCK)
    assert in_use() == before
    if content is not None:
        assert path.read_bytes() == content


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
async def test_a_file_that_is_gone_confirms_and_shows_nothing(
    home: FileHome, path: Path, replaced: bool
) -> None:
    """The next call of each kind goes to the file that is in its place then."""
    large = Key(NAMESPACE, "large")
    old, big = record(), record(bytes(2 * MIB))
    calls: Sequence[Callable[[], Awaitable[object]]] = [
        lambda: home.get(KEY, 20.0),
        lambda: home.scan(NAMESPACE, after="", prefix="", limit=9, deadline_s=20.0),
        lambda: home.put_if_newer(KEY, old, 20.0),
        lambda: home.put_if_newer(large, big, 20.0),
        lambda: home.remove(KEY, Stamp(old.version, old.digest), 20.0),
    ]
    for call in calls:
        assert not isinstance(await call(), Failed)
    before = await home.incarnation(1.0)
    other = path.with_name("other.db")
    await (await FileHome.open(other, CLOCK)).aclose()
    for file in path.parent.glob("objects.db*"):
        rmtree(file) if file.is_dir() else file.unlink()
    if replaced:
        other.rename(path)
    for call in calls:
        failed = await call()
        assert isinstance(failed, Failed) and "removed or replaced" in failed.detail
    found, page, *_ = [await call() for call in calls]
    assert isinstance(found, Missing)
    assert isinstance(page, ScanPage) and not page.entries
    if replaced:  # of an empty one its store id tells
        assert await home.incarnation(1.0) != before
    opened = await FileHome.open(path, CLOCK)
    assert isinstance(await opened.get(large, 20.0), Found)
    await opened.aclose()


async def test_a_later_format_is_refused(home: FileHome, path: Path) -> None:
    await home.aclose()
    with closing(sqlite3.connect(path)) as later:
        later.execute("pragma user_version = 3")
    with pytest.raises(ConfigurationError, match="format 3"):
        await FileHome.open(path, CLOCK)


@pytest.mark.parametrize("place", ["nowhere/objects.db", "."])
async def test_a_place_where_no_file_can_be_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await FileHome.open(tmp_path / place, CLOCK)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"etag": b"", "body": bytes(100)}, "the body does not match its ETag"),
        ({"etag": md5(bytes(100)).digest(), "body": bytes(100)}, "not an envelope"),
        ({"version": bytes(16)}, "the row's version is not its envelope's"),
    ],
    ids=["digest", "envelope", "version"],
)
async def test_rows_of_a_kind_that_cannot_be_fail_alone(
    home: FileHome, path: Path, damage: dict[str, bytes], told: str
) -> None:
    await home.put_if_newer(KEY, record(), 20.0)
    with closing(sqlite3.connect(path)) as other, other:
        for column, value in damage.items():
            other.execute(f"update objects set {column} = ?", (value,))
    reply = await home.get(KEY, 20.0)
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.CORRUPT
    assert told in reply.detail


async def test_a_row_whose_name_no_object_has_fails_a_listing(home: FileHome, path: Path) -> None:
    await home.put_if_newer(KEY, record(), 20.0)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("update objects set name = ?", (f"{NAMESPACE}/!".encode(),))
    page = await home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=20.0)
    assert isinstance(page, Failed)
    assert page.reason is Reason.ERROR


async def test_nothing_of_a_home_outlives_it(path: Path) -> None:
    async def used() -> None:
        home = await FileHome.open(path, CLOCK)
        with home.ahead() as ahead:
            assert ahead is not None
            for _ in range(8):
                ahead.add(bytes(MIB))
        for size in (1, 2 * MIB):
            assert isinstance(await home.put_if_newer(KEY, record(bytes(size)), 20.0), Stored)
            assert isinstance(await home.get(KEY, 20.0), Found)
        await home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=20.0)
        await home.purge_namespace(NAMESPACE, 10, 20.0)
        await home.aclose()
        await home.aclose()

    await used()
    before = in_use()
    await used()
    assert in_use() == before


async def test_a_fault_while_a_reply_is_passed_on_fails_its_group_and_no_other(
    home: FileHome,
) -> None:
    def needed() -> bool:
        raise LookupError("nobody knows")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    large = record(bytes(MIB))
    assert isinstance(await home.put_if_newer(KEY, large, 20.0), Stored)
    failed = await home.get(KEY, 20.0, needed)
    assert isinstance(failed, Failed)
    assert "nobody knows" in failed.detail
    assert isinstance(await home.get(KEY, 20.0), Found)
    assert [str(context["exception"]) for context in told] == ["nobody knows"]


async def test_more_calls_than_may_wait_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_READS", LaneBounds(11, group_max=256, waiting_bytes_max=10))
    narrow = await FileHome.open(path, CLOCK)
    replies = await asyncio.gather(*(narrow.get(KEY, 20.0) for _ in range(11)))
    assert [isinstance(reply, Failed) for reply in replies] == [False] * 10 + [True]
    assert isinstance(await narrow.get(KEY, 20.0), Missing)
    await narrow.aclose()


async def test_more_bytes_than_may_wait_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = LaneBounds(waiting_max=100, group_max=10, waiting_bytes_max=20 * KIB)
    monkeypatch.setattr(file_home, "_WRITES", bounds)
    narrow = await FileHome.open(path, CLOCK)
    for _ in range(3):
        keys = [Key(NAMESPACE, f"k{n}") for n in range(6)]
        replies = await asyncio.gather(*(narrow.put_if_newer(key, record(), 20.0) for key in keys))
        assert [type(reply) for reply in replies] == [Stored] * 4 + [Failed] * 2
    large = record(bytes(64 * KIB))
    assert isinstance(await narrow.put_if_newer(KEY, large, 20.0), Stored), "one always may wait"
    await narrow.aclose()


async def test_objects_have_the_names_that_they_have_on_s3(home: FileHome, path: Path) -> None:
    await home.put_if_newer(KEY, record(), 20.0)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("select name from objects").fetchall() == [
            (object_name("", KEY).encode(),)
        ]


async def test_the_log_does_not_grow_without_end(
    home: FileHome, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_WAL_BYTES_MAX", 2 * MIB)
    log = path.with_name("objects.db-wal")
    for n in range(20):
        key = Key(NAMESPACE, f"{n}")
        assert isinstance(await home.put_if_newer(key, record(b"x" * (MIB - 99)), 20.0), Stored)
    assert log.stat().st_size < 6 * MIB


@pytest.mark.parametrize("size", [64 * 1024 + 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
async def test_a_large_body_comes_back_whole_whatever_stood_there(
    home: FileHome, size: int
) -> None:
    """Its room is made first and filled in pieces: smaller, larger and small bodies take turns."""
    for written in (size, size // 2, 10, size + MIB, size):
        put = record(random.Random(written).randbytes(written))
        assert isinstance(await home.put_if_newer(KEY, put, 20.0), Stored)
        found = await home.get(KEY, 20.0)
        assert isinstance(found, Found)
        assert found.record == put


async def test_a_large_body_that_is_older_leaves_what_stands(home: FileHome) -> None:
    older, newer = record(b"o" * MIB), record(b"n" * MIB)
    await home.put_if_newer(KEY, newer, 20.0)
    assert isinstance(await home.put_if_newer(KEY, older, 20.0), Superseded)
    found = await home.get(KEY, 20.0)
    assert isinstance(found, Found)
    assert found.record == newer


async def test_a_connection_that_is_being_opened_is_closed_before_its_home_is(
    home: FileHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = threading.Event(), threading.Event()
    connect = sqlite3.connect

    def slow(*place: Any, **settings: Any) -> sqlite3.Connection:  # noqa: ANN401 - hands on
        opening.set()
        assert go_on.wait(60)
        connected: sqlite3.Connection = connect(*place, **settings)
        return connected

    monkeypatch.setattr(sqlite3, "connect", slow)
    read = home.get(KEY, 20.0)
    assert await asyncio.to_thread(opening.wait, 60)
    closing_home = asyncio.create_task(home.aclose())
    assert isinstance(await read, Failed)
    assert not (await asyncio.wait({closing_home}, timeout=0.2))[0]
    go_on.set()
    await closing_home
