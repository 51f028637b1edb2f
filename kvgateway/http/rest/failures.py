"""The only table between Tandem's errors and Cloudflare's: status, code and message.

Cloudflare writes `<operation>: '<text>'`. Codes that nobody has published (of a bad expiration, of
bad metadata) are 10012, "malformed value".
"""

from typing import Final

from kvgateway.http.rest.envelope import RestError, failure
from kvgateway.http.words import own_words, retry_after, words_for
from tandem.errors import (
    Breach,
    InvalidArgument,
    NamespaceExists,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    TooManyNamespaces,
    Unauthenticated,
    Unavailable,
)
from tandem.runtime.httpd import HttpError, Response
from tandem.runtime.httpd.message import Headers

AUTHENTICATION: Final = 10000
UNAVAILABLE: Final = 10001
NO_ROUTE: Final = 7003
NO_KEY: Final = 10009
MALFORMED: Final = 10012
TOO_MANY_REQUESTS: Final = 10022
TOO_LARGE: Final = 10024
NO_ENDPOINT: Final = 10025
NO_VALUE: Final = 10047

_TITLE_TAKEN: Final = "A namespace with this account ID and title already exists."
_CODES: Final = {
    "account": NO_ROUTE,
    "namespace": 10011,
    "page": 10007,
    "per_page": 10008,
    "limit": 10028,
    "title": 10010,
}
"""The code for a field; MALFORMED for any other."""


def refusal_of(error: InvalidArgument) -> RestError:
    """The refusal of an argument, in Cloudflare's words where it has some."""
    match error.field, error.breach:
        case "title", Breach.EMPTY:
            return RestError(400, 10019, "missing title")
        case "account", _:
            status, text = 404, own_words(error)
        case "limit", _:
            status, text = 400, own_words(error)  # the binding's words name another parameter
        case _:
            status, text = words_for(error)
    code = TOO_LARGE if status == 413 else _CODES.get(error.field, MALFORMED)
    return RestError(status, code, text)


def answer_to(error: TandemError | RestError | HttpError, operation: str) -> Response:
    """The answer to a request that ended in `error`."""
    match error:
        case RestError():
            return _about(operation, error.status, error.code, error.text, error.headers)
        case InvalidArgument():
            return answer_to(refusal_of(error), operation)
        case NamespaceNotFound():
            return _about(operation, 404, 10013, "namespace not found")
        case NamespaceExists():
            return _about(operation, 400, 10014, _TITLE_TAKEN)
        case TooManyNamespaces():
            return _about(operation, 400, 10018, str(error))
        case Unauthenticated():
            challenge = (b"WWW-Authenticate", b"Bearer")
            return failure(401, AUTHENTICATION, f"Authentication error: {error}", (challenge,))
        case PermissionDenied():
            return failure(403, AUTHENTICATION, f"Authentication error: {error}")
        case QuotaExceeded():
            return _about(operation, 429, TOO_MANY_REQUESTS, str(error), (retry_after(error),))
        case Unavailable() | Overloaded():
            return _about(operation, 503, UNAVAILABLE, str(error), (retry_after(error),))
        case HttpError():
            return _cut_short(operation, error)
        case _:
            raise error


def _about(operation: str, status: int, code: int, text: str, headers: Headers = ()) -> Response:
    return failure(status, code, f"{operation}: '{text}'", headers)


def _cut_short(operation: str, error: HttpError) -> Response:
    code = {408: UNAVAILABLE, 413: TOO_LARGE}.get(error.status, MALFORMED)
    return _about(operation, error.status, code, error.reason.decode("latin-1"))
