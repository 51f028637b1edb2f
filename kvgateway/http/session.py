"""Session tokens over HTTP: a write answers its version, and a read may demand that one or newer."""

from typing import Final

from tandem.core.request import check_version
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Request

_MIN_VERSION: Final = b"tandem-min-version"
_FIELD: Final = "Tandem-Min-Version"


def version_header(version: Version) -> tuple[bytes, bytes]:
    """The header that carries a version: 32 hex digits."""
    return b"Tandem-Version", version.hex().encode()


def min_version_of(request: Request) -> Version:
    """The version that a request demands, NO_VERSION when it demands none.

    Raises InvalidArgument for what no write has answered.
    """
    text = request.get(_MIN_VERSION)
    if text is None:
        return NO_VERSION
    try:
        raw = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise InvalidArgument(_FIELD, "is not a version: 32 hex digits") from None
    return check_version(raw, _FIELD)
