"""What HTTP answers say of their place in time, and what a reader may demand of it.

A write answers its version, the session token; a read may demand at least that one.
"""

from typing import Final

from kvgateway.http.bulk_read import BulkValues
from tandem.core.request import ReadResult, check_version
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Request

STALE: Final = (b"Tandem-Stale", b"1")
"""Older than it should be, or found by one home alone that may lack writes."""
UNCONFIRMED: Final = (b"Tandem-Unconfirmed", b"1")
"""Only one home was heard on a key that is not there."""

MIN_VERSION: Final = b"tandem-min-version"
_FIELD: Final = "Tandem-Min-Version"


def doubts(found: ReadResult | BulkValues) -> list[tuple[bytes, bytes]]:
    """The headers that say what is not certain of what a read has found."""
    applies = ((STALE, found.stale), (UNCONFIRMED, found.unconfirmed))
    return [header for header, does in applies if does]


def version_header(version: Version) -> tuple[bytes, bytes]:
    """The header that carries a version: 32 hex digits."""
    return b"Tandem-Version", version.hex().encode()


def version_line(version: Version) -> bytes:
    """The same, as a line of a head."""
    return b"Tandem-Version: %b\r\n" % version.hex().encode()


def min_version_of(request: Request) -> Version:
    """The version that a request demands, NO_VERSION when it demands none.

    Raises InvalidArgument for what no write has answered.
    """
    text = request.get(MIN_VERSION)
    if text is None:
        return NO_VERSION
    try:
        raw = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise InvalidArgument(_FIELD, "is not a version: 32 hex digits") from None
    return check_version(raw, _FIELD)
