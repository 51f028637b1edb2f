"""The bytes of a response head: status line with our own reason phrase, date, framing, headers."""

from email.utils import formatdate
from http import HTTPStatus

from tandem.runtime.httpd.message import Headers, Response

REASON_BYTES_MAX = 512
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"Content-Length: 0\r\nConnection: close\r\n"
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Too many connections\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode("ascii"))
    for status in HTTPStatus
}
# A reason may quote what a client sent: a control character in it would split the response.
_PRINTABLE = bytes(byte if byte >= 0x20 and byte != 0x7F else 0x20 for byte in range(256))


def bodiless(status: int) -> bool:
    return status in (204, 304) or status < 200


def date_line(now_us: int) -> bytes:
    return b"Date: %s\r\n" % formatdate(now_us / 1e6, usegmt=True).encode("ascii")


def _status_line(status: int, reason: bytes) -> bytes:
    return b"HTTP/1.1 %d %s\r\n" % (status, reason[:REASON_BYTES_MAX].translate(_PRINTABLE))


def framing(length: int | None, http10: bool, keep: bool, *, bare: bool = False) -> bytes:
    """The header lines that say where the body ends; `length` None: it is streamed. A `bare` answer
    can have none."""
    if bare:
        lines = b""
    elif length is not None:
        lines = b"Content-Length: %d\r\n" % length
    else:
        lines = b"" if http10 else b"Transfer-Encoding: chunked\r\n"
    if not keep:
        return lines + b"Connection: close\r\n"
    return lines + b"Connection: keep-alive\r\n" if http10 else lines


def encode_head(response: Response, date: bytes, framing: bytes) -> bytes:
    """The head, up to and including the empty line.

    Raises `ValueError` when a header holds CR, LF or NUL, which would let its writer forge headers.
    """
    headers = response.headers
    lines = headers if isinstance(headers, bytes) else encode_headers(headers)
    standard = _STATUS_LINES.get(response.status) if response.reason is None else None
    status = standard or _status_line(response.status, response.reason or b"")
    return b"".join((status, date, framing, lines, b"\r\n"))


def encode_headers(headers: Headers) -> bytes:
    """The lines of these headers; `ValueError` as for `encode_head`."""
    if not headers:
        return b""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    count = len(headers)
    if lines.count(b"\r") != count or lines.count(b"\n") != count or b"\0" in lines:
        raise ValueError("a response header holds CR, LF or NUL")
    return lines
