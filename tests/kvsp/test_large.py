"""Large values: outside their rows, never lost while in use, never kept without use."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

import pytest

from kvsp.answers import Absent, InBlob, ReadAnswer
from kvsp.limits import ClusterLimits
from kvsp.rules import UNUSED_BLOB_LIFE_US
from tandem.core.limits import MIB
from tandem.core.record import Record
from tandem.core.removal import Span
from tandem.core.reply import Failed, Reason, Refusal, Refused, Stored, Superseded
from tandem.core.version import NO_VERSION, Version
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Put
from tests.kvsp.engines import AnyCluster, Engine
from tests.kvsp.records import (
    NAMESPACE,
    START_US,
    SetClock,
    get,
    pieces_of,
    put,
    value,
    write_large,
)

STORED = Stored(0)
LARGE = MIB


def large(at_us: int = START_US, fill: bytes = b"x") -> Record:
    return value(fill * LARGE, at_us)


@pytest.fixture
async def cluster(engine: Engine) -> AnyCluster:
    return await engine.only()


async def read(cluster: AnyCluster, name: str = "key") -> ReadAnswer:
    [answer] = await cluster.read([get(name)])
    return await cluster.large.load(answer) if isinstance(answer, InBlob) else answer


async def listed(cluster: AnyCluster) -> list[str]:
    part = await cluster.scan(Scan(NAMESPACE, b"", b"", 100))
    assert not isinstance(part, Failed)
    return [row[0].decode() for row in part.rows]


async def test_a_large_value_lies_outside_its_row(cluster: AnyCluster, engine: Engine) -> None:
    record = large()
    assert await write_large(cluster, put("key", record)) == STORED
    assert await read(cluster) == record.envelope
    assert await engine.blobs() == [record.envelope]
    assert await engine.pending() == 0
    assert await listed(cluster) == ["key"]


async def test_more_large_values_than_may_wait_are_refused_and_the_room_comes_back(
    engine: Engine,
) -> None:
    cluster = await engine.only(ClusterLimits(large_at_once_max=1, large_waiting_max=2))
    come, record = asyncio.Event(), large()
    receiving = most = 0

    async def late() -> AsyncIterator[bytes]:
        nonlocal receiving, most
        receiving += 1
        most = max(most, receiving)
        await come.wait()
        async for piece in pieces_of(record):
            yield piece
        receiving -= 1

    for _ in range(2):
        come.clear()
        puts = [put(f"key-{number}", record).without_envelope() for number in range(2)]
        under_way = [asyncio.ensure_future(cluster.large.write(one, late())) for one in puts]
        await asyncio.sleep(0)
        refused = await write_large(cluster, put("one more", record))
        assert refused == Failed(Reason.OVERLOADED, "too many large values wait")
        come.set()
        assert await asyncio.gather(*under_way) == [STORED, STORED]
    assert most == 1, "the other one waits for its turn"
    assert await listed(cluster) == ["key-0", "key-1"]


async def test_the_newest_wins_whatever_the_sizes(cluster: AnyCluster, engine: Engine) -> None:
    newer, older = large(START_US), large(START_US - 2)
    between = value(at_us=START_US - 1)
    assert await write_large(cluster, put("key", older)) == STORED
    assert await cluster.write([put("key", between)]) == [STORED]
    assert await write_large(cluster, put("key", newer)) == STORED
    assert await write_large(cluster, put("key", older)) == Superseded(newer.version, 0)
    assert await cluster.write([put("key", between)]) == [Superseded(newer.version, 0)]
    assert await write_large(cluster, put("key", newer)) == STORED
    assert await read(cluster) == newer.envelope
    assert len(await engine.blobs()) == 2


async def test_a_replaced_blob_lives_an_hour_longer(
    cluster: AnyCluster, engine: Engine, clock: SetClock
) -> None:
    old = large(START_US - 1)
    await write_large(cluster, put("key", old))
    [held] = await cluster.read([get("key")])
    assert isinstance(held, InBlob)
    await cluster.write([put("key", value())])
    await cluster.large.collect()
    clock.time_us += UNUSED_BLOB_LIFE_US - 1
    await cluster.large.collect()
    assert await cluster.large.load(held) == old.envelope
    clock.time_us += 1
    await cluster.large.collect()
    assert await cluster.large.load(held) == Absent(NO_VERSION)
    assert await engine.blobs() == []
    assert await read(cluster) == value().envelope


async def test_a_replaced_blob_lives_an_hour_longer_whenever_kvsp_is_started(
    engine: Engine, clock: SetClock
) -> None:
    store = await engine.open()
    await write_large(store.clusters[0], put("key", large(START_US - 1)))
    await store.clusters[0].write([put("key", value())])
    await store.clusters[0].large.collect()
    await store.aclose()
    clock.time_us += UNUSED_BLOB_LIFE_US - 1
    await (await engine.only()).large.collect()
    assert await engine.blobs()


async def test_an_orphan_is_collected_and_its_row_refused(
    cluster: AnyCluster, engine: Engine, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that pauses for an hour between its blob and its row finds the entry taken."""
    blobs = cluster.large._blobs
    write = blobs.write

    async def write_slowly(
        blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> Failed | None:
        written = await write(blob, pieces, digest)
        clock.time_us += UNUSED_BLOB_LIFE_US
        await cluster.large.collect()
        return written

    monkeypatch.setattr(blobs, "write", write_slowly)
    record = large(START_US + UNUSED_BLOB_LIFE_US)
    refused = await write_large(cluster, put("key", record))
    assert isinstance(refused, Failed)
    assert "collected" in refused.detail
    assert await read(cluster) == Absent(NO_VERSION)
    assert (await engine.blobs(), await engine.pending()) == ([], 0)


async def test_a_crash_before_the_row_leaves_no_blob_for_ever(
    engine: Engine, clock: SetClock
) -> None:
    cluster = await engine.only()
    await engine.leave_orphan("ab" * 16, START_US)
    await cluster.large.collect()
    assert await engine.blobs()
    clock.time_us += UNUSED_BLOB_LIFE_US
    await cluster.large.collect()
    assert not await engine.blobs()
    assert await engine.pending() == 0


async def test_a_row_that_cannot_be_written_leaves_no_blob_for_ever(
    cluster: AnyCluster, engine: Engine, clock: SetClock
) -> None:
    beyond_sql = put("key", value(b"x" * LARGE, expires_at_s=2**63))
    assert isinstance(await write_large(cluster, beyond_sql), Failed)
    for _ in range(2):
        await cluster.large.collect()
        clock.time_us += UNUSED_BLOB_LIFE_US
    await cluster.large.collect()
    assert not await engine.blobs()


async def test_a_value_that_a_floor_refuses_leaves_no_blob_for_ever(
    cluster: AnyCluster, engine: Engine, clock: SetClock
) -> None:
    floor = Version.at(START_US)
    await cluster.raise_floor((await cluster.life()).named, Span(NAMESPACE), floor)
    assert await write_large(cluster, put("key", large())) == Refused(Refusal.FLOOR, 0)
    assert await read(cluster) == Absent(floor)
    await cluster.large.collect()
    clock.time_us += UNUSED_BLOB_LIFE_US
    await cluster.large.collect()
    assert not await engine.blobs()


async def test_a_large_value_that_cannot_be_entered_fails_no_write_beside_it(
    cluster: AnyCluster, engine: Engine
) -> None:
    await engine.sql("alter table blob_pending rename to blob_lost")
    entering = asyncio.ensure_future(write_large(cluster, put("large", large())))
    await asyncio.sleep(0)  # into one transaction with the next one
    beside = cluster.write([put("key", value())])
    assert isinstance(await entering, Failed)
    assert await beside == [STORED]


async def test_of_one_record_written_twice_at_once_one_blob_stays(
    cluster: AnyCluster, engine: Engine, clock: SetClock
) -> None:
    record = large()
    twice = (write_large(cluster, put("key", record)) for _ in range(2))
    assert await asyncio.gather(*twice) == [STORED, STORED]
    assert len(await engine.blobs()) == 2
    for _ in range(2):
        await cluster.large.collect()
        clock.time_us += UNUSED_BLOB_LIFE_US
    assert len(await engine.blobs()) == 1
    assert await read(cluster) == record.envelope


@pytest.mark.parametrize("again", [large(), value(b"small", START_US - 1)], ids=["same", "older"])
async def test_a_row_without_its_blob_is_a_missing_record(
    cluster: AnyCluster, engine: Engine, again: Record
) -> None:
    await write_large(cluster, put("key", large()))
    await engine.lose_blobs()
    assert await read(cluster) == Absent(NO_VERSION)
    assert await listed(cluster) == []
    assert await stored(cluster, put("key", again)) == STORED
    assert await read(cluster) == again.envelope
    assert await listed(cluster) == ["key"]


async def stored(cluster: AnyCluster, wanted: Put) -> object:
    if len(wanted.record.envelope) >= LARGE:
        return await write_large(cluster, wanted)
    [answer] = await cluster.write([wanted])
    return answer


async def test_a_corrupt_blob_is_replaced_by_the_same_version(
    cluster: AnyCluster, engine: Engine
) -> None:
    record = large()
    await write_large(cluster, put("key", record))
    await engine.damage_blobs()
    corrupt = await read(cluster)
    assert isinstance(corrupt, Failed)
    assert corrupt.reason is Reason.CORRUPT
    assert await write_large(cluster, put("key", record, over_corrupt=True)) == STORED
    assert await read(cluster) == record.envelope


async def test_racing_large_writes_leave_one_value(
    cluster: AnyCluster, engine: Engine, clock: SetClock
) -> None:
    records = [large(START_US + n, bytes([65 + n])) for n in range(8)]
    answers = await asyncio.gather(
        *(write_large(cluster, put("key", record)) for record in reversed(records))
    )
    assert all(isinstance(answer, Stored | Superseded) for answer in answers)
    assert await read(cluster) == records[-1].envelope
    for _ in range(2):
        clock.time_us += UNUSED_BLOB_LIFE_US
        await cluster.large.collect()
    assert await engine.blobs() == [records[-1].envelope]
