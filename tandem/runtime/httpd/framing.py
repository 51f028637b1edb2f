"""Where a body ends, by the head before it; and which heads are refused, since two servers could
read them in two ways.

The parser is told to be lenient about header *values* only, because real metadata holds DEL and
other raw bytes. Its leniency also lets through what could smuggle a request (`Content-Length : 3`,
NUL, folded lines, heads that end in CR CR LF or LF CR LF), so those rules are here once more. What
is refused raises `HttpError`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tandem.runtime.httpd.message import HttpError

_LINES: Final = re.compile(rb"(?:[^\0\r\n]*\r\n(?![ \t]))*[^\0\r\n]*\r?").fullmatch
"""Lines of which none begins with space: that would go on with the line before. The last may be cut
anywhere."""
_CONTINUE: Final = b"100-continue"
_ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})


def check_bytes(head: bytes) -> None:
    """Refuses a piece of a head that is more than lines which end in CRLF."""
    if not _LINES(head):
        raise HttpError(400, b"Bad Request: folded line, NUL, or line end other than CRLF")


def body_length(
    headers: Mapping[bytes, bytes], repeated: Sequence[bytes], version: str
) -> int | None:
    """How long the body behind a head is; None when it comes in chunks.

    `headers` has the first of each name, `repeated` the names of the others.
    """
    if version not in ("1.1", "1.0"):
        raise HttpError(505, b"HTTP Version Not Supported")
    if b" " in b"".join(headers):
        raise HttpError(400, b"Malformed header")
    for name in repeated:
        if name in _ONCE:
            raise HttpError(400, b"More than one " + name.title())
    if headers.get(b"expect", _CONTINUE).lower() != _CONTINUE:
        raise HttpError(417, b"Expectation Failed")
    length = headers.get(b"content-length")
    if b"transfer-encoding" in headers:
        _check_chunked(headers[b"transfer-encoding"])
        if length is not None or version == "1.0":
            raise HttpError(400, b"Conflicting message framing")
        return None
    return 0 if length is None else _number(length)


def _check_chunked(coding: bytes) -> None:
    if coding.lower() != b"chunked":
        raise HttpError(501, b"Transfer-Encoding other than chunked")


def _number(digits: bytes) -> int:
    if not digits.isdigit():
        raise HttpError(400, b"Bad Content-Length")
    return int(digits)
