"""The only table between Tandem's errors and Cloudflare's: status, code and message.

Cloudflare writes `<operation>: '<text>'`. Codes that nobody has published (of a bad expiration, of
bad metadata) are 10012, "malformed value".
"""

import math
from typing import Final

from kvgateway.http.rest.envelope import RestError, failure
from kvgateway.http.several import KEYS_MAX
from tandem.core.limits import KEY_NAME_BYTES_MAX, METADATA_BYTES_MAX, VALUE_BYTES_MAX
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

AUTHENTICATION: Final = 10000
UNAVAILABLE: Final = 10001
NO_ROUTE: Final = 7003
MALFORMED: Final = 10012
TOO_MANY_REQUESTS: Final = 10022
TOO_LARGE: Final = 10024
NO_ENDPOINT: Final = 10025

RETRY_AFTER_S: Final = 1
"""When to try again where nobody knows better."""

_TITLE_TAKEN: Final = "A namespace with this account ID and title already exists."
_LONG_NAME: Final = "UTF-8 encoded length of {given} exceeds key length limit of %d."
_NOT_POSITIVE: Final = "Invalid expiration_ttl of {given}. Please specify integer greater than 0."
_NOT_FUTURE: Final = (
    "Invalid expiration of {given}. Please specify integer greater than the current number of"
    " seconds since the UNIX epoch."
)
_TEXTS: Final = {
    ("key", Breach.EMPTY): "Key names must not be empty",
    ("key", Breach.RESERVED): 'Illegal key name "{given}". Please use a different name.',
    ("key", Breach.TOO_MUCH): _LONG_NAME % KEY_NAME_BYTES_MAX,
    ("prefix", Breach.TOO_MUCH): _LONG_NAME % KEY_NAME_BYTES_MAX,
    ("value", Breach.TOO_MUCH): f"Value length of {{given}} exceeds limit of {VALUE_BYTES_MAX}.",
    ("metadata", Breach.TOO_MUCH): (
        f"Metadata length of {{given}} exceeds limit of {METADATA_BYTES_MAX}."
    ),
    ("expiration_ttl_s", Breach.FORM): _NOT_POSITIVE,
    ("expiration_ttl_s", Breach.PAST): _NOT_POSITIVE,
    ("expiration_ttl_s", Breach.TOO_LITTLE): (
        "Invalid expiration_ttl of {given}. Expiration TTL must be at least 60."
    ),
    ("expires_at_s", Breach.FORM): _NOT_FUTURE,
    ("expires_at_s", Breach.PAST): _NOT_FUTURE,
    ("expires_at_s", Breach.TOO_LITTLE): (
        "Invalid expiration of {given}. Expiration times must be at least 60 seconds in the future."
    ),
    ("title", Breach.EMPTY): "missing title",
    ("keys", Breach.EMPTY): "You must request a minimum of 1 key",
    ("keys", Breach.TOO_MUCH): f"You can request a maximum of {KEYS_MAX} keys",
    ("type", Breach.FORM): '"{given}" is not a valid type. Use "json" or "text"',
    ("values", Breach.FORM): "At least one of the requested keys corresponds to a non-json value",
    ("values", Breach.TOO_MUCH): "Total size of request exceeds the limit of 25MB",
}
"""Cloudflare's words; whatever is not here is said in our own."""

_REFUSALS: Final = {
    ("account", None): (404, NO_ROUTE),
    ("namespace", None): (400, 10011),
    ("page", None): (400, 10007),
    ("per_page", None): (400, 10008),
    ("limit", None): (400, 10028),
    ("title", None): (400, 10010),
    ("title", Breach.EMPTY): (400, 10019),
    ("key", Breach.TOO_MUCH): (414, MALFORMED),
    ("prefix", Breach.TOO_MUCH): (414, MALFORMED),
    ("value", Breach.TOO_MUCH): (413, TOO_LARGE),
    ("metadata", Breach.TOO_MUCH): (413, TOO_LARGE),
    ("values", Breach.TOO_MUCH): (413, TOO_LARGE),
}
"""Status and code by field and breach, or by field alone; 400 and MALFORMED for the rest."""


def text_of(error: InvalidArgument) -> str:
    """What an argument's refusal says."""
    template = _TEXTS.get((error.field, error.breach))
    return str(error) if template is None else template.format(given=error.given)


def status_of(error: InvalidArgument) -> tuple[int, int]:
    """The status and the code of an argument's refusal."""
    by_field = _REFUSALS.get((error.field, None), (400, MALFORMED))
    return _REFUSALS.get((error.field, error.breach), by_field)


def answer_to(error: TandemError | RestError | HttpError, operation: str) -> Response:
    """The answer to a request that ended in `error`."""
    match error:
        case RestError():
            return _about(operation, error.status, error.code, error.text)
        case InvalidArgument():
            return _about(operation, *status_of(error), text_of(error))
        case NamespaceNotFound():
            return _about(operation, 404, 10013, "namespace not found")
        case NamespaceExists():
            return _about(operation, 400, 10014, _TITLE_TAKEN)
        case TooManyNamespaces():
            return _about(operation, 400, 10018, str(error))
        case Unauthenticated():
            return failure(401, AUTHENTICATION, f"Authentication error: {error}")
        case PermissionDenied():
            return failure(403, AUTHENTICATION, f"Authentication error: {error}")
        case QuotaExceeded():
            return _later(operation, 429, TOO_MANY_REQUESTS, str(error), error.retry_after_s)
        case Unavailable() | Overloaded():
            return _later(operation, 503, UNAVAILABLE, str(error), RETRY_AFTER_S)
        case HttpError():
            return _broken_body(operation, error)
        case _:
            raise error


def _about(operation: str, status: int, code: int, text: str) -> Response:
    return failure(status, code, f"{operation}: '{text}'")


def _later(operation: str, status: int, code: int, text: str, retry_after_s: float) -> Response:
    seconds = b"%d" % max(1, math.ceil(retry_after_s))
    return failure(status, code, f"{operation}: '{text}'", ((b"retry-after", seconds),))


def _broken_body(operation: str, error: HttpError) -> Response:
    codes = {408: UNAVAILABLE, 413: TOO_LARGE}
    code = codes.get(error.status, MALFORMED)
    return _about(operation, error.status, code, error.reason.decode("latin-1"))
