"""Versions: the order of their bytes, and a clock that only ever goes forward."""

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.version import NO_VERSION, VERSION_BYTES, Version, next_hlc, observable

COUNTER_MAX = 2**12 - 1
NOW_US = 1_700_000_000_000_000

clock_readings = st.integers(0, 2**64 - 1)
nonces = st.binary(min_size=8, max_size=8)


@given(clock_readings, nonces, clock_readings, nonces)
def test_versions_sort_by_clock_and_then_by_nonce(
    hlc_a: int, nonce_a: bytes, hlc_b: int, nonce_b: bytes
) -> None:
    a, b = Version.of(hlc_a, nonce_a), Version.of(hlc_b, nonce_b)
    assert (a < b) == (bytes(a) < bytes(b)) == ((hlc_a, nonce_a) < (hlc_b, nonce_b))
    assert (a == b) == ((hlc_a, nonce_a) == (hlc_b, nonce_b))


@given(clock_readings, nonces)
def test_nothing_lies_between_a_version_and_its_successor(hlc: int, nonce: bytes) -> None:
    version = Version.of(hlc, nonce)
    if version == Version(b"\xff" * VERSION_BYTES):
        return
    successor = version.successor()
    assert successor > version
    assert len(successor) == VERSION_BYTES
    assert int.from_bytes(successor, "big") - int.from_bytes(version, "big") == 1


def test_versions_around_every_carry_sort_by_clock() -> None:
    around = sorted(
        {edge + step for bits in range(1, 64) for edge in (2**bits,) for step in (-1, 0, 1)}
    )
    in_order = [Version.of(hlc, nonce) for hlc in around for nonce in (b"\x00" * 8, b"\xff" * 8)]
    assert all(a < b for a, b in pairwise(in_order))


@given(clock_readings, nonces)
def test_a_version_tells_its_clock_and_time(hlc: int, nonce: bytes) -> None:
    version = Version.of(hlc, nonce)
    assert len(version) == VERSION_BYTES
    assert (version.hlc, version.time_us) == (hlc, hlc >> 12)
    assert Version.parse(bytes(version)) == version
    assert bytes.fromhex(str(version)) == version
    assert str(version) in repr(version)


def test_a_version_at_a_time_is_the_first_of_that_microsecond() -> None:
    assert Version.at(NOW_US).time_us == NOW_US
    assert Version.at(NOW_US) == Version.of(NOW_US << 12, bytes(8))
    assert Version.at(NOW_US - 1, b"\xff" * 8) < Version.at(NOW_US)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_bytes_of_another_length_are_no_version(size: int) -> None:
    with pytest.raises(ValueError, match=f"16 bytes, not {size}"):
        Version.parse(bytes(size))


def test_no_version_is_below_all_that_are_minted_and_yet_true() -> None:
    assert Version.of(next_hlc(0, 0), bytes(8)) > NO_VERSION
    assert bool(NO_VERSION), "code must compare with it instead of testing its truth"


@given(st.lists(st.integers(0, NOW_US * 2), min_size=1), st.data())
def test_stamps_rise_whatever_the_clock_does(clock: list[int], data: st.DataObject) -> None:
    last = 0
    for now_us in clock:
        above = data.draw(st.integers(0, NOW_US << 13))
        stamp = next_hlc(last, now_us, above)
        assert stamp > last
        assert stamp > above
        assert stamp >> 12 >= now_us
        last = stamp


CLOCKS = {
    "steady": range(NOW_US, NOW_US + 3),
    "frozen": [NOW_US] * (COUNTER_MAX + 3),
    "backwards": range(NOW_US, NOW_US - 100, -1),
    "jumping": [NOW_US, NOW_US + 10**9, NOW_US - 10**9, NOW_US + 10**9],
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_stamps_of_a_clock_that_misbehaves_stay_as_near_as_they_can(clock: list[int]) -> None:
    last = NOW_US << 12
    for now_us in clock:
        assert next_hlc(last, now_us) == (now_us << 12 if now_us << 12 > last else last + 1)
        last = next_hlc(last, now_us)


def test_a_full_counter_carries_into_the_next_microsecond() -> None:
    full = (NOW_US << 12) | COUNTER_MAX
    assert next_hlc(full, NOW_US) == (NOW_US + 1) << 12
    assert next_hlc(0, NOW_US, above=full) == (NOW_US + 1) << 12


def test_a_stamp_is_no_greater_than_its_bounds_demand() -> None:
    for last, now_us, above in product(range(0, 9_000, 500), range(4), range(0, 9_000, 700)):
        candidates = {now_us << 12, last + 1, above + 1}
        allowed = {c for c in candidates if c > last and c > above and c >= now_us << 12}
        assert next_hlc(last, now_us, above) == min(allowed)


@pytest.mark.parametrize(
    ("ahead_us", "expected"),
    [(-(10**12), True), (0, True), (500, True), (501, False), (10**12, False)],
)
def test_a_version_too_far_ahead_is_not_observed(ahead_us: int, expected: bool) -> None:
    last_of_the_microsecond = Version.of(((NOW_US + ahead_us) << 12) | COUNTER_MAX, b"\xff" * 8)
    assert observable(last_of_the_microsecond, NOW_US, 500) is expected
