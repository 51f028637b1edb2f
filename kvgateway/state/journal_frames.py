"""The bytes of a journal: frames of length, CRC-32 and body, each of which is whole or not there.

A body is one byte for what it says, the version, the namespace (16 bytes) and the name. Each write
begins with SYNCED: what stands before it in the segment was on stable storage by then. So a frame
that is not whole was torn by a crash if no SYNCED follows, and damaged later if one does.
"""

import enum
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from kvgateway.state.ports import Intent
from tandem.core.key import Key
from tandem.core.version import VERSION_BYTES, Version

_FRAME: Final = struct.Struct(">II")
_NAMESPACE_BYTES: Final = 16
_BODY: Final = struct.Struct(f">B{VERSION_BYTES}s{_NAMESPACE_BYTES}s")
_BODY_BYTES_MAX: Final = 4096


class Mark(enum.IntEnum):
    """What a frame says of its intent."""

    WANTED = 1
    DONE = 2


_SYNCED_BODY: Final = b"\x03"
SYNCED: Final = _FRAME.pack(len(_SYNCED_BODY), zlib.crc32(_SYNCED_BODY)) + _SYNCED_BODY
"""Begins each write of a segment."""


class UnknownFrame(ValueError):
    """A frame that is whole, and says what this program does not know."""


def frame(mark: Mark, intent: Intent) -> bytes:
    """One frame."""
    key = intent.key
    body = _BODY.pack(mark, intent.version, bytes.fromhex(key.namespace)) + key.name.encode()
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def frames(data: bytes) -> Iterator[tuple[Mark, Intent]]:
    """The whole frames of a segment, up to the first that is torn; what is damaged is left out.

    Raises UnknownFrame at one that is whole and cannot be understood: to leave it out would be to
    forget an intent.
    """
    return (_opened(body) for body in _bodies(data) if body is not None)


def is_damaged(data: bytes) -> bool:
    """Whether frames that once were on stable storage are not whole any more."""
    return any(body is None for body in _bodies(data))


def _bodies(data: bytes) -> Iterator[bytes | None]:
    """The bodies of intents, and None in the place of frames that are damaged."""
    at = 0
    while at + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, at)
        body = data[at + _FRAME.size : at + _FRAME.size + length]
        sound = _BODY.size < length <= _BODY_BYTES_MAX or body == _SYNCED_BODY
        if sound and length == len(body) and zlib.crc32(body) == crc:
            at += _FRAME.size + length
            if body != _SYNCED_BODY:
                yield body
            continue
        at = data.find(SYNCED, at + 1)
        if at < 0:
            return
        yield None


def _opened(body: bytes) -> tuple[Mark, Intent]:
    mark, version, namespace = _BODY.unpack_from(body)
    try:
        name = body[_BODY.size :].decode()
        return Mark(mark), Intent(Key(namespace.hex(), name), Version(version))
    except ValueError as error:
        raise UnknownFrame(f"a frame that this version does not know: {error}") from error


def left_over(segments: Iterable[bytes]) -> list[Intent]:
    """The intents that are not done, each once. A mark may stand before what it speaks of."""
    wanted: dict[Version, Intent] = {}
    done: set[Version] = set()
    for data in segments:
        for mark, intent in frames(data):
            match mark:
                case Mark.WANTED:
                    wanted[intent.version] = intent
                case Mark.DONE:
                    done.add(intent.version)
    return [intent for version, intent in wanted.items() if version not in done]
