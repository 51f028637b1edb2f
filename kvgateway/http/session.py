"""Session tokens over HTTP: a write answers its version, a read may demand at least that one."""

import binascii
from typing import Final

from tandem.core.request import check_version
from tandem.core.version import Version
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Request

VERSION_HEADER: Final = b"tandem-version"
MIN_VERSION_HEADER: Final = b"tandem-min-version"


def version_header(version: Version) -> tuple[bytes, bytes]:
    """The header that carries a version: 32 hex digits."""
    return VERSION_HEADER, version.hex().encode()


def min_version_of(request: Request) -> Version:
    """The version that a read demands, NO_VERSION when it demands none.

    Raises InvalidArgument for what no write has answered.
    """
    text = request.get(MIN_VERSION_HEADER) or b""
    try:
        raw = binascii.unhexlify(text)
    except ValueError:
        raise InvalidArgument("min_version", "must have 32 hex digits") from None
    return check_version(raw, "min_version")
