"""The one byte form of a record: built once, stored verbatim by both homes.

    value | metadata | kind (1 byte) | version (16) | expires_at_s (8, values only) | foot
    foot: length of all behind the value (2 bytes) | format 2 | magic "TKV"

The value comes first, so its MD5 is begun while it arrives, before its version exists. All numbers
are big-endian. A tombstone is exactly TOMBSTONE_BYTES long, which no value can be, so a listing
that shows sizes alone tells them apart.
"""

import hashlib
import struct
from typing import Final, NamedTuple, Protocol, TypeAlias

from tandem.core.limits import METADATA_BYTES_MAX
from tandem.core.record import Kind, Record, Stamp
from tandem.core.version import VERSION_BYTES, Version

MAGIC: Final = b"TKV"
FORMAT: Final = 2
_VALUE: Final = Kind.VALUE
"""To take a member from its class is a call in Python 3.11, for each record made or read."""
_FOOT: Final = struct.Struct(">HB3s")
_DEAD: Final = struct.Struct(f">B{VERSION_BYTES}sHB3s")
_LIVE: Final = struct.Struct(f">B{VERSION_BYTES}sQHB3s")

_FOOT_BYTES: Final = _FOOT.size
_LIVE_BYTES: Final = _LIVE.size
DIGEST_BYTES: Final = 16
TOMBSTONE_BYTES: Final = _DEAD.size
TRAILER_BYTES_MAX: Final = METADATA_BYTES_MAX + _LIVE_BYTES
"""No envelope has more behind its value."""


class BadEnvelope(ValueError):
    """Bytes that are not an envelope of a format that this program knows."""


class Draft(Protocol):
    """A value that lies in the buffer of its envelope already, its MD5 begun."""

    def __len__(self) -> int:
        """The value's length in bytes."""
        ...

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        """The envelope that ends with `trailer`, and its digest; to be asked once."""
        ...


Value: TypeAlias = bytes | bytearray | Draft
"""What is to be stored; not changed by anyone any more."""


class Trailer(NamedTuple):
    """What stands behind a value, `size` bytes of it."""

    version: Version
    kind: Kind
    expires_at_s: int
    metadata: bytes
    size: int


def trailer_bytes(metadata: bytes) -> int:
    """How much stands behind a value with this metadata."""
    return len(metadata) + _LIVE_BYTES


def seal(
    version: Version,
    value: Value,
    *,
    metadata: bytes = b"",
    expires_at_s: int = 0,
) -> Record:
    """The record of a value with its envelope; a value that is no draft is copied into it."""
    assert len(metadata) <= METADATA_BYTES_MAX, "no reader would open it"
    size = trailer_bytes(metadata)
    trailer = metadata + _LIVE.pack(_VALUE, version, expires_at_s, size, FORMAT, MAGIC)
    value_size = len(value)
    if isinstance(value, (bytes, bytearray)):
        envelope = b"".join((value, trailer))
        digest = digest_of(envelope)
    else:
        envelope, digest = value.end(trailer)
    return Record(version, _VALUE, expires_at_s, metadata, envelope, digest, value_size)


def seal_tombstone(version: Version) -> Record:
    """The record of a deletion with its envelope."""
    envelope = _DEAD.pack(Kind.TOMBSTONE, version, TOMBSTONE_BYTES, FORMAT, MAGIC)
    return Record(version, Kind.TOMBSTONE, 0, b"", envelope, digest_of(envelope), 0)


def open_envelope(envelope: bytes, digest: bytes | None = None) -> Record:
    """The record in `envelope`; BadEnvelope unless it is whole and of a known format.

    `digest` is its MD5 where the caller has just computed or verified it.
    """
    version, kind, expires_at_s, metadata, size = _read(envelope, len(envelope))
    return Record(
        version,
        kind,
        expires_at_s,
        metadata,
        envelope,
        digest or digest_of(envelope),
        len(envelope) - size,
    )


def is_tombstone(stamp: Stamp) -> bool:
    """Whether a record is a tombstone: the bytes of one follow from its version, so that its digest
    alone tells it."""
    return stamp.digest == seal_tombstone(stamp.version).digest


def read_trailer(end: bytes, envelope_size: int) -> Trailer:
    """What stands at the end of an envelope of this size; `end` is its last bytes, or all of it.

    Raises BadEnvelope.
    """
    return Trailer(*_read(end, envelope_size))


def _read(end: bytes, envelope_size: int) -> tuple[Version, Kind, int, bytes, int]:
    """The fields of a trailer: a record is made of them at every read and write."""
    length = len(end)
    if length < TOMBSTONE_BYTES:
        raise BadEnvelope(f"{length} bytes are too few for an envelope")
    size, form, magic = _FOOT.unpack_from(end, length - _FOOT_BYTES)
    if magic != MAGIC:
        raise BadEnvelope("not an envelope: the magic is missing")
    if form != FORMAT:
        raise BadEnvelope(f"envelope format {form} is not known here")
    if length < size:
        raise BadEnvelope(f"the trailer says {size} bytes, more than there are")
    if size == TOMBSTONE_BYTES:
        return _read_dead(end, envelope_size)
    metadata_size = size - _LIVE_BYTES
    if not 0 <= metadata_size <= METADATA_BYTES_MAX:
        raise BadEnvelope(f"a trailer of {size} bytes")
    at = length - _LIVE_BYTES
    kind, version, expires_at_s, _, _, _ = _LIVE.unpack_from(end, at)
    if kind != _VALUE:
        raise BadEnvelope(f"a value of kind {kind}")
    return Version(version), _VALUE, expires_at_s, end[at - metadata_size : at], size


def _read_dead(end: bytes, envelope_size: int) -> tuple[Version, Kind, int, bytes, int]:
    kind, version, *_ = _DEAD.unpack_from(end, len(end) - TOMBSTONE_BYTES)
    if envelope_size != TOMBSTONE_BYTES:
        raise BadEnvelope("a tombstone of the wrong length")
    if kind != Kind.TOMBSTONE:
        raise BadEnvelope(f"a tombstone of kind {kind}")
    return Version(version), Kind.TOMBSTONE, 0, b"", TOMBSTONE_BYTES


def tells(envelope: bytes, version: bytes, kind: int, expires_at_s: int, metadata: bytes) -> bool:
    """Whether `envelope` ends with just this: what a home keeps beside it must be what it says.

    It is asked at every read of a row, so nothing is taken apart.
    """
    try:
        if kind == Kind.TOMBSTONE:
            bare = not expires_at_s and not metadata
            return bare and envelope == _DEAD.pack(kind, version, TOMBSTONE_BYTES, FORMAT, MAGIC)
        size = trailer_bytes(metadata)
        live = _LIVE.pack(kind, version, expires_at_s, size, FORMAT, MAGIC)
    except struct.error:
        return False  # a number that no envelope has room for
    return envelope.endswith(metadata + live)


def digest_of(envelope: bytes) -> bytes:
    """The MD5 of an envelope (16 bytes): integrity and comparison, not security."""
    return hashlib.md5(envelope, usedforsecurity=False).digest()
