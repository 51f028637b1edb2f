"""What a caller gives, checked before it shares a stream with what others gave.

Whatever a message cannot hold would break the stream under all of them, so each type and bound is
checked here; what only the gateway can judge, it judges.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from tandem.core.access import check_account
from tandem.core.key import check_name, check_name_length
from tandem.core.limits import CACHE_TTL_S_MIN, EXPIRATION_TTL_S_MIN, LIST_PAGE_MAX
from tandem.core.request import EXPIRES_AT_S_MAX, check_value_size
from tandem.core.version import VERSION_BYTES
from tandem.errors import InvalidArgument
from tandem.runtime.settings import ADDRESS

_CACHE_TTL_S_MOST: Final = 2**32 - 1
"""As long as a message can say; longer than any copy lives."""

TIMEOUT_S_MOST: Final = 365 * 86_400.0
"""Longer than anybody waits. gRPC counts nanoseconds, and takes what it cannot count for a time
that is up, or for none."""

_RESOLVED: Final = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):.")
"""How an address begins that gRPC resolves in a way of its own."""


def check_address(address: str) -> str:
    """`address`, if a server can be there; InvalidArgument otherwise."""
    check_text(address, "address")
    try:
        ADDRESS.parse(address)
    except ValueError:
        if not _RESOLVED.match(address):
            message = f"{address!r} is not {ADDRESS.expected}"
            raise InvalidArgument("address", message) from None
    return address


def timeout(seconds: object) -> float:
    """How long a call may take; `inf` is as long as can be said."""
    if not isinstance(seconds, int | float) or math.isnan(seconds):
        raise InvalidArgument("timeout_s", f"{seconds!r} is not a number of seconds")
    return min(seconds, TIMEOUT_S_MOST)


def key_bytes(key: str) -> bytes:
    """The name of a key as it travels."""
    check_text(key, "key")
    check_name(key)
    return key.encode()


def value_bytes(value: object) -> bytes:
    """A value as it travels; text is UTF-8."""
    match value:
        case str():
            raw = _utf_8(value)
        case bytes():
            raw = value
        case bytearray() | memoryview():
            raw = bytes(value)
        case _:
            raise InvalidArgument("value", f"must be bytes or text, not {type(value).__name__}")
    check_value_size(len(raw))
    return raw


def known_version(version: object, field: str) -> bytes | None:
    """`version`, which another client has handed over; InvalidArgument for what is none."""
    if version is None or (isinstance(version, bytes) and len(version) == VERSION_BYTES):
        return version
    raise InvalidArgument(field, "is not a version: 16 bytes, of hex digits bytes.fromhex(...)")


def _utf_8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"is not valid Unicode at character {error.start}"
        raise InvalidArgument("value", message) from None


def cache_ttl(seconds: int) -> int:
    """How old a copy may be, 0 for the gateway's own bound."""
    _check_whole(seconds, "cache_ttl_s")
    if seconds < 0:
        raise InvalidArgument("cache_ttl_s", f"{seconds} is below the minimum of {CACHE_TTL_S_MIN}")
    return min(seconds, _CACHE_TTL_S_MOST)


def expiration_s(expires_at: int | datetime | None) -> int:
    """Seconds since the epoch, 0 for never; a fraction is cut off."""
    if expires_at is None:
        return 0
    seconds = _since_epoch_s(expires_at) if isinstance(expires_at, datetime) else expires_at
    _check_whole(seconds, "expires_at_s")
    if seconds <= 0:
        raise InvalidArgument("expires_at_s", f"{seconds} is not a time in the future")
    _check_end(seconds, "expires_at_s")
    return seconds


def _since_epoch_s(moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise InvalidArgument("expires_at_s", f"{moment} has no time zone, such as datetime.UTC")
    return int(moment.timestamp())


def ttl_s(
    ttl: int | timedelta | None,
    least_s: int = EXPIRATION_TTL_S_MIN,
    field: str = "expiration_ttl_s",
) -> int:
    """Seconds to live, 0 for ever; a fraction is cut off."""
    if ttl is None:
        return 0
    seconds = int(ttl.total_seconds()) if isinstance(ttl, timedelta) else ttl
    _check_whole(seconds, field)
    if seconds < least_s:
        raise InvalidArgument(field, f"{seconds} is below the minimum of {least_s}")
    _check_end(seconds, field)
    return seconds


def check_count(count: int, field: str, most: int | None = None) -> None:
    """Raises InvalidArgument for what is no whole number from 1 to `most`."""
    if not isinstance(count, int):
        raise InvalidArgument(field, f"must be a whole number, not {type(count).__name__}")
    if most is not None and not 1 <= count <= most:
        raise InvalidArgument(field, f"{count} is not between 1 and {most}")
    if count < 1:
        raise InvalidArgument(field, f"{count} is below the minimum of 1")


def check_listing(prefix: str, after: str, limit: int | None, page_size: int) -> None:
    """Raises InvalidArgument for what cannot be listed."""
    for name, field in ((prefix, "prefix"), (after, "after")):
        check_text(name, field)
        check_name_length(name, field)
    if limit is not None:
        check_count(limit, "limit")
    check_count(page_size, "page_size", LIST_PAGE_MAX)


def check_text(text: object, field: str) -> str:
    """`text`; InvalidArgument when it is none."""
    if not isinstance(text, str):
        raise InvalidArgument(field, f"must be text, not {type(text).__name__}")
    return text


def account_name(text: object) -> str:
    """The name of an account; InvalidArgument for what can be none."""
    return check_account(check_text(text, "account"))


def check_names(keys: object) -> None:
    """Raises InvalidArgument for what is not one name after another, as a text is, too."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidArgument("keys", f"must be names, one by one, not {type(keys).__name__}")


def check_items(items: object) -> None:
    """Raises InvalidArgument for what does not map names to values."""
    if not isinstance(items, Mapping):
        raise InvalidArgument("items", f"must map names to values, not be {type(items).__name__}")


def check_kind(value: object, kind: type, field: str) -> None:
    """Raises InvalidArgument for what is given, and is no `kind`."""
    if value is not None and not isinstance(value, kind):
        raise InvalidArgument(field, f"must be of {kind.__name__}, and {value!r} is not")


def _check_whole(seconds: object, field: str) -> None:
    if not isinstance(seconds, int):
        raise InvalidArgument(
            field, f"must be a whole number of seconds, not {type(seconds).__name__}"
        )


def _check_end(seconds: int, field: str) -> None:
    if seconds > EXPIRES_AT_S_MAX:
        raise InvalidArgument(field, f"{seconds} is not a time in seconds")
