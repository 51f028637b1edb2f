"""What any repair queue must do: run against the SQLite file and against the simulator's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvgateway.state.ports import (
    DirtyMark,
    QueuedTask,
    QueueStats,
    RepairQueue,
    RepairTask,
    Taken,
)
from kvgateway.state.queue import SqliteQueue
from tandem.backends.sqlite_thread import on_thread
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version
from tests.memory.queue import MemoryQueue

ROWS_MAX = 160
NAMESPACE, OTHER = "ab" * 16, "cd" * 16
BOTH = (Side.KVSP, Side.S3)


@pytest.fixture(params=["sqlite", "memory"])
async def queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RepairQueue]:
    if request.param == "memory":
        yield MemoryQueue(ROWS_MAX)
    else:
        queue = await SqliteQueue.open(tmp_path / "repair.sqlite", ROWS_MAX)
        yield queue
        await queue.aclose()


def task(
    name: str, version: int = 1, missing: tuple[Side, ...] = (Side.S3,), namespace: str = NAMESPACE
) -> RepairTask:
    return RepairTask(Key(namespace, name), Version.at(version), missing)


async def taken_one(queue: RepairQueue, now_us: int = 100) -> Taken:
    (taken,) = await queue.take(1, now_us, 50)
    return taken


async def test_an_empty_queue(queue: RepairQueue) -> None:
    assert await queue.take(10, 10**18, 1) == []
    assert await queue.wanted(Key(NAMESPACE, "a")) == NO_VERSION
    assert await queue.stats() == QueueStats(0, 0, 0, 0, None, 0)
    assert await queue.sample(10) == []
    assert await queue.dirty() == []
    await queue.add([], 1)


async def test_tasks_are_taken_when_they_are_due_and_leased(queue: RepairQueue) -> None:
    await queue.add([task("b"), task("a")], 10)
    await queue.add([task("c")], 5)
    assert await queue.take(10, 4, 50) == []
    assert [t.task.key.name for t in await queue.take(2, 10, 50)] == ["c", "a"]
    assert [t.task.key.name for t in await queue.take(2, 10, 50)] == ["b"]
    assert await queue.take(10, 59, 50) == []
    assert len(await queue.take(10, 60, 50)) == 3


async def test_reports_of_one_key_are_merged(queue: RepairQueue) -> None:
    await queue.add([task("a", 5, (Side.S3,)), task("a", 3, (Side.KVSP,))], 10)
    assert await queue.wanted(Key(NAMESPACE, "a")) == Version.at(5)
    assert (await taken_one(queue)).task == task("a", 5, BOTH)
    assert (await queue.stats()).depth == 1


async def test_a_task_that_is_done_is_gone(queue: RepairQueue) -> None:
    await queue.add([task("a"), task("b")], 10)
    taken = await queue.take(10, 10, 50)
    await queue.done(taken)
    await queue.done(taken)
    assert (await queue.stats()).depth == 0


async def test_a_task_reported_again_meanwhile_stays_and_is_due(queue: RepairQueue) -> None:
    await queue.add([task("a"), task("b")], 10)
    taken, other = await queue.take(2, 100, 50)
    await queue.add([task("a")], 20)
    assert await queue.take(1, 100, 50) == []
    await queue.done([taken])
    (again,) = await queue.take(2, 100, 50)
    assert again.task == task("a")
    await queue.done([again, other])
    assert (await queue.stats()).depth == 0


async def test_a_lease_that_ran_out_removes_nothing(queue: RepairQueue) -> None:
    await queue.add([task("a")], 10)
    first = await taken_one(queue, 10)
    second = await taken_one(queue, 60)
    assert first.generation != second.generation
    await queue.done([first])
    assert (await queue.stats()).depth == 1
    second = await taken_one(queue, 60)
    await queue.done([second])
    assert (await queue.stats()).depth == 0


async def test_what_the_dead_had_taken_is_free_and_not_theirs(queue: RepairQueue) -> None:
    await queue.add([task("a")], 10)
    await queue.add([task("b")], 100)
    of_the_dead = await taken_one(queue, 10)
    await queue.free()
    again = await queue.take(10, 11, 50)
    assert [one.task.key.name for one in again] == ["a"]
    await queue.done([of_the_dead])
    assert (await queue.stats()).depth == 2


async def test_a_failed_task_waits_and_keeps_its_backoff(queue: RepairQueue) -> None:
    await queue.add([task("a")], 10)
    taken = await taken_one(queue)
    assert taken.attempts == 0
    await queue.later(taken, 500, "s3: timeout")
    assert await queue.take(1, 499, 50) == []
    await queue.add([task("a", 7)], 101)
    assert await queue.take(1, 499, 50) == []
    assert await queue.sample(5) == [
        QueuedTask(task("a", 7), 1, 10, 500, "s3: timeout", needs_person=False)
    ]
    again = await taken_one(queue, 500)
    assert (again.attempts, again.task.version) == (1, Version.at(7))


async def test_a_task_put_back_twice_counts_once(queue: RepairQueue) -> None:
    await queue.add([task("a")], 10)
    taken = await taken_one(queue)
    await queue.later(taken, 500, "first")
    await queue.later(taken, 900, "second")
    assert [(t.attempts, t.failure) for t in await queue.sample(5)] == [(1, "first")]
    await queue.done([taken])
    await queue.park(taken, "too late")
    assert [(t.attempts, t.needs_person) for t in await queue.sample(5)] == [(1, False)]


async def test_who_heals_a_key_by_other_means_removes_its_task(queue: RepairQueue) -> None:
    assert await queue.queued(Key(NAMESPACE, "a")) is None
    await queue.add([task("a", 5)], 10)
    await queue.park(await taken_one(queue), "both copies are corrupt")
    parked = await queue.queued(Key(NAMESPACE, "a"))
    assert parked is not None
    assert parked.task == task("a", 5)
    assert await queue.queued(Key(NAMESPACE, "b")) is None
    assert await queue.wanted(Key(OTHER, "a")) == NO_VERSION
    await queue.add([task("a", 6)], 10)
    await queue.done([parked])
    assert await queue.wanted(Key(NAMESPACE, "a")) == Version.at(6)
    newest = await queue.queued(Key(NAMESPACE, "a"))
    assert newest is not None
    await queue.done([newest])
    assert await queue.stats() == QueueStats(0, 0, 0, 0, None, 0)


async def test_a_parked_task_waits_for_a_person_or_a_newer_version(queue: RepairQueue) -> None:
    await queue.add([task("a", 5)], 10)
    await queue.park(await taken_one(queue), "both copies are corrupt")
    assert await queue.take(1, 10**15, 50) == []
    assert (await queue.stats()).needs_person == 1
    assert await queue.wanted(Key(NAMESPACE, "a")) == Version.at(5)
    await queue.add([task("a", 5), task("b")], 20)
    assert [t.failure for t in await queue.sample(5)] == ["", "both copies are corrupt"]
    assert (await queue.stats()).needs_person == 1
    await queue.add([task("a", 6)], 20)
    assert (await queue.stats()).needs_person == 0
    assert len(await queue.take(5, 20, 50)) == 2


async def test_stats_count_each_side(queue: RepairQueue) -> None:
    await queue.add([task("a"), task("b", 1, BOTH)], 30)
    await queue.add([task("c", 1, (Side.KVSP,), OTHER)], 20)
    assert await queue.stats() == QueueStats(3, 2, 2, 0, 20, 0)
    await queue.add([task("a", 1, (Side.KVSP,))], 40)
    assert await queue.stats() == QueueStats(3, 3, 2, 0, 20, 0)
    (_, _, b) = await queue.take(3, 100, 50)
    await queue.park(b, "both copies are corrupt")
    assert await queue.stats() == QueueStats(3, 2, 1, 1, 20, 0)


async def test_at_the_bound_the_largest_namespace_becomes_dirty(queue: RepairQueue) -> None:
    await queue.add([task(f"few{n}", namespace=OTHER, missing=BOTH) for n in range(60)], 5)
    await queue.add([task(f"k{n:03}") for n in range(100)], 7)
    assert await queue.dirty() == []
    await queue.add([task("one more", missing=(Side.S3,))], 9)
    assert await queue.dirty() == [DirtyMark(Side.S3, NAMESPACE, 9)]
    stats = await queue.stats()
    assert (stats.depth, stats.dirty_marks) == (150, 1)
    assert await queue.wanted(Key(NAMESPACE, "k010")) == NO_VERSION
    assert await queue.wanted(Key(NAMESPACE, "k011")) == Version.at(1)
    assert await queue.wanted(Key(OTHER, "few0")) == Version.at(1)


async def test_one_batch_far_above_the_bound_collapses_whole_namespaces(
    queue: RepairQueue,
) -> None:
    await queue.add([task(f"few{n}", namespace=OTHER, missing=BOTH) for n in range(150)], 5)
    await queue.add([task(f"k{n}") for n in range(400)], 7)
    assert (await queue.stats()).depth == 150
    assert await queue.dirty() == [DirtyMark(Side.S3, NAMESPACE, 7)]
    await queue.add([task(f"k{n}", namespace="ef" * 16) for n in range(200)], 8)
    assert (await queue.stats()).depth == 150
    marks = await queue.dirty()
    assert {(m.side, m.namespace) for m in marks} >= {(Side.S3, "ef" * 16)}


async def test_only_a_crawl_that_began_later_clears_a_mark(queue: RepairQueue) -> None:
    await queue.add([task(f"k{n}", missing=BOTH) for n in range(ROWS_MAX + 1)], 100)
    await queue.clear_dirty(Side.S3, NAMESPACE, 100)
    await queue.clear_dirty(Side.S3, OTHER, 101)
    assert len(await queue.dirty()) == 2
    await queue.clear_dirty(Side.S3, NAMESPACE, 101)
    assert await queue.dirty() == [DirtyMark(Side.KVSP, NAMESPACE, 100)]
    await queue.add([task(f"l{n}", missing=BOTH) for n in range(ROWS_MAX + 1)], 200)
    assert await queue.dirty() == [
        DirtyMark(Side.KVSP, NAMESPACE, 200),
        DirtyMark(Side.S3, NAMESPACE, 200),
    ]


async def test_the_file_is_shared_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "repair.sqlite"
    one, two = await SqliteQueue.open(path), await SqliteQueue.open(path)
    await one.add([task(f"k{n}") for n in range(100)], 10)
    mine, yours = await one.take(60, 10, 50), await two.take(60, 10, 50)
    assert (len(mine), len(yours)) == (60, 40)
    assert not {t.task.key for t in mine} & {t.task.key for t in yours}
    await two.done(yours)
    await one.aclose()
    await two.aclose()
    three = await SqliteQueue.open(path)
    assert (await three.stats()).depth == 60
    await three.aclose()


async def test_a_full_disk_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    queue = await SqliteQueue.open(tmp_path / "repair.sqlite")
    await queue.add([task("a")], 10)
    await on_thread(queue._connection, lambda db: db.execute("pragma max_page_count = 20"))
    with pytest.raises(OSError, match="full"):
        await queue.add([task(f"k{n}") for n in range(5000)], 20)
    assert (await queue.stats()).depth == 1
    await queue.add([task("b")], 10)
    assert len(await queue.take(5, 10, 50)) == 2
    await queue.aclose()
