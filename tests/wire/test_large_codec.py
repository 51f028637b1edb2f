"""Values in pieces on the wire: what one side writes the other reads, and no more than that."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import VERSION_BYTES, Version
from tandem.errors import InvalidArgument
from tandem.wire import large_codec as codec
from tandem.wire.storage_codec import LargePut
from tandem.wire.v1 import storage_pb2 as pb

KEY = Key("ab" * 16, "kéy")

records = st.builds(
    seal,
    st.binary(min_size=VERSION_BYTES, max_size=VERSION_BYTES).map(Version),
    st.binary(max_size=99),
    metadata=st.binary(max_size=99),
    expires_at_s=st.integers(0, 2**40),
)


@given(records, st.integers(0, 2**50), st.booleans())
def test_a_head_says_all_of_a_record_but_its_value(
    record: Record, read_at_us: int, over_corrupt: bool
) -> None:
    message = codec.large_head(KEY, record, read_at_us, over_corrupt)
    put, trailer = codec.parse_large_head(message.head)
    assert put == LargePut(KEY, "kéy".encode(), record.head, read_at_us, over_corrupt)
    assert record.value + trailer == record.envelope


messages = st.builds(
    pb.LargePut,
    head=st.none() | st.builds(pb.LargeHead, name=st.binary(max_size=9), size=st.integers(0, 99)),
    piece=st.binary(max_size=300),
)


@given(st.binary(max_size=300))
def test_a_piece_goes_over_the_wire_as_protobuf_would_send_it(data: bytes) -> None:
    raw = codec.encode_large_put(memoryview(data))
    assert pb.LargePut.FromString(raw) == pb.LargePut(piece=data)
    assert codec.piece_of(codec.decode_large_put(raw)) == data


@given(messages)
def test_whatever_protobuf_sends_is_read_as_protobuf_reads_it(message: pb.LargePut) -> None:
    sent = codec.encode_large_put(message)
    assert sent == message.SerializeToString()
    decoded = codec.decode_large_put(sent)
    assert codec.piece_of(decoded) == message.piece
    if not isinstance(decoded, memoryview):
        assert decoded == message
    else:
        assert not message.HasField("head")


@given(st.binary(max_size=40), st.integers(0, 3))
def test_bytes_that_are_no_message_are_refused_as_protobuf_refuses_them(
    tail: bytes, kept: int
) -> None:
    raw = codec.encode_large_put(memoryview(b"abc"))[: 5 - kept] + tail
    try:
        expected = pb.LargePut.FromString(raw).piece
    except DecodeError:
        with pytest.raises(DecodeError):
            codec.decode_large_put(raw)
    else:
        assert codec.piece_of(codec.decode_large_put(raw)) == expected


def test_a_record_is_asked_for_by_key_and_blob() -> None:
    assert codec.parse_large_get(codec.large_get(KEY, "0f" * 16)) == (KEY, "0f" * 16)


@pytest.mark.parametrize(
    "blob", ["", "0f" * 15, "0F" * 16, "0f" * 17, "../" * 11, "0f" * 16 + "\n"]
)
def test_what_is_no_blob_is_refused(blob: str) -> None:
    with pytest.raises(InvalidArgument, match="blob"):
        codec.parse_large_get(codec.large_get(KEY, blob))


def test_a_tombstone_is_a_head_without_a_value() -> None:
    dead = seal_tombstone(Version.at(1))
    put, trailer = codec.parse_large_head(codec.large_head(KEY, dead, 0, over_corrupt=False).head)
    assert (put.record, trailer) == (dead.head, dead.envelope)
