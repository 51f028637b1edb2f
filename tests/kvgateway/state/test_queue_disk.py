"""The repair queue's file on a disk that is really full, and how seldom it is written."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kvgateway.state.ports import QueuedTask
from kvgateway.state.queue import SqliteQueue
from tests.kvgateway.state.test_queue import task
from tests.servers.small_disk import fill

SINCE_US = 10


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Whatever this process writes behind that is an error, as on a disk that is dying."""
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, no_limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)


async def _filled(queue: SqliteQueue, disk: Path) -> tuple[Path, list[QueuedTask]]:
    """A queue that the disk refuses from now on, and what it held before."""
    await queue.add([task("kept")], SINCE_US)
    ballast = fill(disk)
    for number in range(10_000):
        before = await queue.sample(10_000)
        try:
            await queue.add([task(f"{number:05}-{n:03}" * 20) for n in range(100)], SINCE_US)
        except OSError:
            return ballast, before
    raise AssertionError("the disk takes everything")


async def test_what_a_full_disk_refuses_changes_nothing_and_goes_once_there_is_room(
    small_disk: Path,
) -> None:
    queue = await SqliteQueue.open(small_disk / "repair.sqlite")
    ballast, before = await _filled(queue, small_disk)
    for _ in range(3):
        with pytest.raises(OSError, match="full"):
            await queue.add([task(f"{n:03}" * 100) for n in range(300)], SINCE_US)
        assert await queue.sample(10_000) == before
        assert (await queue.stats()).depth == len(before)
    ballast.unlink()
    await queue.add([task("later")], SINCE_US)
    names = {one.task.key.name for one in await queue.sample(10_000)}
    assert names == {one.task.key.name for one in before} | {"later"}
    await queue.aclose()


async def test_a_queue_that_was_refused_shows_the_same_when_it_is_opened_again(
    small_disk: Path,
) -> None:
    queue = await SqliteQueue.open(small_disk / "repair.sqlite")
    ballast, before = await _filled(queue, small_disk)
    other = await SqliteQueue.open(small_disk / "repair.sqlite")
    assert await other.sample(10_000) == before
    await queue.aclose()
    await other.aclose()
    ballast.unlink()
    queue = await SqliteQueue.open(small_disk / "repair.sqlite")
    assert await queue.sample(10_000) == before
    await queue.aclose()


async def test_after_an_error_of_the_disk_nothing_depends_on_the_log(tmp_path: Path) -> None:
    """As kernels have it, a page whose sync has failed counts as written at the next one."""
    queue = await SqliteQueue.open(tmp_path / "repair.sqlite")
    await queue.add([task("before")], SINCE_US)
    log = tmp_path / "repair.sqlite-wal"
    size = log.stat().st_size
    with files_no_longer_than(size), pytest.raises(OSError, match="disk I/O error"):
        await queue.add([task("refused")], SINCE_US)
    assert [one.task.key.name for one in await queue.sample(9)] == ["before"]
    await queue.add([task("after")], SINCE_US)
    assert log.stat().st_size < size
    alone = tmp_path / "alone.sqlite"
    alone.write_bytes((tmp_path / "repair.sqlite").read_bytes())
    without_log = await SqliteQueue.open(alone)
    assert [one.task.key.name for one in await without_log.sample(9)] == ["before"]
    await without_log.aclose()
    assert {one.task.key.name for one in await queue.sample(9)} == {"before", "after"}
    await queue.aclose()


async def test_a_log_that_others_read_is_moved_once_they_have_ended(tmp_path: Path) -> None:
    queue = await SqliteQueue.open(tmp_path / "repair.sqlite")
    await queue.add([task("before")], SINCE_US)
    size = (tmp_path / "repair.sqlite-wal").stat().st_size
    with files_no_longer_than(size), pytest.raises(OSError, match="disk I/O error"):
        await queue.add([task("refused")], SINCE_US)
    await queue._connection.execute("pragma busy_timeout = 10")
    with closing(sqlite3.connect(tmp_path / "repair.sqlite", isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select count(*) from repair").fetchone()
        with pytest.raises(OSError, match="in use elsewhere"):
            await queue.add([task("after")], SINCE_US)
        reader.execute("commit")
    await queue.add([task("after")], SINCE_US)
    assert len(await queue.sample(9)) == 2
    await queue.aclose()


async def test_looking_for_work_in_vain_writes_nothing(tmp_path: Path) -> None:
    queue = await SqliteQueue.open(tmp_path / "repair.sqlite")
    await queue.add([task("a")], due_us=1_000)
    log = tmp_path / "repair.sqlite-wal"
    size = log.stat().st_size
    for now_us in range(10):
        assert await queue.take(16, now_us, 60_000_000) == []
    assert log.stat().st_size == size
    assert len(await queue.take(16, 1_000, 60_000_000)) == 1
    assert log.stat().st_size > size
    await queue.aclose()
