"""Full disks: writes fail and say why, reads are served, and what was replaced makes room."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from kvsp.rules import REPLACED_BLOB_LIFE_FULL_US
from kvsp.sqlite.cluster import SqliteCluster
from tandem.core.reply import Failed, Stored
from tests.e2e.waiting import until_true
from tests.kvsp.records import SetClock, get, put, value, write_large
from tests.kvsp.serving import open_store

STORED = Stored(0)


async def test_a_full_disk_fails_writes_and_serves_reads(small_disk: Path) -> None:
    store = await open_store(small_disk / "kvsp", 1)
    [cluster] = store.clusters
    now_us = cluster._file._opener.clock.now_us
    try:
        assert await cluster.write([put("first", value(at_us=now_us()))]) == [STORED]
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space left"):
            ballast.write_bytes(bytes(8 << 20))
        for number in range(3):
            big = value(b"x" * 100_000, now_us())
            answers = await cluster.write([put(f"big-{number}-{n}", big) for n in range(10)])
            assert {type(answer) for answer in answers} == {Failed}
            assert "full" in str(answers[0])
            [found] = await cluster.read([get("first")])
            assert isinstance(found, bytes)
        ballast.unlink()
        async with asyncio.timeout(60):
            while await cluster.write([put("later", value(at_us=now_us()))]) != [STORED]:
                await asyncio.sleep(0.02)
        [found] = await cluster.read([get("later")])
        assert isinstance(found, bytes)
    finally:
        await store.aclose()


async def test_a_large_value_on_a_full_disk_fails_clearly(small_disk: Path) -> None:
    store = await open_store(small_disk / "kvsp", 1)
    [cluster] = store.clusters
    try:
        record = value(bytes(16 << 20), cluster._file._opener.clock.now_us())
        failed = await write_large(cluster, put("key", record))
        assert isinstance(failed, Failed)
        assert "No space left" in failed.detail
    finally:
        await store.aclose()


async def _collected(cluster: SqliteCluster) -> bool:
    return await cluster.large.collect() is None


async def test_replaced_blobs_that_fill_the_disk_go_before_their_hour(
    small_disk: Path, clock: SetClock
) -> None:
    store = await open_store(small_disk / "kvsp", 1, clock)
    [cluster] = store.clusters
    try:
        answer: object = STORED
        while answer == STORED:
            clock.time_us += 1
            record = value(bytes(1 << 20), clock.time_us)
            answer = await write_large(cluster, put("key", record))
        assert "No space left" in str(answer)
        await until_true(partial(_collected, cluster), "the collector finds room for its own row")
        assert "No space left" in str(await write_large(cluster, put("key", record)))
        clock.time_us += REPLACED_BLOB_LIFE_FULL_US
        await until_true(partial(_collected, cluster), "the collector finds room for its own row")
        for _ in range(2):
            newest = value(bytes(1 << 20), clock.time_us)
            assert await write_large(cluster, put("key", newest)) == STORED
            assert await _collected(cluster)
            clock.time_us += REPLACED_BLOB_LIFE_FULL_US
        assert await _collected(cluster)
        blobs = [file for file in (small_disk / "kvsp" / "blobs").rglob("*") if file.is_file()]
        assert len(blobs) == 3, "none that was replaced since there is room has gone"
    finally:
        await store.aclose()
