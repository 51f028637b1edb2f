"""Values of up to 25 MiB that come or go in one message, past protobuf: it would hold a copy of
each beside the message, and hand out another one.

A long value is cut out of the bytes of its message, or put into them; all the rest of the message,
and every message that is not of the usual make, is protobuf's as ever.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tandem.core.envelope import Draft, digest_of
from tandem.core.limits import BATCH_OPERATIONS_MAX, LARGE_BODY_BYTES
from tandem.core.record import Record
from tandem.core.request import ReadResult
from tandem.errors import InvalidArgument
from tandem.wire import codec
from tandem.wire.fields import BYTES, field_at, field_head, has_fields_at_most
from tandem.wire.v1 import kv_pb2

_PUT_VALUE: Final = kv_pb2.PutRequest.DESCRIPTOR.fields_by_name["value"].number
_PUTS: Final = kv_pb2.BatchRequest.DESCRIPTOR.fields_by_name["puts"].number
_GET_VALUE: Final = kv_pb2.GetReply.DESCRIPTOR.fields_by_name["value"].number
_GETS: Final = kv_pb2.BatchReply.DESCRIPTOR.fields_by_name["gets"].number
_FIELDS_MAX: Final = 32
"""A message with more, which are such that nobody knows, is not gone through in Python."""
DECODED_OPERATIONS_MAX: Final = 8 * BATCH_OPERATIONS_MAX
"""Operations above the limit of a batch are refused one by one; a batch with more than these is
not looked at."""
UNCOUNTED_BYTES_MAX: Final = 2 * DECODED_OPERATIONS_MAX
"""A batch of this size cannot have more, even where all of them are empty."""


class LongValue:
    """A value that lies in its message (a `tandem.core.envelope.Draft`), which goes with it."""

    def __init__(self, value: memoryview) -> None:
        self._value = value
        self._size = len(value)

    def __len__(self) -> int:
        return self._size

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        """The envelope and its digest; to be asked once."""
        envelope = b"".join((self._value, trailer))
        self._value = memoryview(b"")
        return envelope, digest_of(envelope)


class PutMessage(NamedTuple):
    """A request to put, and its value where that is none of `request`."""

    request: kv_pb2.PutRequest
    value: Draft | None = None


class BatchMessage(NamedTuple):
    """A batch of `size` bytes; a `value` is that of its one operation, a put."""

    request: kv_pb2.BatchRequest
    size: int
    value: Draft | None = None


class GetMessage(NamedTuple):
    """A reply to a read, and the record whose value belongs to it where that is long."""

    reply: kv_pb2.GetReply
    record: Record | None = None


class BatchReplyMessage(NamedTuple):
    """A reply to a batch; a `record` has the value of its one answer, that to a read."""

    reply: kv_pb2.BatchReply
    record: Record | None = None


def decode_put(raw: bytes) -> PutMessage:
    """The request in `raw`. Raises DecodeError."""
    cut = _cut(memoryview(raw)) if len(raw) > LARGE_BODY_BYTES else None
    return cut or PutMessage(kv_pb2.PutRequest.FromString(raw))


def decode_whole_batch(raw: bytes) -> kv_pb2.BatchRequest:
    """The batch in `raw`. Raises DecodeError; InvalidArgument where it holds far too much."""
    _check_operations(raw)
    return kv_pb2.BatchRequest.FromString(raw)


def decode_batch(raw: bytes) -> BatchMessage:
    """The same; cut is the value of a put that is alone in it."""
    size = len(raw)
    if size > LARGE_BODY_BYTES:
        whole = memoryview(raw)
        place = _place_of(_PUTS, whole)
        if place is not None and place.tag == 0 and place.end == size:
            put = _cut(whole[place.start :])
            if put is not None:
                return BatchMessage(kv_pb2.BatchRequest(puts=[put.request]), size, put.value)
    return BatchMessage(decode_whole_batch(raw), size)


def _check_operations(raw: bytes) -> None:
    """Protobuf would make an object of each: of the 16 million that a message can hold, in ten
    seconds and 1.4 GiB, and all other calls would wait."""
    most = DECODED_OPERATIONS_MAX
    if len(raw) > UNCOUNTED_BYTES_MAX and not has_fields_at_most(most, raw):
        raise InvalidArgument("batch", f"{len(raw)} bytes that are more than {most} operations")


def get_message(operation_id: int, result: ReadResult, now_s: float) -> GetMessage:
    """The reply that says what a read found at `now_s`."""
    reply = kv_pb2.GetReply(id=operation_id)
    return GetMessage(reply, fill_long_read(reply, result, now_s, LARGE_BODY_BYTES))


def fill_long_read(
    reply: kv_pb2.GetReply, result: ReadResult, now_s: float, long_above_bytes: int
) -> Record | None:
    """Writes what a read found into its reply; the record when its value is to go past it."""
    record = result.record
    if record is None or record.value_size <= long_above_bytes:
        codec.fill_read(reply, result, now_s)
        return None
    codec.fill_read(reply, result, now_s, value_bytes_max=0)
    return record if reply.found else None


def encode_get(message: GetMessage) -> bytes:
    """The bytes of the reply."""
    reply, record = message
    if record is None:
        return reply.SerializeToString()
    return b"".join(_with_value(reply, record))


def encode_batch(message: BatchReplyMessage) -> bytes:
    """The bytes of the reply."""
    reply, record = message
    if record is None:
        return reply.SerializeToString()
    parts = _with_value(reply.gets[0], record)
    return b"".join((field_head(_GETS, sum(map(len, parts))), *parts))


def _with_value(reply: kv_pb2.GetReply, record: Record) -> Sequence[bytes | memoryview]:
    value = memoryview(record.envelope)[: record.value_size]
    return reply.SerializeToString(), field_head(_GET_VALUE, len(value)), value


def _cut(raw: memoryview) -> PutMessage | None:
    """The request in `raw` with its value cut out; None where it cannot be. Raises DecodeError."""
    place = _place_of(_PUT_VALUE, raw)
    if place is None:
        return None
    rest = b"".join((raw[: place.tag], raw[place.end :]))
    value = LongValue(raw[place.start : place.end])
    return PutMessage(kv_pb2.PutRequest.FromString(rest), value)


class _Place(NamedTuple):
    """Where a field stands: from its tag, its content from `start` to `end`."""

    tag: int
    start: int
    end: int


def _place_of(number: int, raw: memoryview) -> _Place | None:
    """Where the field of bytes with this number stands, if it is there once; None when that is not
    plain to see."""
    wanted = number << 3 | BYTES
    found = None
    at = 0
    for _ in range(_FIELDS_MAX):
        if at == len(raw):
            return found
        field = field_at(raw, at)
        if field is None or (found is not None and field.tag == wanted):
            return None
        if field.tag == wanted:
            found = _Place(at, field.start, field.end)
        at = field.end
    return None
