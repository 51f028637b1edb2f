"""Quotas: never more than burst + rate * t, never a refusal while there is room, debts repaid."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.quota import (
    NO_QUOTA,
    QUOTA_MAX,
    Bucket,
    Quota,
    Rate,
    booked,
    bytes_rate,
    check_quota,
    drawn,
    full,
    operations_rate,
    owing,
    refilled,
)
from tandem.errors import InvalidArgument

SECOND_US = 1_000_000
rates = st.builds(
    lambda per_s, burst, debt: Rate(per_s, burst, debt),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.integers(0, 5000),
)
steps = st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 3000)), max_size=60)


@given(rates, steps)
def test_no_window_is_granted_more_than_the_burst_and_the_rate(
    rate: Rate, draws: list[tuple[int, int]]
) -> None:
    now_us, bucket = 0, full(rate, 0)
    granted: list[tuple[int, int]] = []
    for pause_us, most in draws:
        now_us += pause_us
        bucket, got = drawn(bucket, rate, most, now_us)
        granted.append((now_us, got.granted))
    for first in range(len(granted)):
        total = 0
        for at_us, units in granted[first:]:
            total += units
            elapsed_us = at_us - granted[first][0]
            assert total * SECOND_US <= rate.burst * SECOND_US + rate.per_s * elapsed_us


@given(rates, steps)
def test_what_has_room_is_granted_and_what_waited_as_told_is_too(
    rate: Rate, draws: list[tuple[int, int]]
) -> None:
    now_us, bucket = 0, full(rate, 0)
    for pause_us, most in draws:
        now_us += pause_us
        room = refilled(bucket, rate, now_us).level_micro // SECOND_US
        bucket, got = drawn(bucket, rate, most, now_us)
        assert got.granted == min(most, room)
        assert (got.wait_us == 0) == (got.granted == most)
        if got.wait_us:
            assert drawn(bucket, rate, 1, now_us + got.wait_us - 1)[1].granted == 0
            assert drawn(bucket, rate, 1, now_us + got.wait_us)[1].granted == 1


@given(rates, steps, st.lists(st.integers(-2_000_000, 2_000_000), max_size=60))
def test_a_time_that_goes_back_grants_nothing_and_takes_nothing(
    rate: Rate, draws: list[tuple[int, int]], jumps: list[int]
) -> None:
    """With a clock that jumps, no more is granted than by one that stood at the latest it said."""
    jumping = steady = full(rate, 10 * SECOND_US)
    now_us = latest_us = 10 * SECOND_US
    for (pause_us, most), jump_us in zip(draws, jumps, strict=False):
        now_us += pause_us + jump_us
        latest_us = max(latest_us, now_us)
        jumping, got = drawn(jumping, rate, most, now_us)
        steady, expected = drawn(steady, rate, most, latest_us)
        assert jumping == steady
        assert got.granted == expected.granted
        assert got.wait_us == (expected.wait_us and expected.wait_us + latest_us - now_us)


@given(rates, st.integers(1, 20_000), st.integers(0, 20_000))
def test_a_debt_is_repaid_before_anything_is_granted(rate: Rate, owed: int, spent: int) -> None:
    bucket, _ = drawn(full(rate, 0), rate, spent + 1, 0)
    level = bucket.level_micro
    bucket, taken = owing(bucket, rate, owed, 0)
    assert taken.granted == owed
    assert bucket.level_micro == max(level - owed * SECOND_US, -rate.debt_max * SECOND_US)
    _, got = drawn(bucket, rate, 1, 0)
    if bucket.level_micro < SECOND_US:
        assert got.granted == 0
        assert got.wait_us == taken.wait_us == -((bucket.level_micro - SECOND_US) // rate.per_s)
    else:
        assert got.granted == 1
        assert taken.wait_us == 0


@given(rates, rates, st.integers(0, 10 * SECOND_US))
def test_a_changed_rate_holds_from_then_on(before: Rate, after: Rate, now_us: int) -> None:
    bucket = refilled(full(before, 0), after, now_us)
    assert bucket.level_micro <= after.burst * SECOND_US


@given(rates, steps)
def test_what_is_booked_begins_no_sooner_than_the_rate_has_paid_for_it(
    rate: Rate, bookings: list[tuple[int, int]]
) -> None:
    now_us, bucket = 0, full(rate, 0)
    begins: list[float] = []
    for pause_us, most in bookings:
        now_us += pause_us
        room = rate.debt_max * SECOND_US + refilled(bucket, rate, now_us).level_micro
        bucket, got = booked(bucket, rate, most, now_us)
        assert got.granted == min(most, room // SECOND_US)
        first_us = now_us + got.first_us
        begins += [max(now_us, first_us + at * SECOND_US / rate.per_s) for at in range(got.granted)]
        ahead_us = rate.debt_max * SECOND_US / rate.per_s
        assert begins[-1:] <= [now_us + ahead_us + 1], "none waits for longer than the largest debt"
    for first in range(0, len(begins), 1 + len(begins) // 20):
        for last in range(first, len(begins), 1 + len(begins) // 20):
            elapsed_us = begins[last] - begins[first]
            assert (last - first) * SECOND_US <= rate.burst * SECOND_US + rate.per_s * elapsed_us


@given(rates, st.integers(0, 3 * SECOND_US))
def test_a_booking_waits_for_those_before_it(rate: Rate, now_us: int) -> None:
    bucket, _ = drawn(full(rate, 0), rate, rate.burst, 0)
    for turn in range(1, min(rate.debt_max, 5) + 1):
        bucket, got = booked(bucket, rate, 1, 0)
        assert got == (1, -(-turn * SECOND_US // rate.per_s))
    assert drawn(bucket, rate, 1, 0)[1].granted == 0, "nobody goes before those that have booked"


@given(rates, rates)
def test_a_new_rate_forgets_what_was_booked_beyond_it(before: Rate, after: Rate) -> None:
    bucket, _ = booked(full(before, 0), before, before.burst + before.debt_max, 0)
    assert refilled(bucket, after, 0).level_micro >= -after.debt_max * SECOND_US


def test_a_second_in_exact_steps() -> None:
    rate = operations_rate(4)
    bucket, got = drawn(full(rate, 0), rate, 10, 0)
    assert (got.granted, got.wait_us) == (4, 250_000)
    granted_at = []
    for now_us in range(0, 1_000_001, 50_000):
        bucket, got = drawn(bucket, rate, 1, now_us)
        granted_at += [now_us] * got.granted
    assert granted_at == [250_000, 500_000, 750_000, 1_000_000]
    assert {after - before for before, after in pairwise(granted_at)} == {250_000}


def test_a_bucket_that_nobody_uses_holds_one_second() -> None:
    for rate in (operations_rate(7), bytes_rate(7)):
        bucket = refilled(Bucket(-rate.debt_max * SECOND_US, 0), rate, 10**15)
        assert bucket.level_micro == 7 * SECOND_US


@pytest.mark.parametrize(
    ("rate", "debt_max"),
    [
        (operations_rate(1000), 100),
        (operations_rate(9), 0),
        (bytes_rate(1), VALUE_BYTES_MAX),
        (bytes_rate(VALUE_BYTES_MAX), 60 * VALUE_BYTES_MAX),
    ],
)
def test_a_debt_has_a_bound(rate: Rate, debt_max: int) -> None:
    assert owing(full(rate, 0), rate, 2**62, 0)[0].level_micro == -debt_max * SECOND_US


def test_levels_of_the_largest_quota_fit_the_words_that_keep_them() -> None:
    rate = bytes_rate(QUOTA_MAX)
    assert full(rate, 0).level_micro < 2**63
    assert owing(full(rate, 0), rate, 2**62, 0)[0].level_micro >= -(2**63)


def test_no_limit_is_no_quota() -> None:
    assert not NO_QUOTA
    assert Quota(operations_per_s=1)
    assert Quota(bytes_per_s=1)
    assert Quota(large_bodies_max=1)


@pytest.mark.parametrize("number", [-1, QUOTA_MAX + 1])
def test_what_cannot_be_a_quota_names_its_field(number: int) -> None:
    with pytest.raises(InvalidArgument, match="bytes_per_s"):
        check_quota(number, "bytes_per_s")
    assert check_quota(0, "x") == 0
    assert check_quota(QUOTA_MAX, "x") == QUOTA_MAX
