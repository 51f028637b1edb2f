"""A client's request once it has been checked: inside, nothing is checked again.

Every front door (gRPC, HTTP) parses into these types, so there is one owner for what is allowed.
What each operation makes is a named tuple: it costs a quarter of a frozen dataclass.
"""

import json
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from tandem.core.envelope import Value
from tandem.core.key import Key
from tandem.core.limits import (
    CACHE_TTL_S_MIN,
    EXPIRATION_TTL_S_MIN,
    LIST_PAGE_DEFAULT,
    LIST_PAGE_MAX,
    METADATA_BYTES_MAX,
    VALUE_BYTES_MAX,
)
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, VERSION_BYTES, Version
from tandem.errors import Breach, InvalidArgument

EXPIRES_AT_S_MAX = 2**40
"""The year 36812: above it a number is not a time in seconds."""


class Read(NamedTuple):
    """Read one key; no answer older than `min_version`, none cached longer than `cache_ttl_s`."""

    key: Key
    min_version: Version = NO_VERSION
    cache_ttl_s: int | None = None


class Put(NamedTuple):
    """Store a value."""

    key: Key
    value: Value
    metadata: bytes = b""
    expires_at_s: int = 0
    above: Version = NO_VERSION


class Delete(NamedTuple):
    """Store a tombstone."""

    key: Key
    above: Version = NO_VERSION


Write = Put | Delete


@dataclass(frozen=True, slots=True)
class Listing:
    """List the names of a namespace that begin with `prefix`, after the name `after`."""

    namespace: str
    prefix: str = ""
    after: str = ""
    limit: int = LIST_PAGE_DEFAULT


class ReadResult(NamedTuple):
    """What a read found."""

    record: Record | None
    """The live value; None when there is none."""
    version: Version = NO_VERSION
    """Of the record, or of the tombstone or expired record that was found instead."""
    cached: bool = False
    unconfirmed: bool = False
    stale: bool = False


class Written(NamedTuple):
    """An acknowledged write."""

    version: Version
    superseded_by: Version | None = None


@dataclass(frozen=True, slots=True)
class ListedName:
    """One live key of a listing."""

    name: str
    expires_at_s: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of names; `next_after` is None when the listing is complete."""

    names: tuple[ListedName, ...]
    next_after: str | None
    stale: bool = False


def check_value_size(size: int) -> None:
    """Raises InvalidArgument when a value is too large."""
    if size > VALUE_BYTES_MAX:
        raise InvalidArgument(
            "value",
            f"length of {size} bytes exceeds the limit of {VALUE_BYTES_MAX}",
            Breach.TOO_MUCH,
            size,
        )


def check_metadata(metadata: bytes) -> None:
    """Raises InvalidArgument unless `metadata` is empty or JSON text of at most 1,024 bytes."""
    if not metadata:
        return
    if len(metadata) > METADATA_BYTES_MAX:
        size = len(metadata)
        raise InvalidArgument(
            "metadata",
            f"length of {size} bytes exceeds the limit of {METADATA_BYTES_MAX}",
            Breach.TOO_MUCH,
            size,
        )
    try:
        json.loads(metadata.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument("metadata", f"is not valid JSON: {error}") from None


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def check_expiration(expires_at_s: int | None, ttl_s: int | None, now_s: int) -> int:
    """The absolute expiration in seconds, 0 for never; None was not given, and the ttl wins.

    Raises InvalidArgument when it lies less than 60 s ahead.
    """
    if ttl_s is not None:
        if ttl_s < EXPIRATION_TTL_S_MIN:
            raise InvalidArgument(
                "expiration_ttl_s",
                f"{ttl_s} is below the minimum of {EXPIRATION_TTL_S_MIN}",
                Breach.PAST if ttl_s <= 0 else Breach.TOO_LITTLE,
                ttl_s,
            )
        return _checked_end(now_s + ttl_s, "expiration_ttl_s", ttl_s)
    if expires_at_s is None:
        return 0
    if expires_at_s < now_s + EXPIRATION_TTL_S_MIN:
        past = expires_at_s <= now_s
        raise InvalidArgument(
            "expires_at_s",
            f"{expires_at_s} is {'in the past' if past else 'too near'}: it must be at least"
            f" {EXPIRATION_TTL_S_MIN} s after now ({now_s})",
            Breach.PAST if past else Breach.TOO_LITTLE,
            expires_at_s,
        )
    return _checked_end(expires_at_s, "expires_at_s", expires_at_s)


def _checked_end(expires_at_s: int, field: str, given: int) -> int:
    if expires_at_s > EXPIRES_AT_S_MAX:
        raise InvalidArgument(
            field, f"{expires_at_s} is not a time in seconds", Breach.TOO_MUCH, given
        )
    return expires_at_s


def check_cache_ttl(cache_ttl_s: int | None) -> int | None:
    """The cache ttl, None for the default; InvalidArgument below 30 s."""
    if cache_ttl_s is not None and cache_ttl_s < CACHE_TTL_S_MIN:
        raise InvalidArgument(
            "cache_ttl_s",
            f"{cache_ttl_s} is below the minimum of {CACHE_TTL_S_MIN}",
            Breach.TOO_LITTLE,
            cache_ttl_s,
        )
    return cache_ttl_s


def check_version(raw: bytes, field: str) -> Version:
    """The version in `raw`, NO_VERSION when empty."""
    if not raw:
        return NO_VERSION
    if len(raw) != VERSION_BYTES:
        raise InvalidArgument(field, f"a version has {VERSION_BYTES} bytes, not {len(raw)}")
    return Version(raw)


def check_page_limit(limit: int | None) -> int:
    """The page size, where None stands for the default; InvalidArgument outside 1 to 1,000."""
    if limit is None:
        return LIST_PAGE_DEFAULT
    if not 1 <= limit <= LIST_PAGE_MAX:
        raise InvalidArgument(
            "limit",
            f"{limit} is not between 1 and {LIST_PAGE_MAX}",
            Breach.TOO_LITTLE if limit < 1 else Breach.TOO_MUCH,
            limit,
        )
    return limit
