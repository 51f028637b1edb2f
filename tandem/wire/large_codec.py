"""Messages of values in pieces <-> the core's types: KVSP's side and its client's side."""

import re
from typing import Final, NamedTuple, TypeAlias

from tandem.core.envelope import DIGEST_BYTES, TRAILER_BYTES_MAX, BadEnvelope, read_trailer
from tandem.core.key import Key
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Record, RecordHead
from tandem.errors import InvalidArgument
from tandem.wire.fields import field_head, varint_at
from tandem.wire.storage_codec import LargePut, parse_key
from tandem.wire.v1 import storage_pb2 as pb

LargePutMessage: TypeAlias = pb.LargePut | memoryview
"""Of a write in pieces; a message that is nothing but a piece stands as the piece, since protobuf
would copy it twice on each side."""
LargeGetMessage = pb.LargeGet
LargePiece = pb.LargePiece

PUT_LARGE: Final = f"/{pb.DESCRIPTOR.services_by_name['Storage'].full_name}/PutLarge"
_PIECE: Final = pb.LargePut.DESCRIPTOR.fields_by_name["piece"].number
_PIECE_TAG: Final = field_head(_PIECE, 0)[:-1]
_BLOB: Final = re.compile("[0-9a-f]{32}")


class LargeGet(NamedTuple):
    """A read of a record in pieces."""

    key: Key
    blob: str


def large_head(key: Key, record: Record, read_at_us: int, over_corrupt: bool) -> pb.LargePut:
    """The message that begins a write in pieces; `read_at_us` is 0 for a client's leg."""
    head = pb.LargeHead(
        namespace=key.namespace,
        name=key.name.encode(),
        trailer=record.envelope[record.value_size :],
        digest=record.digest,
        size=len(record.envelope),
        heal_read_at_us=read_at_us,
        over_corrupt=over_corrupt,
    )
    return pb.LargePut(head=head)


def encode_large_put(message: LargePutMessage) -> bytes:
    """The bytes of a message."""
    if isinstance(message, memoryview):
        return b"".join((field_head(_PIECE, len(message)), message))
    return message.SerializeToString()


def decode_large_put(raw: bytes) -> LargePutMessage:
    """The message in `raw`. Raises DecodeError."""
    if raw.startswith(_PIECE_TAG):
        whole = memoryview(raw)
        size, start = varint_at(whole, len(_PIECE_TAG))
        if start + size == len(raw):
            return whole[start:]
    return pb.LargePut.FromString(raw)


def piece_of(message: LargePutMessage) -> bytes | memoryview:
    """The bytes of the value that a message brings; none in one that begins a write."""
    return message if isinstance(message, memoryview) else message.piece


def parse_large_head(head: pb.LargeHead) -> tuple[LargePut, bytes]:
    """The write that the message begins, and the trailer of its envelope; InvalidArgument."""
    key = parse_key(head.namespace, head.name)
    if len(head.digest) != DIGEST_BYTES:
        raise InvalidArgument("digest", f"must have {DIGEST_BYTES} bytes")
    if head.size > VALUE_BYTES_MAX + TRAILER_BYTES_MAX:
        raise InvalidArgument("size", f"no envelope has {head.size} bytes")
    try:
        trailer = read_trailer(head.trailer, head.size)
    except BadEnvelope as error:
        raise InvalidArgument("trailer", str(error)) from None
    if trailer.size != len(head.trailer) or trailer.size > head.size:
        raise InvalidArgument("trailer", "is not that of an envelope of this size")
    record = RecordHead(
        trailer.version,
        trailer.kind,
        trailer.expires_at_s,
        trailer.metadata,
        head.digest,
        head.size,
    )
    put = LargePut(key, head.name, record, head.heal_read_at_us, head.over_corrupt)
    return put, head.trailer


def large_get(key: Key, blob: str) -> pb.LargeGet:
    """The message that asks for the pieces of a record."""
    return pb.LargeGet(namespace=key.namespace, name=key.name.encode(), blob=blob)


def parse_large_get(get: pb.LargeGet) -> LargeGet:
    """What the message asks for; InvalidArgument."""
    if not _BLOB.fullmatch(get.blob):
        raise InvalidArgument("blob", "is no name of a blob")
    return LargeGet(parse_key(get.namespace, get.name), get.blob)
