"""Errors to answers: a status, and the reason phrase that a Worker sees as the error's message.

Workerd shows nothing but the status line to JavaScript, and of that only ASCII arrives everywhere.
The body says the same for people with curl. Where Workers KV has a text for what is wrong, it is
that text, found by the field and how it breaks its rule.
"""

from collections.abc import Mapping
from typing import Final

from tandem.core.limits import (
    CACHE_TTL_S_MIN,
    EXPIRATION_TTL_S_MIN,
    KEY_NAME_BYTES_MAX,
    LIST_PAGE_MAX,
    METADATA_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from tandem.errors import (
    Breach,
    InvalidArgument,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from tandem.runtime.httpd import HttpError, Response

RETRY_AFTER_S: Final = 1
"""For whom a bound of this process had no room, or whom no home could answer."""

_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_ALLOW: Final = (b"Allow", b"GET, HEAD, PUT, DELETE, POST")
_TOO_LONG: Final = f"UTF-8 encoded length of {{}} exceeds key length limit of {KEY_NAME_BYTES_MAX}."
_TTL: Final = "Invalid expiration_ttl of {}. "
_TIME: Final = "Invalid expiration of {}. "
_LIMIT: Final = "Invalid key_count_limit of {}. Please specify an integer "
_NO_TTL: Final = _TTL + "Please specify integer greater than 0."
_NO_TIME: Final = (
    _TIME + "Please specify integer greater than the current number of seconds since the UNIX"
    " epoch."
)
_NO_CACHE_TTL: Final = f"Invalid cache_ttl of {{}}. Cache TTL must be at least {CACHE_TTL_S_MIN}."

_WORDS: Final[Mapping[tuple[str, Breach], tuple[int, str]]] = {
    ("key", Breach.FORM): (400, "Could not URL-decode key name"),
    ("key", Breach.EMPTY): (400, "Key names must not be empty"),
    ("key", Breach.RESERVED): (400, 'Illegal key name "{}". Please use a different name.'),
    ("key", Breach.TOO_MUCH): (414, _TOO_LONG),
    ("prefix", Breach.TOO_MUCH): (414, _TOO_LONG),
    ("value", Breach.TOO_MUCH): (
        413, f"Value length of {{}} exceeds limit of {VALUE_BYTES_MAX}.",
    ),
    ("metadata", Breach.TOO_MUCH): (
        413, f"Metadata length of {{}} exceeds limit of {METADATA_BYTES_MAX}.",
    ),
    ("expiration_ttl_s", Breach.FORM): (400, _NO_TTL),
    ("expiration_ttl_s", Breach.PAST): (400, _NO_TTL),
    ("expiration_ttl_s", Breach.TOO_LITTLE): (
        400, _TTL + f"Expiration TTL must be at least {EXPIRATION_TTL_S_MIN}.",
    ),
    ("expires_at_s", Breach.FORM): (400, _NO_TIME),
    ("expires_at_s", Breach.PAST): (400, _NO_TIME),
    ("expires_at_s", Breach.TOO_LITTLE): (
        400,
        _TIME + f"Expiration times must be at least {EXPIRATION_TTL_S_MIN} seconds in the future.",
    ),
    ("cache_ttl_s", Breach.FORM): (400, _NO_CACHE_TTL),
    ("cache_ttl_s", Breach.TOO_LITTLE): (400, _NO_CACHE_TTL),
    ("limit", Breach.FORM): (400, _LIMIT + "greater than 0."),
    ("limit", Breach.TOO_LITTLE): (400, _LIMIT + "greater than 0."),
    ("limit", Breach.TOO_MUCH): (400, _LIMIT + f"less than {LIST_PAGE_MAX}."),
}  # fmt: skip


def refusal(error: TandemError) -> Response:
    """The answer to a request that ended in `error`."""
    match error:
        case InvalidArgument():
            known = _WORDS.get((error.field, error.breach))
            if known is None:
                return refused(400, str(error))
            status, text = known
            return refused(status, text.format(error.given))
        case NamespaceNotFound():
            # Not 404: as the answer to a get, workerd would take that for a key that is not there.
            return refused(400, f"Namespace not found: {error.namespace}")
        case Unauthenticated():
            return refused(401, f"Unauthorized: {error}", (b"WWW-Authenticate", b"Bearer"))
        case PermissionDenied():
            return refused(403, f"Forbidden: {error}")
        case QuotaExceeded():
            return refused(429, "Too Many Requests", _retry_after(error.retry_after_s), str(error))
        case Overloaded():
            return refused(503, f"Overloaded: {error}", _retry_after(RETRY_AFTER_S))
        case Unavailable():
            return refused(503, f"Unavailable: {error}", _retry_after(RETRY_AFTER_S))
        case _:
            raise error


def refused(
    status: int, text: str, header: tuple[bytes, bytes] = _TEXT, detail: str = ""
) -> Response:
    """An answer whose reason phrase is `text`; the body says it too, or the `detail`."""
    headers = (_TEXT,) if header is _TEXT else (_TEXT, header)
    body = (detail or text).encode("utf-8", "backslashreplace") + b"\n"
    return Response(status, body, headers, text.encode("ascii", "backslashreplace"))


def said(error: HttpError) -> Response:
    """The answer to a request that the server, or this door alone, refuses."""
    header = _ALLOW if error.status == 405 else _TEXT
    return refused(error.status, error.reason.decode("latin-1"), header)


def _retry_after(seconds: float) -> tuple[bytes, bytes]:
    return (b"Retry-After", b"%d" % max(1, -int(-seconds // 1)))
