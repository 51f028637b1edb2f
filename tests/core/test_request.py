"""Checked requests: every limit on both sides of its edge, and the field that a refusal names."""

from collections.abc import Callable

import pytest

from tandem.core.limits import METADATA_BYTES_MAX, VALUE_BYTES_MAX
from tandem.core.request import (
    EXPIRES_AT_S_MAX,
    check_cache_ttl,
    check_expiration,
    check_metadata,
    check_page_limit,
    check_value_size,
    check_version,
)
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Breach, InvalidArgument

NOW_S = 1_700_000_000


@pytest.mark.parametrize(
    ("expires_at_s", "ttl_s", "expected"),
    [
        (None, None, 0),
        (None, 60, NOW_S + 60),
        (NOW_S + 60, None, NOW_S + 60),
        (NOW_S + 99, 70, NOW_S + 70),
        (0, 60, NOW_S + 60),
        (EXPIRES_AT_S_MAX, None, EXPIRES_AT_S_MAX),
        (None, EXPIRES_AT_S_MAX - NOW_S, EXPIRES_AT_S_MAX),
    ],
)
def test_an_expiration_is_absolute_and_the_ttl_wins(
    expires_at_s: int | None, ttl_s: int | None, expected: int
) -> None:
    assert check_expiration(expires_at_s, ttl_s, NOW_S) == expected


@pytest.mark.parametrize(
    ("expires_at_s", "ttl_s", "breach", "message"),
    [
        (None, 59, Breach.TOO_LITTLE, "expiration_ttl_s: 59 is below"),
        (None, 1, Breach.TOO_LITTLE, "expiration_ttl_s: 1 is below"),
        (None, 0, Breach.PAST, "expiration_ttl_s: 0 is below"),
        (NOW_S + 99, -1, Breach.PAST, "expiration_ttl_s: -1 is below"),
        (NOW_S + 59, None, Breach.TOO_LITTLE, "expires_at_s: .* too near"),
        (NOW_S, None, Breach.PAST, "expires_at_s: .* in the past"),
        (0, None, Breach.PAST, "expires_at_s: 0 is in the past"),
        (-1, None, Breach.PAST, "expires_at_s: -1 is in the past"),
        (NOW_S * 1000, None, Breach.TOO_MUCH, "expires_at_s: .* not a time in seconds"),
        (EXPIRES_AT_S_MAX + 1, None, Breach.TOO_MUCH, "expires_at_s: .* not a time in seconds"),
        (None, EXPIRES_AT_S_MAX - NOW_S + 1, Breach.TOO_MUCH, "expiration_ttl_s: .* not a time"),
    ],
)
def test_an_expiration_that_is_none_is_refused(
    expires_at_s: int | None, ttl_s: int | None, breach: Breach, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message) as refused:
        check_expiration(expires_at_s, ttl_s, NOW_S)
    given = expires_at_s if ttl_s is None else ttl_s
    assert (refused.value.breach, refused.value.given) == (breach, given)


@pytest.mark.parametrize(
    "metadata",
    [b"", b"{}", b"null", b'"\xc3\xa9"', b'"' + b"m" * (METADATA_BYTES_MAX - 2) + b'"'],
    ids=lambda metadata: repr(metadata[:8]),
)
def test_metadata_is_json_text_or_nothing(metadata: bytes) -> None:
    check_metadata(metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b'"' + b"m" * (METADATA_BYTES_MAX - 1) + b'"', "1025 bytes exceeds the limit of 1024"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b" ", "not valid JSON"),
        (b"NaN", "NaN is not JSON"),
        (b"-Infinity", "-Infinity is not JSON"),
        (b'"\xff"', "not valid JSON"),
        (b"[" * METADATA_BYTES_MAX, "not valid JSON"),
    ],
    ids=lambda part: repr(part[:8]),
)
def test_other_metadata_is_refused(metadata: bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as refused:
        check_metadata(metadata)
    assert refused.value.field == "metadata"


def test_a_value_of_full_size_is_taken_and_a_larger_one_refused() -> None:
    check_value_size(VALUE_BYTES_MAX)
    with pytest.raises(InvalidArgument, match=f"value: .* of {VALUE_BYTES_MAX}") as refused:
        check_value_size(VALUE_BYTES_MAX + 1)
    assert (refused.value.breach, refused.value.given) == (Breach.TOO_MUCH, VALUE_BYTES_MAX + 1)


@pytest.mark.parametrize(
    ("check", "default", "taken", "refused"),
    [
        (check_page_limit, 1000, [1, 1000], [-1, 0, 1001]),
        (check_cache_ttl, None, [30, 10**6], [-1, 0, 1, 29]),
    ],
)
def test_none_stands_for_the_default_and_the_edges_hold(
    check: Callable[[int | None], int | None],
    default: int | None,
    taken: list[int],
    refused: list[int],
) -> None:
    assert check(None) == default
    assert [check(number) for number in taken] == taken
    for number in refused:
        with pytest.raises(InvalidArgument, match=str(number)) as caught:
            check(number)
        breach = Breach.TOO_MUCH if number > 1000 else Breach.TOO_LITTLE
        assert (caught.value.breach, caught.value.given) == (breach, number)


def test_a_version_has_16_bytes_and_none_stands_for_no_version() -> None:
    assert check_version(b"", "min_version") == NO_VERSION
    assert check_version(bytes(Version.at(NOW_S)), "min_version") == Version.at(NOW_S)
    for size in (1, 15, 17):
        with pytest.raises(InvalidArgument, match=f"min_version: .* 16 bytes, not {size}"):
            check_version(bytes(size), "min_version")
