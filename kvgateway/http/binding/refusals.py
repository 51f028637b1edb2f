"""Errors to answers: a status, and the reason phrase that a Worker sees as the error's message.

Workerd shows nothing but the status line to JavaScript, and of that only ASCII arrives everywhere.
The body says the same for people with curl.
"""

from typing import Final

from kvgateway.http.words import retry_after, words_for
from tandem.errors import (
    InvalidArgument,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    Unauthenticated,
    Unavailable,
    sayable,
)
from tandem.runtime.httpd import HttpError, Response
from tandem.runtime.httpd.head import REASON_BYTES_MAX
from tandem.runtime.httpd.message import Headers

_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")


class WrongMethod(HttpError):
    """405, with the methods that the path has."""

    def __init__(self, allowed: bytes) -> None:
        super().__init__(405, b"Method Not Allowed")
        self.allowed = allowed


def refusal(error: TandemError) -> Response:
    """The answer to a request that ended in `error`."""
    match error:
        case InvalidArgument():
            return refused(*words_for(error))
        case NamespaceNotFound():
            # Not 404: as the answer to a get, workerd would take that for a key that is not there.
            return refused(400, f"Namespace not found: {error.namespace}")
        case Unauthenticated():
            return refused(401, f"Unauthorized: {error}", ((b"WWW-Authenticate", b"Bearer"),))
        case PermissionDenied():
            return refused(403, f"Forbidden: {error}")
        case QuotaExceeded():
            return refused(429, "Too Many Requests", (retry_after(error),), str(error))
        case Overloaded():
            return refused(503, f"Overloaded: {error}", (retry_after(error),))
        case Unavailable():
            return refused(503, f"Unavailable: {error}", (retry_after(error),))
        case _:
            raise error


def refused(status: int, text: str, headers: Headers = (), detail: str = "") -> Response:
    """An answer whose reason phrase is `text`; the body says it too, or the `detail`."""
    body = sayable(detail or text).encode() + b"\n"
    reason = sayable(text.encode("ascii", "backslashreplace").decode(), REASON_BYTES_MAX)
    return Response(status, body, (_TEXT, *headers), reason.encode())


def said(error: HttpError) -> Response:
    """The answer to a request that the server, or this door alone, refuses."""
    headers = ((b"Allow", error.allowed),) if isinstance(error, WrongMethod) else ()
    return refused(error.status, error.reason.decode("latin-1"), headers)
