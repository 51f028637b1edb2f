"""Every bad input, through every door: a precise status with field and limit, nothing written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from kvgateway.rpc import exchange
from tandem.core.limits import BATCH_OPERATIONS_MAX, LARGE_BODY_BYTES, VALUE_BYTES_MAX
from tandem.runtime.clock import SystemClock
from tandem.wire.long_values import UNCOUNTED_BYTES_MAX
from tandem.wire.status import ERROR_METADATA_KEY
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NOW_S = SystemClock().now_us() // 1_000_000


@dataclass
class Bad:
    """A request that must be refused, and how."""

    method: str
    fields: dict[str, Any]
    field: str
    says: str
    code: grpc.StatusCode = INVALID


def _keys() -> list[tuple[bytes, str]]:
    return [
        (b"", "must not be empty"),
        (b".", '"." is not allowed'),
        (b"..", '".." is not allowed'),
        (b"k" * 513, "513 bytes exceeds the limit of 512"),
        ("é".encode() * 257, "514 bytes exceeds the limit of 512"),
        (b"ok\xff", "not valid UTF-8 at byte 2"),
    ]


def _put(field: str, says: str, **fields: object) -> Bad:
    return Bad("Put", fields, field, says)


OPERATIONS = [
    *(Bad(m, {"key": k}, "key", says) for m in ("Get", "Put", "Delete") for k, says in _keys()),
    *(
        Bad(method, {"namespace": name}, field, says, code)
        for method in ("Get", "Put", "Delete")
        for name, field, says, code in (
            ("", "namespace", "32 lower-case hex digits", INVALID),
            ("articles", "namespace", "'articles' is not a namespace id", INVALID),
            ("AB" * 16, "namespace", "32 lower-case hex digits", INVALID),
            ("cd" * 16, "", f"namespace not found: {'cd' * 16}", NOT_FOUND),
            ("0" * 32, "", "namespace not found", NOT_FOUND),
        )
    ),
    _put("value", "26214401 bytes exceeds the limit of 26214400", value=b"v" * 26_214_401),
    _put("metadata", "not valid JSON", metadata=b"{"),
    _put("metadata", "not valid JSON", metadata=b"\xff"),
    _put("metadata", "NaN is not JSON", metadata=b"NaN"),
    _put("metadata", "1025 bytes exceeds the limit of 1024", metadata=b'"' + b"m" * 1023 + b'"'),
    _put("expires_at_s", "1 is in the past", expires_at_s=1),
    _put("expires_at_s", "at least 60 s after", expires_at_s=NOW_S + 30),
    _put("expires_at_s", "is not a time in seconds", expires_at_s=NOW_S * 1000),
    _put("expiration_ttl_s", "59 is below the minimum of 60", expiration_ttl_s=59),
    _put("expiration_ttl_s", "is not a time in seconds", expiration_ttl_s=2**63),
    _put("above", "a version has 16 bytes, not 3", above=b"abc"),
    Bad("Delete", {"above": b"abc"}, "above", "a version has 16 bytes, not 3"),
    Bad("Get", {"min_version": b"abc"}, "min_version", "a version has 16 bytes, not 3"),
    Bad("Get", {"cache_ttl_s": 29}, "cache_ttl_s", "29 is below the minimum of 30"),
]
LISTS = [
    Bad("List", {"cursor": "nowhere"}, "cursor", "not from a listing of this namespace and prefix"),
    Bad("List", {"cursor": "é" * 2000}, "cursor", "not from a listing of this namespace"),
    Bad("List", {"limit": 1001}, "limit", "1001 is not between 1 and 1000"),
    Bad("List", {"prefix": b"\xff"}, "prefix", "not valid UTF-8 at byte 0"),
    Bad("List", {"prefix": b"p" * 513}, "prefix", "513 bytes exceeds the limit of 512"),
    Bad("List", {"namespace": "cd" * 16}, "", "namespace not found", NOT_FOUND),
    Bad("List", {"namespace": "x"}, "namespace", "32 lower-case hex digits"),
]
MESSAGES: dict[str, Callable[..., Message]] = {
    "Get": kv_pb2.GetRequest,
    "Put": kv_pb2.PutRequest,
    "Delete": kv_pb2.DeleteRequest,
    "List": kv_pb2.ListRequest,
}


def _title(bad: Bad) -> str:
    return f"{bad.method} {bad.field or bad.code.name}: {bad.says[:30]}"


def _request(bad: Bad, **fields: object) -> Message:
    good = (
        {"namespace": NAMESPACE} if bad.method == "List" else {"namespace": NAMESPACE, "key": b"k"}
    )
    return MESSAGES[bad.method](**(good | bad.fields | fields))


def _batch(bad: Bad) -> kv_pb2.BatchRequest:
    """The bad operation between two good ones."""
    batch = kv_pb2.BatchRequest()
    batch.puts.add(id=1, namespace=NAMESPACE, key=b"good", value=b"1")
    getattr(batch, f"{bad.method.lower()}s").append(_request(bad, id=2))
    batch.gets.add(id=3, namespace=NAMESPACE, key=b"none")
    return batch


def _check_answers(bad: Bad, replies: list[kv_pb2.BatchReply]) -> None:
    answers: dict[int, kv_pb2.GetReply | kv_pb2.WriteReply] = {}
    for reply in replies:
        answers |= {answer.id: answer for answer in reply.gets}
        answers |= {answer.id: answer for answer in reply.writes}
    assert sorted(answers) == [1, 2, 3]
    assert not answers[1].HasField("error")
    assert not answers[3].HasField("error")
    error = answers[2].error
    assert (error.code, error.field) == (bad.code.value[0], bad.field)
    assert bad.says in error.message


@pytest.mark.parametrize("bad", OPERATIONS + LISTS, ids=_title)
async def test_a_call_of_its_own(bad: Bad, gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await getattr(kv, bad.method)(_request(bad))
    status = failure.value
    assert status.code() is bad.code
    assert bad.says in (status.details() or "")
    assert (status.details() or "").startswith(bad.field)
    raw = dict(status.trailing_metadata() or ())[ERROR_METADATA_KEY]
    assert isinstance(raw, bytes)
    assert kv_pb2.Error.FromString(raw).field == bad.field
    assert not gateway.store.records
    assert gateway.failures.count == 0


@pytest.mark.parametrize("bad", OPERATIONS, ids=_title)
async def test_in_a_batch(bad: Bad, gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    _check_answers(bad, [await kv.Batch(_batch(bad))])
    assert [key.name for key in gateway.store.records] == ["good"]


@pytest.mark.parametrize("bad", OPERATIONS, ids=_title)
async def test_in_a_stream(bad: Bad, gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    call = kv.Exchange()
    for _ in range(2):  # the first one has not ended the stream
        await call.write(_batch(bad))
        replies: list[kv_pb2.BatchReply] = []
        while sum(len(reply.gets) + len(reply.writes) for reply in replies) < 3:
            replies.append(await call.read())
        _check_answers(bad, replies)
    assert [key.name for key in gateway.store.records] == ["good"]
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK


@dataclass
class TooMuch:
    """A batch over a limit."""

    puts: int
    value_bytes: int
    says: str
    ids: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = list(range(1, self.puts + 1))

    def batch(self) -> kv_pb2.BatchRequest:
        batch = kv_pb2.BatchRequest()
        for number in self.ids:
            key, value = b"k%d" % number, b"v" * self.value_bytes
            batch.puts.add(id=number, namespace=NAMESPACE, key=key, value=value)
        return batch


TOO_MUCH = [
    TooMuch(BATCH_OPERATIONS_MAX + 1, 0, "1001 operations exceed the limit of 1000"),
    TooMuch(2, VALUE_BYTES_MAX * 13 // 20, "bytes exceed the limit of 33554432"),
]


@pytest.mark.parametrize("much", TOO_MUCH, ids=["operations", "bytes"])
async def test_a_batch_over_a_limit_writes_nothing(
    much: TooMuch, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=much.says) as failure:
        await kv.Batch(much.batch())
    assert failure.value.code() is INVALID
    assert (failure.value.details() or "").startswith("batch: ")
    assert not gateway.store.records


@pytest.mark.parametrize("much", TOO_MUCH, ids=["operations", "bytes"])
async def test_a_message_over_a_limit_does_not_end_a_stream(
    much: TooMuch, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    call = kv.Exchange()
    await call.write(much.batch())
    refused: list[int] = []
    while len(refused) < much.puts:
        for answer in (await call.read()).writes:
            assert (answer.error.code, answer.error.field) == (INVALID.value[0], "batch")
            assert much.says in answer.error.message
            refused.append(answer.id)
    assert refused == much.ids
    assert not gateway.store.records
    good = kv_pb2.BatchRequest()
    good.puts.add(id=9, namespace=NAMESPACE, key=b"k", value=b"v")
    await call.write(good)
    assert [answer.id for answer in (await call.read()).writes] == [9]


async def test_each_operation_of_a_message_over_a_limit_is_refused_by_its_kind(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    """More of them than a stream may have under way."""
    one: dict[str, Any] = {"namespace": NAMESPACE, "key": b"k"}
    each = exchange.OPERATIONS_MAX // 2
    gets = [kv_pb2.GetRequest(id=number, **one) for number in range(each)]
    puts = [kv_pb2.PutRequest(id=number, **one) for number in range(each, 2 * each)]
    deletes = [kv_pb2.DeleteRequest(id=number, **one) for number in range(2 * each, 3 * each)]
    call = kv.Exchange()
    await call.write(kv_pb2.BatchRequest(gets=gets, puts=puts, deletes=deletes))
    await call.done_writing()
    read: list[int] = []
    written: list[int] = []
    while (reply := await call.read()) is not grpc.aio.EOF:
        for told, answers in ((read, reply.gets), (written, reply.writes)):
            assert {answer.error.code for answer in answers} <= {INVALID.value[0]}
            told += [answer.id for answer in answers]
    assert read == list(range(each))
    assert written == list(range(each, 3 * each))
    assert not gateway.store.calls


THOUSANDS = bytes((0x0A, 0)) * (UNCOUNTED_BYTES_MAX // 2 + 1)
"""Of empty gets."""
SAYS = f"batch: {len(THOUSANDS)} bytes that are more than 8000 operations"


async def test_thousands_of_operations_are_refused_before_there_is_an_object_for_each(
    gateway: Running,
) -> None:
    async with gateway.channel() as channel:
        kv: Any = channel
        with pytest.raises(grpc.aio.AioRpcError, match=SAYS) as failure:
            await kv.unary_unary("/tandem.v1.KV/Batch")(THOUSANDS)
        assert failure.value.code() is INVALID
        call = kv.stream_stream("/tandem.v1.KV/Exchange")()
        await call.write(THOUSANDS)
        assert (await call.code(), await call.details()) == (INVALID, SAYS)
    assert gateway.failures.count == 0


@pytest.mark.parametrize("method", ["KV/Get", "KV/GetStream", "Tokens/CreateToken"])
async def test_a_message_without_a_value_is_short(method: str, gateway: Running) -> None:
    names = bytes((0x22, 0)) * (LARGE_BODY_BYTES // 2 + 1)
    async with gateway.channel() as channel:
        call: Any = channel.unary_unary(f"/tandem.v1.{method}")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call(names)
    assert failure.value.code() is INVALID
    assert failure.value.details() == "request: 1048578 bytes exceed the limit of 1048576"


async def test_a_message_over_the_size_limit_is_refused(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await kv.Put(kv_pb2.PutRequest(namespace=NAMESPACE, key=b"k", value=bytes(40 * 2**20)))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not gateway.store.records
