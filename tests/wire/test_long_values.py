"""Long values past protobuf: the same messages, to the byte, with one copy of each value."""

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from tandem.core.envelope import Draft, seal, seal_tombstone
from tandem.core.limits import KIB, LARGE_BODY_BYTES, MIB, VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.request import ReadResult
from tandem.core.version import Version
from tandem.errors import InvalidArgument
from tandem.wire import codec, long_values
from tandem.wire.long_values import BatchMessage, BatchReplyMessage, GetMessage, PutMessage
from tandem.wire.v1 import kv_pb2

NOW_S = 1_800_000_000
VERSION = Version.at(NOW_S * 1_000_000)
PUT = kv_pb2.PutRequest(
    id=1 << 63, namespace="ab" * 16, key=b"key", metadata=b"{}", expires_at_s=9, above=VERSION
)
BATCH_PUT = 0x12
"""The tag of `puts`; PUT_VALUE is that of a put's value."""
PUT_VALUE = 0x22

puts = st.builds(
    kv_pb2.PutRequest,
    id=st.integers(0, 2**64 - 1),
    namespace=st.text(max_size=9),
    key=st.binary(max_size=9),
    value=st.binary(max_size=300),
    metadata=st.binary(max_size=9),
    expires_at_s=st.integers(0, 2**64 - 1),
    above=st.binary(max_size=9),
)


@pytest.fixture(autouse=True, scope="module")
def every_value_is_long() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tandem.wire.long_values.LARGE_BODY_BYTES", 0)
        yield


def _bytes_of(value: Draft | None) -> bytes | None:
    if value is None:
        return None
    size = len(value)
    envelope, digest = value.end(b"trailer")
    assert envelope.endswith(b"trailer")
    assert digest == hashlib.md5(envelope).digest()
    assert size == len(envelope) - len(b"trailer")
    return envelope[:size]


def _put_of(message: PutMessage) -> kv_pb2.PutRequest:
    """The request with its value back in it."""
    value = _bytes_of(message.value)
    if value is not None:
        assert not message.request.value
        message.request.value = value
    return message.request


def _batch_of(message: BatchMessage) -> kv_pb2.BatchRequest:
    value = _bytes_of(message.value)
    if value is not None:
        [put] = message.request.puts
        assert not put.value
        put.value = value
    return message.request


@given(puts)
def test_a_put_is_the_one_that_was_sent(put: kv_pb2.PutRequest) -> None:
    message = long_values.decode_put(put.SerializeToString())
    assert (message.value is None) == (not put.value)
    assert _put_of(message) == put


@given(st.lists(puts, max_size=2), st.integers(0, 1), st.integers(0, 1))
def test_a_batch_is_the_one_that_was_sent(
    several: list[kv_pb2.PutRequest], gets: int, deletes: int
) -> None:
    batch = kv_pb2.BatchRequest(
        gets=[kv_pb2.GetRequest(id=1)] * gets,
        puts=several,
        deletes=[kv_pb2.DeleteRequest(id=2)] * deletes,
    )
    message = long_values.decode_batch(batch.SerializeToString())
    alone = len(several) == 1 and not gets and not deletes
    assert (message.value is None) == (not alone or not several[0].value)
    assert message.size == batch.ByteSize()
    assert _batch_of(message) == batch


_VALUE = bytes((PUT_VALUE, 3)) + b"abc"
_BYTES = st.sampled_from([0, 1, 2, 3, 8, 9, 0x12, 0x1A, 0x22, 0x23, 0x24, 0x2D, 0x7F, 0x80, 0xFF])


@given(st.lists(_BYTES, max_size=12).map(bytes))
@example(_VALUE + _VALUE)
@example(_VALUE + b"\x08\x01")
@example(_VALUE + b"\x0b\x0c")
@example(_VALUE * 33)
@example(b"\x08\x01" * 32 + _VALUE)
@example(bytes((PUT_VALUE, 4)) + b"abc")
@example(bytes((PUT_VALUE, 0x83, 0x80)) + b"abc")
@example(bytes((PUT_VALUE, *[0x80] * 9, 1)))
@example(bytes((BATCH_PUT, 5)) + _VALUE)
@example(bytes((BATCH_PUT, 6)) + _VALUE)
@example(bytes((BATCH_PUT, 5)) + _VALUE + bytes((BATCH_PUT, 0)))
@example(b"\x12\x01\xff" + _VALUE)
def test_what_protobuf_understands_is_understood_and_what_it_does_not_is_not(raw: bytes) -> None:
    for plain, decoded in (
        (kv_pb2.PutRequest.FromString, lambda raw: _put_of(long_values.decode_put(raw))),
        (kv_pb2.BatchRequest.FromString, lambda raw: _batch_of(long_values.decode_batch(raw))),
    ):
        try:
            expected = plain(raw)
        except DecodeError:
            with pytest.raises(DecodeError):
                decoded(raw)
        else:
            assert decoded(raw) == expected


records = st.builds(
    seal,
    st.just(VERSION),
    st.binary(max_size=300),
    metadata=st.binary(max_size=9),
    expires_at_s=st.sampled_from([0, NOW_S, NOW_S + 1]),
)


@given(records | st.just(seal_tombstone(VERSION)) | st.none(), st.integers(0, 299))
def test_a_reply_is_what_protobuf_would_have_sent(record: Record | None, above: int) -> None:
    result = ReadResult(record, version=VERSION, unconfirmed=True)
    expected = kv_pb2.GetReply(id=7)
    codec.fill_read(expected, result, NOW_S)
    message = long_values.get_message(7, result, NOW_S)
    assert kv_pb2.GetReply.FromString(long_values.encode_get(message)) == expected
    batch = kv_pb2.BatchReply()
    long = long_values.fill_long_read(batch.gets.add(id=7), result, NOW_S, above)
    assert (long is not None) == (len(expected.value) > above)
    sent = long_values.encode_batch(BatchReplyMessage(batch, long))
    assert kv_pb2.BatchReply.FromString(sent) == kv_pb2.BatchReply(gets=[expected])


def test_a_long_value_is_one_longer_than_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(long_values, "LARGE_BODY_BYTES", LARGE_BODY_BYTES)
    small = kv_pb2.PutRequest(key=b"k", value=bytes(LARGE_BODY_BYTES - 100))
    assert long_values.decode_put(small.SerializeToString()).value is None
    large = kv_pb2.PutRequest(key=b"k", value=bytes(LARGE_BODY_BYTES))
    assert long_values.decode_put(large.SerializeToString()).value is not None


def _peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", ["Put", "Exchange"])
def test_a_put_becomes_its_envelope_in_one_copy(method: str) -> None:
    put = kv_pb2.PutRequest(value=bytes(VALUE_BYTES_MAX))
    put.MergeFrom(PUT)

    def write() -> None:
        value = (
            long_values.decode_put(raw).value
            if method == "Put"
            else long_values.decode_batch(raw).value
        )
        assert value is not None
        seal(VERSION, value)

    message = put if method == "Put" else kv_pb2.BatchRequest(puts=[put])
    raw = message.SerializeToString()
    assert _peak_bytes(write) < VALUE_BYTES_MAX + 64 * KIB


def test_the_message_goes_when_its_envelope_is_there() -> None:
    raw = kv_pb2.PutRequest(value=bytes(9 * MIB)).SerializeToString()
    tracemalloc.start()
    try:
        copy = bytes(bytearray(raw))
        value = long_values.decode_put(copy).value
        del copy
        assert value is not None
        envelope, _ = value.end(b"")
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(envelope) <= held < len(envelope) + MIB
    assert len(value) == 9 * MIB


def test_a_record_becomes_its_message_in_one_copy() -> None:
    record = seal(VERSION, bytes(VALUE_BYTES_MAX))
    reply = kv_pb2.GetReply(found=True)
    batch = BatchReplyMessage(kv_pb2.BatchReply(gets=[reply]), record)
    single = GetMessage(reply, record)
    assert _peak_bytes(lambda: long_values.encode_get(single)) < VALUE_BYTES_MAX + 64 * KIB
    assert _peak_bytes(lambda: long_values.encode_batch(batch)) < VALUE_BYTES_MAX + 64 * KIB


@pytest.mark.parametrize("tag", [0x0A, 0x12, 0x1A])
def test_how_many_operations_are_decoded_at_most(tag: int) -> None:
    most = long_values.DECODED_OPERATIONS_MAX
    full = bytes((tag, 0)) * most
    batch = long_values.decode_whole_batch(full)
    assert len(batch.gets) + len(batch.puts) + len(batch.deletes) == most
    with pytest.raises(InvalidArgument, match="16002 bytes that are more than 8000 operations"):
        long_values.decode_whole_batch(full + bytes((tag, 0)))
