"""The cursor of a listing: opaque text that means "after this name".

A cursor names no home, so it survives a change of home, and it can be used again. It carries a
checksum over the namespace and the prefix of its listing: text that no listing handed out, or one
from another listing, is refused. The limit is not part of it and may change between pages.

    base64url( format 1 | checksum (8 bytes) | name )
"""

import base64
import binascii
import hashlib
from typing import Final

from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.errors import InvalidArgument

_FORMAT: Final = b"\x01"
_CHECKSUM_BYTES: Final = 8
_HEAD_BYTES: Final = len(_FORMAT) + _CHECKSUM_BYTES
_TEXT_CHARS_MAX: Final = (_HEAD_BYTES + KEY_NAME_BYTES_MAX) * 4 // 3 + 4


def encode_cursor(namespace: str, prefix: str, after: str) -> str:
    """The cursor that continues the listing of `prefix` after the name `after`."""
    raw = after.encode()
    head = _FORMAT + _checksum(namespace, prefix, raw)
    return base64.urlsafe_b64encode(head + raw).decode().rstrip("=")


def decode_cursor(namespace: str, prefix: str, cursor: str) -> str:
    """The name to continue after, "" for an empty cursor.

    Raises InvalidArgument when the cursor is not from a listing of this namespace and prefix.
    """
    if not cursor:
        return ""
    if len(cursor) > _TEXT_CHARS_MAX:
        raise _from_nowhere()
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        head, raw = decoded[:_HEAD_BYTES], decoded[_HEAD_BYTES:]
        if head != _FORMAT + _checksum(namespace, prefix, raw):
            raise _from_nowhere()
        return raw.decode()
    except (binascii.Error, ValueError):
        raise _from_nowhere() from None


def _checksum(namespace: str, prefix: str, raw: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_CHECKSUM_BYTES)
    for part in (namespace.encode(), prefix.encode(), raw):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _from_nowhere() -> InvalidArgument:
    return InvalidArgument("cursor", "is not from a listing of this namespace and prefix")
