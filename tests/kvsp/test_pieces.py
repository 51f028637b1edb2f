"""Values in pieces: what KVSP makes of every stream that goes wrong, and that nothing is left."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import grpc
import grpc.aio
import pytest

from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.new_blob import NewBlob, OtherBytes
from tandem.core.envelope import digest_of
from tandem.core.key import Key
from tandem.core.limits import KIB, MIB, PIECE_BYTES, VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.reply import Found, Missing, Superseded
from tandem.runtime.clock import SystemClock
from tandem.wire.large_codec import large_head
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc
from tests.kvsp.records import NAMESPACE, value
from tests.kvsp.serving import Kvsp, connected, running_kvsp

KEY = Key(NAMESPACE, "large")


def large(size: int = 3 * MIB) -> Record:
    return value(bytes(range(256)) * (size // 256), SystemClock().now_us())


def messages(record: Record, *, piece_bytes: int = PIECE_BYTES) -> list[pb.LargePut]:
    body = record.value
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    first = large_head(KEY, record, 0, over_corrupt=False)
    return [first, *(pb.LargePut(piece=piece) for piece in pieces)]


def head(record: Record, **fields: object) -> pb.LargePut:
    """The first message of a put, with other fields."""
    first = large_head(KEY, record, 0, over_corrupt=False).head
    return pb.LargePut(head=pb.LargeHead(**{f.name: v for f, v in first.ListFields()} | fields))


def blobs(path: Path) -> list[Path]:
    return [file for file in (path / "blobs").rglob("*") if file.is_file()]


def pending(path: Path) -> int:
    with closing(sqlite3.connect(path / "cluster-0.sqlite")) as connection:
        rows: int = connection.execute("select count(*) from blob_pending").fetchone()[0]
        return rows


async def gone(path: Path) -> None:
    """Returns when no blob is left; a half-written one goes on a thread of its own."""
    async with asyncio.timeout(60):
        while blobs(path):
            await asyncio.sleep(0.01)


async def send(kvsp: Kvsp, sent: Sequence[pb.LargePut]) -> pb.StorageReply:
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        reply: pb.StorageReply = await rpc.StorageStub(channel).PutLarge(iter(sent))
        return reply


async def held(kvsp: Kvsp) -> object:
    async with connected(kvsp) as backend:
        return await backend.get(KEY, 20)


@pytest.fixture
async def kvsp(tmp_path: Path) -> AsyncIterator[Kvsp]:
    async with running_kvsp(tmp_path, 1) as running:
        yield running


@pytest.mark.parametrize("piece_bytes", [100 * KIB, PIECE_BYTES])
async def test_pieces_of_any_size_make_one_value(
    kvsp: Kvsp, tmp_path: Path, piece_bytes: int
) -> None:
    record = large()
    reply = await send(kvsp, messages(record, piece_bytes=piece_bytes))
    assert [written.outcome for written in reply.writes] == [pb.WRITE_OUTCOME_STORED]
    assert reply.home_time_us > record.version.time_us
    assert [file.read_bytes() for file in blobs(tmp_path)] == [record.envelope]
    assert pending(tmp_path) == 0
    found = await held(kvsp)
    assert isinstance(found, Found)
    assert found.record == record


RECORD = large()
WHOLE = messages(RECORD)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ([], "head"),
        (WHOLE[1:2], "head"),
        ([head(RECORD, namespace="x")], "namespace"),
        ([head(RECORD, name=b"")], "key"),
        ([head(RECORD, digest=b"short")], "digest"),
        ([head(RECORD, size=VALUE_BYTES_MAX * 2)], "size"),
        ([head(RECORD, size=10)], "trailer"),
        ([head(RECORD, trailer=b"no trailer at all, of no envelope")], "trailer"),
        ([head(RECORD, trailer=b"x" + RECORD.envelope[RECORD.value_size :])], "trailer"),
    ],
)
async def test_a_put_that_can_never_be_stored_names_the_field(
    kvsp: Kvsp, tmp_path: Path, sent: list[pb.LargePut], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send(kvsp, sent)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(field)
    assert (blobs(tmp_path), pending(tmp_path)) == ([], 0)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(WHOLE[:1], id="no piece"),
        pytest.param(WHOLE[:-1], id="ends early"),
        pytest.param([*WHOLE[:2], pb.LargePut()], id="an empty piece"),
        pytest.param([*WHOLE[:2], WHOLE[0]], id="a second head"),
        pytest.param([*WHOLE[:-1], pb.LargePut(piece=WHOLE[-1].piece + b"x")], id="too much"),
        pytest.param([WHOLE[0], pb.LargePut(piece=bytes(PIECE_BYTES + 1))], id="a long piece"),
    ],
)
async def test_a_torn_stream_stores_nothing_and_leaves_no_file(
    kvsp: Kvsp, tmp_path: Path, sent: list[pb.LargePut]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await send(kvsp, sent)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith("piece")
    await gone(tmp_path)
    assert isinstance(await held(kvsp), Missing)


async def test_other_bytes_than_announced_are_refused_and_leave_no_file(
    kvsp: Kvsp, tmp_path: Path
) -> None:
    last = WHOLE[-1].piece
    reply = await send(kvsp, [*WHOLE[:-1], pb.LargePut(piece=last[:-1] + b"?")])
    [written] = reply.writes
    assert written.outcome == pb.WRITE_OUTCOME_FAILED
    assert "do not match their digest" in written.failure
    await gone(tmp_path)
    assert isinstance(await held(kvsp), Missing)


async def test_a_gateway_that_goes_away_half_way_leaves_no_file(kvsp: Kvsp, tmp_path: Path) -> None:
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        call = rpc.StorageStub(channel).PutLarge()
        for message in messages(large())[:-1]:
            await call.write(message)
        async with asyncio.timeout(60):
            while not blobs(tmp_path):
                await asyncio.sleep(0.01)
        call.cancel()
    await gone(tmp_path)
    assert isinstance(await held(kvsp), Missing)


async def test_what_is_known_to_lose_is_answered_before_it_comes(kvsp: Kvsp) -> None:
    older = large()
    newer = large()
    async with connected(kvsp) as backend:
        await backend.put_if_newer(KEY, newer, 20)
        assert older.version < newer.version
        lost = await backend.put_if_newer(KEY, older, 20)
        assert isinstance(lost, Superseded)
        assert lost.newest == newer.version
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        call = rpc.StorageStub(channel).PutLarge()
        await call.write(messages(older)[0])
        reply = await call
        assert [written.outcome for written in reply.writes] == [pb.WRITE_OUTCOME_SUPERSEDED]


@pytest.mark.parametrize(
    ("get", "field"),
    [
        (pb.LargeGet(namespace="x", name=b"k", blob="0" * 32), "namespace"),
        (pb.LargeGet(namespace=NAMESPACE, name=b"", blob="0" * 32), "key"),
        (pb.LargeGet(namespace=NAMESPACE, name=b"k", blob=""), "blob"),
        (pb.LargeGet(namespace=NAMESPACE, name=b"k", blob="../../cluster-0.sqlite"), "blob"),
        (pb.LargeGet(namespace=NAMESPACE, name=b"k", blob="0" * 32 + "\n"), "blob"),
    ],
)
async def test_only_blobs_can_be_read(kvsp: Kvsp, get: pb.LargeGet, field: str) -> None:
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc.StorageStub(channel).GetLarge(get).read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(field)


async def test_a_blob_that_is_gone_is_said_to_be(kvsp: Kvsp) -> None:
    get = pb.LargeGet(namespace=NAMESPACE, name=b"k", blob="0" * 32)
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as gone_:
            await rpc.StorageStub(channel).GetLarge(get).read()
    assert gone_.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_read_comes_in_pieces_that_are_bounded(kvsp: Kvsp, tmp_path: Path) -> None:
    await send(kvsp, messages(RECORD))
    [blob] = blobs(tmp_path)
    get = pb.LargeGet(namespace=NAMESPACE, name=KEY.name.encode(), blob=blob.name)
    async with grpc.aio.insecure_channel(kvsp.address) as channel:
        pieces = [piece.data async for piece in rpc.StorageStub(channel).GetLarge(get)]
    assert b"".join(pieces) == RECORD.envelope
    assert max(map(len, pieces)) == PIECE_BYTES


async def _never_ends(first: bytes, reached: asyncio.Event) -> AsyncIterator[bytes]:
    yield first
    reached.set()
    await asyncio.Event().wait()
    yield b""


async def test_a_cancelled_write_removes_its_file(tmp_path: Path) -> None:
    directory = BlobDirectory(tmp_path, 2)
    reached = asyncio.Event()
    pieces = _never_ends(b"half", reached)
    writing = asyncio.create_task(directory.write("ab" * 16, pieces, b""))
    await reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    directory.close()
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


class TestNewBlob:
    def test_only_what_matches_its_digest_is_kept(self, tmp_path: Path) -> None:
        blob = NewBlob(tmp_path / "blob")
        blob.begin()
        blob.add([b"a"])
        blob.add([b"b", b""])
        with pytest.raises(OtherBytes):
            blob.finish(digest_of(b"ba"))
        blob.finish(digest_of(b"ab"))
        assert (tmp_path / "blob").read_bytes() == b"ab"

    @pytest.mark.parametrize("steps", range(3))
    def test_what_comes_after_a_drop_makes_no_file(self, tmp_path: Path, steps: int) -> None:
        blob = NewBlob(tmp_path / "blob")
        work: list[Callable[[], None]] = [blob.begin, lambda: blob.add([b"a"])]
        for step in work[:steps]:
            step()
        blob.drop()
        for step in work[steps:]:
            step()
        assert list(tmp_path.iterdir()) == []

    def test_a_name_is_never_used_twice(self, tmp_path: Path) -> None:
        (tmp_path / "blob").write_bytes(b"there")
        blob = NewBlob(tmp_path / "blob")
        with pytest.raises(FileExistsError):
            blob.begin()
        blob.drop()
        assert (tmp_path / "blob").read_bytes() == b"there"
