"""Large values: outside their rows, never lost while in use, never kept without use."""

import asyncio
import sqlite3
from collections.abc import AsyncIterable
from contextlib import closing
from pathlib import Path

import pytest

from kvsp.cluster import Absent, InBlob, ReadAnswer
from kvsp.rules import UNUSED_BLOB_LIFE_US
from kvsp.sqlite.cluster import SqliteCluster
from tandem.core.limits import MIB
from tandem.core.record import Record
from tandem.core.reply import Failed, Reason, Stored, Superseded
from tandem.core.version import NO_VERSION
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Put
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, START_US, SetClock, get, put, value, write_large

STORED = Stored(0)
LARGE = MIB


def large(at_us: int = START_US, fill: bytes = b"x") -> Record:
    return value(fill * LARGE, at_us)


@pytest.fixture
async def cluster(opening: Opening) -> SqliteCluster:
    return (await opening()).clusters[0]


def files(tmp_path: Path) -> list[Path]:
    return [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]


def pending(tmp_path: Path) -> int:
    with closing(sqlite3.connect(tmp_path / "cluster-0.sqlite")) as connection:
        rows: int = connection.execute("select count(*) from blob_pending").fetchone()[0]
        return rows


async def read(cluster: SqliteCluster, name: str = "key") -> ReadAnswer:
    [answer] = await cluster.read([get(name)])
    return await cluster.load(answer) if isinstance(answer, InBlob) else answer


async def listed(cluster: SqliteCluster) -> list[str]:
    part = await cluster.scan(Scan(NAMESPACE, b"", b"", 100))
    assert not isinstance(part, Failed)
    return [row[0].decode() for row in part.rows]


async def test_a_large_value_lies_outside_its_row(cluster: SqliteCluster, tmp_path: Path) -> None:
    record = large()
    assert await write_large(cluster, put("key", record)) == STORED
    assert await read(cluster) == record.envelope
    assert [file.read_bytes() for file in files(tmp_path)] == [record.envelope]
    assert pending(tmp_path) == 0
    assert await listed(cluster) == ["key"]


async def test_the_newest_wins_whatever_the_sizes(cluster: SqliteCluster, tmp_path: Path) -> None:
    newer, older = large(START_US), large(START_US - 2)
    between = value(at_us=START_US - 1)
    assert await write_large(cluster, put("key", older)) == STORED
    assert await cluster.write([put("key", between)]) == [STORED]
    assert await write_large(cluster, put("key", newer)) == STORED
    assert await write_large(cluster, put("key", older)) == Superseded(newer.version, 0)
    assert await cluster.write([put("key", between)]) == [Superseded(newer.version, 0)]
    assert await write_large(cluster, put("key", newer)) == STORED
    assert await read(cluster) == newer.envelope
    assert len(files(tmp_path)) == 2


async def test_a_replaced_blob_lives_an_hour_longer(
    cluster: SqliteCluster, tmp_path: Path, clock: SetClock
) -> None:
    old = large(START_US - 1)
    await write_large(cluster, put("key", old))
    [held] = await cluster.read([get("key")])
    assert isinstance(held, InBlob)
    await cluster.write([put("key", value())])
    await cluster.collect()
    clock.time_us += UNUSED_BLOB_LIFE_US - 1
    await cluster.collect()
    assert await cluster.load(held) == old.envelope
    clock.time_us += 1
    await cluster.collect()
    assert await cluster.load(held) == Absent(NO_VERSION)
    assert files(tmp_path) == []
    assert await read(cluster) == value().envelope


async def test_an_orphan_is_collected_and_its_row_refused(
    cluster: SqliteCluster, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that pauses for an hour between its blob and its row finds the entry taken."""
    blobs = cluster._blobs
    write = blobs.write

    async def write_slowly(blob: str, pieces: AsyncIterable[bytes], digest: bytes) -> None:
        await write(blob, pieces, digest)
        clock.time_us += UNUSED_BLOB_LIFE_US
        await cluster.collect()

    monkeypatch.setattr(blobs, "write", write_slowly)
    record = large(START_US + UNUSED_BLOB_LIFE_US)
    refused = await write_large(cluster, put("key", record))
    assert isinstance(refused, Failed)
    assert "collected" in refused.detail
    assert await read(cluster) == Absent(NO_VERSION)
    assert (files(tmp_path), pending(tmp_path)) == ([], 0)


async def test_a_crash_before_the_row_leaves_no_blob_for_ever(
    opening: Opening, tmp_path: Path, clock: SetClock
) -> None:
    cluster = (await opening()).clusters[0]
    orphan = tmp_path / "blobs" / "cluster-0" / "ab" / ("ab" * 16)
    orphan.parent.mkdir()
    orphan.write_bytes(b"half")
    with closing(sqlite3.connect(tmp_path / "cluster-0.sqlite")) as connection, connection:
        connection.execute("insert into blob_pending values (?, ?)", (orphan.name, START_US))
    await cluster.collect()
    assert orphan.exists()
    clock.time_us += UNUSED_BLOB_LIFE_US
    await cluster.collect()
    assert not orphan.exists()
    assert pending(tmp_path) == 0


@pytest.mark.parametrize("again", [large(), value(b"small", START_US - 1)], ids=["same", "older"])
async def test_a_row_without_its_blob_is_a_missing_record(
    cluster: SqliteCluster, tmp_path: Path, again: Record
) -> None:
    await write_large(cluster, put("key", large()))
    [file] = files(tmp_path)
    file.unlink()
    assert await read(cluster) == Absent(NO_VERSION)
    assert await listed(cluster) == []
    assert await stored(cluster, put("key", again)) == STORED
    assert await read(cluster) == again.envelope
    assert await listed(cluster) == ["key"]


async def stored(cluster: SqliteCluster, wanted: Put) -> object:
    if len(wanted.record.envelope) >= LARGE:
        return await write_large(cluster, wanted)
    [answer] = await cluster.write([wanted])
    return answer


async def test_a_corrupt_blob_is_replaced_by_the_same_version(
    cluster: SqliteCluster, tmp_path: Path
) -> None:
    record = large()
    await write_large(cluster, put("key", record))
    [file] = files(tmp_path)
    file.write_bytes(record.envelope[:-1] + b"y")
    corrupt = await read(cluster)
    assert isinstance(corrupt, Failed)
    assert corrupt.reason is Reason.CORRUPT
    assert await write_large(cluster, put("key", record, over_corrupt=True)) == STORED
    assert await read(cluster) == record.envelope


async def test_racing_large_writes_leave_one_value(
    cluster: SqliteCluster, tmp_path: Path, clock: SetClock
) -> None:
    records = [large(START_US + n, bytes([65 + n])) for n in range(8)]
    answers = await asyncio.gather(
        *(write_large(cluster, put("key", record)) for record in reversed(records))
    )
    assert all(isinstance(answer, Stored | Superseded) for answer in answers)
    assert await read(cluster) == records[-1].envelope
    for _ in range(2):
        clock.time_us += UNUSED_BLOB_LIFE_US
        await cluster.collect()
    assert [file.read_bytes() for file in files(tmp_path)] == [records[-1].envelope]
