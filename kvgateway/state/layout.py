"""The bytes of an entry in shared memory, and the bytes under which it is found.

    found under   namespace (16) | name, so that byte order is the order of names
    entry         version | pinned | until | seen at | digest | kept | name length | name | payload

LMDB's keys have at most 511 bytes. A longer name is cut, its hash put behind, and kept whole in the
entry. A key of full length is always a cut one.
"""

import hashlib
import struct
from functools import lru_cache
from typing import Final

from kvgateway.state.entry import Head
from tandem.core.envelope import open_envelope
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import VERSION_BYTES

_FOUND_UNDER_BYTES_MAX: Final = 511
_NAMESPACE_BYTES: Final = 16
_HASH_BYTES: Final = 16
NAME_BYTES_KEPT: Final = _FOUND_UNDER_BYTES_MAX - _NAMESPACE_BYTES - _HASH_BYTES
"""Names that agree in so many bytes may be found out of order."""

_HEAD: Final = struct.Struct(f"={VERSION_BYTES}s{VERSION_BYTES}sqq16s?H")
_UNTIL_US: Final = struct.Struct("=q")
_UNTIL_AT: Final = 2 * VERSION_BYTES
_PIN: Final = struct.Struct(f"={VERSION_BYTES}sq")
_HAS_PAYLOAD: Final = _HEAD.size - 3


@lru_cache(maxsize=4096)
def namespace_bytes(namespace: str) -> bytes:
    """The bytes of a namespace's id."""
    return bytes.fromhex(namespace)


def found_under(key: Key) -> bytes:
    """The bytes under which a key's entry is found."""
    raw = namespace_bytes(key[0]) + key[1].encode()
    if len(raw) < _FOUND_UNDER_BYTES_MAX:
        return raw
    cut = _NAMESPACE_BYTES + NAME_BYTES_KEPT
    return raw[:cut] + hashlib.blake2b(raw[cut:], digest_size=_HASH_BYTES).digest()


def pack(key: Key, where: bytes, head: Head, payload: bytes) -> bytes:
    """An entry; `payload` is the envelope that `head.digest` is of, or empty."""
    version, pinned, until_us, seen_at_us, digest = head
    name = key[1].encode() if len(where) == _FOUND_UNDER_BYTES_MAX else b""
    packed = _HEAD.pack(version, pinned, until_us, seen_at_us, digest, digest != b"", len(name))
    return b"".join((packed, name, payload))


def head_of(entry: bytes) -> Head:
    """The head of an entry."""
    version, pinned, until_us, seen_at_us, digest, kept, _ = _HEAD.unpack_from(entry)
    return Head(version, pinned, until_us, seen_at_us, digest if kept else b"")


def head_bytes(entry: bytes) -> bytes:
    """The bytes of the head: two entries of a key that agree in them are equal."""
    return entry[: _HEAD.size]


def version_of(entry: bytes) -> bytes:
    """The version of an entry."""
    return entry[:VERSION_BYTES]


def pin_of(entry: bytes) -> tuple[bytes, int]:
    """The version that an entry is pinned by, and until when; 0 when it never was."""
    pinned, until_us = _PIN.unpack_from(entry, VERSION_BYTES)
    return pinned, until_us


def pinned_until(entry: bytes, until_us: int) -> bytes:
    """The entry with another end of its pin."""
    return b"".join(
        (entry[:_UNTIL_AT], _UNTIL_US.pack(until_us), entry[_UNTIL_AT + _UNTIL_US.size :])
    )


def payload_of(entry: bytes) -> bytes:
    """The envelope kept in an entry; empty when there is none."""
    return entry[_HEAD.size + _HEAD.unpack_from(entry)[6] :]


def record_of(entry: bytes, head: Head) -> Record | None:
    """The record kept in an entry, its digest taken from there."""
    return open_envelope(payload_of(entry), head.digest) if head.digest else None


def name_of(where: bytes, entry: bytes) -> str:
    """The name of the key whose entry is found under `where`."""
    if len(where) < _FOUND_UNDER_BYTES_MAX:
        return where[_NAMESPACE_BYTES:].decode()
    length = _HEAD.unpack_from(entry)[6]
    return entry[_HEAD.size : _HEAD.size + length].decode()


def stripped(entry: bytes) -> bytes:
    """The entry without its payload."""
    length = _HEAD.unpack_from(entry)[6]
    bare = bytearray(entry[: _HEAD.size + length])
    bare[_HAS_PAYLOAD] = 0
    return bytes(bare)
