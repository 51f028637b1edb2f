"""The unary and streaming methods of the KV service."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from kvgateway.rpc import failures
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.version import Version
from tandem.errors import QuotaExceeded
from tandem.wire.status import error_of_call
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

LARGEST = bytes(range(256)) * (VALUE_BYTES_MAX // 256)

EXPIRED = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"k", expiration_ttl_s=1)


def _get(name: str, number: int = 0, min_version: bytes = b"") -> kv_pb2.GetRequest:
    key = name.encode()
    return kv_pb2.GetRequest(id=number, namespace=NAMESPACE, key=key, min_version=min_version)


def _put(name: str, value: bytes) -> kv_pb2.PutRequest:
    return kv_pb2.PutRequest(namespace=NAMESPACE, key=name.encode(), value=value)


async def _upload(kv: kv_pb2_grpc.KVStub, chunks: Iterable[kv_pb2.PutChunk]) -> kv_pb2.WriteReply:
    call = kv.PutStream()
    for chunk in chunks:
        await call.write(chunk)
    await call.done_writing()
    reply: kv_pb2.WriteReply = await call
    return reply


async def test_what_was_put_is_what_is_read(kv: kv_pb2_grpc.KVStub) -> None:
    request = _put("k", b"v")
    request.metadata, request.expires_at_s = b'{"a":1}', 2**33
    put = await kv.Put(request)
    reply = await kv.Get(_get("k"))
    assert (reply.found, reply.value, reply.metadata) == (True, b"v", b'{"a":1}')
    assert (reply.expires_at_s, reply.version) == (2**33, put.version)
    assert reply.cache_status == kv_pb2.CACHE_STATUS_HIT


async def test_a_deleted_key_has_a_version_and_nothing_else(kv: kv_pb2_grpc.KVStub) -> None:
    await kv.Put(_put("k", b"v"))
    deleted = await kv.Delete(kv_pb2.DeleteRequest(namespace=NAMESPACE, key=b"k"))
    reply = await kv.Get(_get("k"))
    assert (reply.found, reply.value, reply.version) == (False, b"", deleted.version)


async def test_a_session_reaches_the_gateway(kv: kv_pb2_grpc.KVStub) -> None:
    above = Version.at(2**51)
    request = _put("k", b"v")
    request.above = above
    put = await kv.Put(request)
    assert put.version > above
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await kv.Get(_get("k", min_version=Version.at(2**51 + 1)))
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_listing_in_pages(kv: kv_pb2_grpc.KVStub) -> None:
    names = sorted(f"p/{number}é" for number in range(10))
    for name in [*names, "other"]:
        await kv.Put(_put(name, b"v"))
    listed: list[str] = []
    request = kv_pb2.ListRequest(namespace=NAMESPACE, prefix=b"p/", limit=4)
    while True:
        page = await kv.List(request)
        listed += [key.name.decode() for key in page.keys]
        request.limit = 3  # the limit may change between pages
        request.cursor = page.cursor
        if not page.cursor:
            break
    assert listed == names


async def test_the_largest_value_by_every_door(kv: kv_pb2_grpc.KVStub) -> None:
    await kv.Put(_put("unary", LARGEST))
    batch = kv_pb2.BatchRequest(puts=[_put("batch", LARGEST)])
    await kv.Batch(batch)
    stream = kv.Exchange()
    await stream.write(kv_pb2.BatchRequest(puts=[_put("exchange", LARGEST)]))
    await stream.read()
    head = _put("stream", LARGEST[:100])
    pieces = (LARGEST[start : start + MIB] for start in range(100, len(LARGEST), MIB))
    chunks = [kv_pb2.PutChunk(data=piece) for piece in pieces]
    await _upload(kv, [kv_pb2.PutChunk(head=head), *chunks, kv_pb2.PutChunk(last=True)])

    for name in ("unary", "batch", "exchange", "stream"):
        assert (await kv.Get(_get(name))).value == LARGEST
    assert (await kv.Batch(kv_pb2.BatchRequest(gets=[_get("batch")]))).gets[0].value == LARGEST
    await stream.write(kv_pb2.BatchRequest(gets=[_get("stream")]))
    assert (await stream.read()).gets[0].value == LARGEST
    read = [chunk async for chunk in kv.GetStream(_get("unary"))]
    assert b"".join([read[0].head.value, *(chunk.data for chunk in read)]) == LARGEST


async def test_a_batch_of_large_values_says_which_did_not_fit(kv: kv_pb2_grpc.KVStub) -> None:
    await kv.Put(_put("large", LARGEST))
    reply = await kv.Batch(kv_pb2.BatchRequest(gets=[_get("large", 1), _get("large", 2)]))
    assert [answer.found for answer in reply.gets] == [True, False]
    assert reply.gets[1].error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


@pytest.mark.parametrize(
    ("chunks", "says"),
    [
        ([], "head: the stream ended before its first piece"),
        ([kv_pb2.PutChunk(head=_put("k", b"v"))], "last: the stream ended before its last piece"),
        ([kv_pb2.PutChunk(data=b"v", last=True)], "namespace: "),
        (
            [kv_pb2.PutChunk(head=EXPIRED, last=True)],
            "expiration_ttl_s: 1 is below the minimum of 60",
        ),
        (
            [kv_pb2.PutChunk(head=_put("k", LARGEST)), kv_pb2.PutChunk(data=b"1", last=True)],
            "value: length of 26214401 bytes exceeds the limit of 26214400",
        ),
    ],
    ids=["nothing", "cut off", "no head", "bad head", "too large"],
)
async def test_a_bad_upload_writes_nothing(
    chunks: list[kv_pb2.PutChunk], says: str, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await _upload(kv, chunks)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (failure.value.details() or "").startswith(says)
    assert not gateway.store.records


def _wrong(**fields: Any) -> kv_pb2.PutRequest:  # noqa: ANN401
    return kv_pb2.PutRequest(**{"namespace": NAMESPACE, "key": b"k", **fields})


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (_wrong(namespace="no id"), "namespace: "),
        (_wrong(key=b""), "key: "),
        (_wrong(key=bytes(513)), "key: "),
        (_wrong(metadata=b"{"), "metadata: "),
        (_wrong(metadata=bytes(1025)), "metadata: "),
        (_wrong(expiration_ttl_s=1), "expiration_ttl_s: "),
        (_wrong(expires_at_s=1), "expires_at_s: "),
        (_wrong(above=b"short"), "above: "),
        (_wrong(namespace="cd" * 16), "namespace not found: "),
    ],
)
async def test_a_mistake_in_the_head_is_told_before_the_value_is_sent(
    head: kv_pb2.PutRequest, says: str, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    call = kv.PutStream()
    await call.write(kv_pb2.PutChunk(head=head))
    assert await call.code() is not grpc.StatusCode.OK
    assert (await call.details() or "").startswith(says)
    assert gateway.store.admitted == []


async def test_an_endless_upload_is_ended(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    call = kv.PutStream()
    await call.write(kv_pb2.PutChunk(head=_put("k", b"")))
    piece = kv_pb2.PutChunk(data=bytes(8 * MIB))
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for _ in range(10 * VALUE_BYTES_MAX // len(piece.data)):
            await call.write(piece)
    assert await call.code() is not grpc.StatusCode.OK
    assert not gateway.store.records


async def test_uploads_share_the_room_for_bodies_and_give_it_back(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    pieces = [kv_pb2.PutChunk(data=bytes(MIB)) for _ in range(3)]
    upload = [kv_pb2.PutChunk(head=_put("k", b"")), *pieces, kv_pb2.PutChunk(last=True)]
    gateway.room.take(254 * MIB)
    with pytest.raises(grpc.aio.AioRpcError, match="too many large values are arriving") as failure:
        await _upload(kv, upload)
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not gateway.store.records
    await _upload(kv, [kv_pb2.PutChunk(head=_put("small", b"v"), last=True)])
    gateway.room.give_back(MIB)
    await _upload(kv, upload)
    assert gateway.room.taken == 253 * MIB


async def test_a_cancelled_upload_writes_nothing(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    call = kv.PutStream()
    await call.write(kv_pb2.PutChunk(head=_put("k", b"v")))
    call.cancel()
    await kv.Batch(kv_pb2.BatchRequest())
    assert not gateway.store.records
    assert gateway.failures.count == 0


async def test_a_bug_is_internal_counted_and_logged_once(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.failure = ValueError("secret detail")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await kv.Get(_get("k"))
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (failure.value.details() or "")
    assert gateway.failures.count == 1
    ((event, fields),) = gateway.log.events
    assert event == "request failed unexpectedly"
    assert fields == {"operation": "/tandem.v1.KV/Get", "exc_info": gateway.store.failure}


async def test_a_call_over_its_quota_waits_for_its_refusal_and_others_do_not(
    gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "REFUSAL_PAUSE_S", 3600.0)
    gateway.store.failure = QuotaExceeded("over", 1.0)
    refused = asyncio.ensure_future(kv.Put(_put("k", b"v")))
    while not gateway.store.writes:
        await asyncio.sleep(0.001)
    gateway.store.failure = None
    for _ in range(20):
        await kv.Put(_put("k", b"v"))
    assert not refused.done()
    refused.cancel()


async def test_a_refusal_says_when_to_come_again(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    gateway.store.failure = QuotaExceeded("over 5 a second", 1.25)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await kv.Get(_get("k"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    error = error_of_call(caught.value, NAMESPACE)
    assert isinstance(error, QuotaExceeded)
    assert error.retry_after_s == 1.25


async def test_pieces_are_not_read_of_a_body_that_is_refused(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.body_refusal = QuotaExceeded("2 large values already", 1.0)
    with pytest.raises(grpc.aio.AioRpcError, match="2 large values already"):
        await _upload(kv, [kv_pb2.PutChunk(head=_put("k", b"v"))])
    gateway.store.body_refusal = None
    pieces = [kv_pb2.PutChunk(head=_put("k", b"v")), kv_pb2.PutChunk(data=b"w", last=True)]
    await _upload(kv, pieces)
    assert (gateway.store.admitted, gateway.store.bodies) == ([(NAMESPACE, None)], 0)
    assert (await kv.Get(_get("k"))).value == b"vw"
