"""The one byte form of a record: built once, stored verbatim by both homes.

    magic "TKV" | format 1 | header length (2 bytes) | header | value

Header, format 1: kind (1 byte) | version (16) | and, for values only, expires_at_s (8) | metadata.
All numbers are big-endian. A tombstone is exactly TOMBSTONE_BYTES long, which no value can be, so a
listing that shows sizes alone tells them apart.
"""

import hashlib
import struct
from typing import Final

from tandem.core.limits import METADATA_BYTES_MAX
from tandem.core.record import Kind, Record
from tandem.core.version import VERSION_BYTES, Version

MAGIC: Final = b"TKV"
FORMAT: Final = 1
_PREFIX: Final = struct.Struct(">3sBH")
_TOMBSTONE_HEADER: Final = struct.Struct(f">B{VERSION_BYTES}s")
_VALUE_HEADER: Final = struct.Struct(f">B{VERSION_BYTES}sQ")
_VALUE_HEAD: Final = struct.Struct(f">3sBHB{VERSION_BYTES}sQ")

DIGEST_BYTES: Final = 16
TOMBSTONE_BYTES: Final = _PREFIX.size + _TOMBSTONE_HEADER.size
HEAD_BYTES_MAX: Final = _VALUE_HEAD.size + METADATA_BYTES_MAX
"""No envelope's prefix and header together are longer."""


class BadEnvelope(ValueError):
    """Bytes that are not an envelope of a format that this program knows."""


def seal(
    version: Version, value: bytes | bytearray, *, metadata: bytes = b"", expires_at_s: int = 0
) -> Record:
    """The record of a value with its envelope; `value` is copied once, into the envelope."""
    assert len(metadata) <= METADATA_BYTES_MAX, "no reader would open it"
    head = _VALUE_HEAD.pack(
        MAGIC, FORMAT, _VALUE_HEADER.size + len(metadata), Kind.VALUE, version, expires_at_s
    )
    envelope = b"".join((head, metadata, value))
    start = len(head) + len(metadata)
    return Record(version, Kind.VALUE, expires_at_s, metadata, envelope, digest_of(envelope), start)


def seal_tombstone(version: Version) -> Record:
    """The record of a deletion with its envelope."""
    header = _TOMBSTONE_HEADER.pack(Kind.TOMBSTONE, version)
    envelope = _PREFIX.pack(MAGIC, FORMAT, len(header)) + header
    return Record(version, Kind.TOMBSTONE, 0, b"", envelope, digest_of(envelope), len(envelope))


def open_envelope(envelope: bytes, digest: bytes | None = None) -> Record:
    """The record in `envelope`; BadEnvelope unless it is whole and of a known format.

    `digest` is its MD5 where the caller has just computed or verified it.
    """
    if len(envelope) < TOMBSTONE_BYTES:
        raise BadEnvelope(f"{len(envelope)} bytes are too few for an envelope")
    magic, form, header_size = _PREFIX.unpack_from(envelope)
    if magic != MAGIC:
        raise BadEnvelope("not an envelope: the magic is missing")
    if form != FORMAT:
        raise BadEnvelope(f"envelope format {form} is not known here")
    start = _PREFIX.size + header_size
    if len(envelope) < start:
        raise BadEnvelope(f"the header says {header_size} bytes, more than there are")
    match envelope[_PREFIX.size]:
        case Kind.TOMBSTONE:
            if len(envelope) != TOMBSTONE_BYTES or header_size != _TOMBSTONE_HEADER.size:
                raise BadEnvelope("a tombstone of the wrong length")
            _, version = _TOMBSTONE_HEADER.unpack_from(envelope, _PREFIX.size)
            kind, expires_at_s, metadata = Kind.TOMBSTONE, 0, b""
        case Kind.VALUE:
            if not 0 <= header_size - _VALUE_HEADER.size <= METADATA_BYTES_MAX:
                raise BadEnvelope(f"a header of {header_size} bytes")
            _, version, expires_at_s = _VALUE_HEADER.unpack_from(envelope, _PREFIX.size)
            kind, metadata = Kind.VALUE, envelope[_PREFIX.size + _VALUE_HEADER.size : start]
        case other:
            raise BadEnvelope(f"unknown kind {other}")
    return Record(
        Version(version),
        kind,
        expires_at_s,
        metadata,
        envelope,
        digest or digest_of(envelope),
        start,
    )


def digest_of(envelope: bytes) -> bytes:
    """The MD5 of an envelope (16 bytes): integrity and comparison, not security."""
    return hashlib.md5(envelope, usedforsecurity=False).digest()
