"""What Workers KV says of an argument that it refuses, found by its field and how it breaks a rule;
and when somebody who was refused may come back.

Both doors use these words: the binding's as the reason phrase, the REST door's in its envelope.
"""

import math
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
from tandem.errors import Breach, InvalidArgument, QuotaExceeded, TandemError

RETRY_AFTER_S: Final = 1
"""For whom a bound of this process had no room, or whom no home could answer."""

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

_NAMES: Final = {"expires_at_s": "expiration", "expiration_ttl_s": "expiration_ttl"}
"""What a client calls a field, where that is not our own word."""
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


def retry_after(error: TandemError) -> tuple[bytes, bytes]:
    """The header for what may be asked again later."""
    seconds = error.retry_after_s if isinstance(error, QuotaExceeded) else RETRY_AFTER_S
    return b"Retry-After", b"%d" % max(1, math.ceil(seconds))


def words_for(error: InvalidArgument) -> tuple[int, str]:
    """The status and the text, which is our own where Workers KV has none."""
    known = _WORDS.get((error.field, error.breach))
    if known is None:
        return 400, own_words(error)
    status, text = known
    return status, text.format(error.given)


def own_words(error: InvalidArgument) -> str:
    """The text behind the name that clients have for the field."""
    return f"{_NAMES.get(error.field, error.field)}: {error.message}"
