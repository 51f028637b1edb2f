"""The homes' time as a machine reckons it: never ahead of them, known only while it is heard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.homes.home_time import (
    DISAGREEMENT_MAX_US,
    FRESH_US,
    QUICK_US,
    SLOW_MAX_US,
    HomeTime,
    ReckonedClock,
)
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.offset import LASTS_US, LEAP_US
from tandem.core.reply import Side
from tandem.errors import Unavailable

HOME_AHEAD_US = 5_000_000_000


class Clocks:
    """A machine whose monotonic clock and whose wall clock are set by hand."""

    def __init__(self) -> None:
        self.at_us = 0
        self.wall_us = 0

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_us(self) -> int:
        return self.at_us


@given(st.lists(st.tuples(st.integers(1, 2_000_000), st.integers(0, 400_000)), min_size=1))
def test_it_is_never_ahead_of_the_home_and_as_close_as_the_quickest_answer(
    answers: list[tuple[int, int]],
) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    time.observe(Side.S3, clocks.at_us + HOME_AHEAD_US - 1_400_000)
    fastest_us, began_us = 1_000_000, clocks.at_us
    for pause_us, way_back_us in answers:
        clocks.at_us += pause_us + way_back_us
        time.observe(Side.KVSP, clocks.at_us - way_back_us + HOME_AHEAD_US)
        true_us = clocks.at_us + HOME_AHEAD_US
        fastest_us = min(fastest_us, way_back_us)
        assert time.now_us() <= true_us
        if clocks.at_us - began_us < 30_000_000:
            assert true_us - time.now_us() == fastest_us


def test_a_machine_that_hears_nobody_stamps_nothing_but_still_reckons() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    clocks.wall_us = 77
    with pytest.raises(Unavailable, match="not known"):
        time.now_us()
    assert time.reckoned_us() == 77
    _agree(time, HOME_AHEAD_US)
    clocks.at_us = FRESH_US + 1
    with pytest.raises(Unavailable):
        time.now_us()
    assert time.now_or_zero_us() == 0
    assert time.reckoned_us() == HOME_AHEAD_US + FRESH_US + 1
    assert ReckonedClock(time, clocks).now_us() == time.reckoned_us()


def test_two_homes_that_disagree_raise_the_alarm_and_the_one_ahead_counts() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    time.observe(Side.KVSP, HOME_AHEAD_US)
    time.observe(Side.S3, HOME_AHEAD_US + DISAGREEMENT_MAX_US)
    assert not time.alarm()
    time.observe(Side.S3, HOME_AHEAD_US + DISAGREEMENT_MAX_US + 1)
    assert time.alarm()
    assert time.now_us() == HOME_AHEAD_US + DISAGREEMENT_MAX_US + 1


def test_a_home_whose_clock_was_set_back_is_followed_within_two_windows() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    _agree(time, HOME_AHEAD_US)
    for _ in range(62):
        clocks.at_us += 1_000_000
        time.observe(Side.KVSP, clocks.at_us)
    assert time.now_us() == clocks.at_us


@pytest.mark.parametrize("side", Side)
def test_one_wrong_answer_of_a_home_is_not_believed(side: Side) -> None:
    clocks, time = _heard_for_a_while()
    time.observe(side, clocks.at_us + HOME_AHEAD_US + 3_600_000_000)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US
    assert not time.alarm()


def test_a_machine_that_has_slept_believes_both_homes_at_once() -> None:
    clocks, time = _heard_for_a_while()
    slept_us = 20_000_000
    for side in Side:
        time.observe(side, clocks.at_us + HOME_AHEAD_US + slept_us)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US + slept_us


def test_homes_that_leap_differently_are_not_believed_at_once() -> None:
    clocks, time = _heard_for_a_while()
    for side, leap_us in zip(Side, (20_000_000, 40_000_000), strict=True):
        time.observe(side, clocks.at_us + HOME_AHEAD_US + leap_us)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US


def test_a_reply_that_lay_there_while_the_process_stood_still_is_no_beginning() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    clocks.at_us = 12_000_000
    for side in Side:
        time.observe(side, HOME_AHEAD_US, 12_000_000)
    assert not time.known()
    clocks.at_us += FRESH_US + 1
    for side in Side:
        time.observe(side, clocks.at_us - SLOW_MAX_US + HOME_AHEAD_US, SLOW_MAX_US + 1)
    assert not time.known()
    for side in Side:
        time.observe(side, clocks.at_us - QUICK_US + HOME_AHEAD_US, QUICK_US)
    assert time.now_us() == clocks.at_us - QUICK_US + HOME_AHEAD_US


@pytest.mark.parametrize("side", Side)
def test_a_home_that_is_heard_alone_is_believed_once_it_has_lasted(side: Side) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    for at_us in range(0, LASTS_US, 500_000):
        clocks.at_us = at_us
        time.observe(side, clocks.at_us + HOME_AHEAD_US)
        assert not time.known()
        assert time.reckoned_us() == 0, "nor does it count for what has expired"
    clocks.at_us = LASTS_US
    time.observe(side, clocks.at_us + HOME_AHEAD_US)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US


@pytest.mark.parametrize("wrong_s", [-3600, -10, -2, 2, 10, 3600])
@pytest.mark.parametrize("wrong_for_us", range(0, LASTS_US, 100_000))
def test_what_a_process_hears_first_may_all_be_wrong(wrong_s: int, wrong_for_us: int) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    while not time.known():
        wrong_us = wrong_s * 1_000_000 if clocks.at_us <= wrong_for_us else 0
        time.observe(Side.S3, clocks.at_us + HOME_AHEAD_US + wrong_us)
        assert clocks.at_us <= wrong_for_us + 2 * LASTS_US
        clocks.at_us += 100_000
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US


@pytest.mark.parametrize("apart_us", [0, LEAP_US, LEAP_US + 1, -LEAP_US, -LEAP_US - 1])
def test_what_another_process_of_the_machine_believes_need_only_be_heard(apart_us: int) -> None:
    clocks = Clocks()
    time = HomeTime(clocks, HOME_AHEAD_US)
    assert not time.known(), "nobody was heard"
    time.observe(Side.S3, HOME_AHEAD_US + apart_us)
    assert time.known() == (abs(apart_us) <= LEAP_US)
    if time.known():
        assert time.believed_us() == HOME_AHEAD_US + apart_us


@pytest.mark.parametrize("took_us", [0, 1_000_000, SLOW_MAX_US + 1, 30_000_000])
@pytest.mark.parametrize("way_back", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("off_us", [0, -3_600_000_000, 3_600_000_000])
def test_a_worker_begins_as_its_supervisor_believes_unless_what_it_hears_contradicts_that(
    took_us: int, way_back: float, off_us: int
) -> None:
    clocks = Clocks()
    time = HomeTime(clocks, HOME_AHEAD_US)
    clocks.at_us = took_us
    time.observe(Side.S3, took_us - int(took_us * way_back) + HOME_AHEAD_US + off_us, took_us)
    assert time.believed_us() == (None if off_us else HOME_AHEAD_US)


def test_what_the_supervisor_believed_is_not_kept_for_ever() -> None:
    """It lags, or its home has been set back since: samples count from then on."""
    clocks = Clocks()
    time = HomeTime(clocks, HOME_AHEAD_US)
    for _ in range(62):
        clocks.at_us += 1_000_000
        time.observe(Side.KVSP, clocks.at_us + HOME_AHEAD_US - 1_000_000, 1_000_000)
    assert time.believed_us() == HOME_AHEAD_US - 1_000_000


def test_two_homes_that_agree_are_believed_at_once_and_two_that_do_not_are_waited_for() -> None:
    for apart_us in (0, LEAP_US, LEAP_US + 1):
        clocks = Clocks()
        time = HomeTime(clocks)
        time.observe(Side.KVSP, HOME_AHEAD_US)
        time.observe(Side.S3, HOME_AHEAD_US - apart_us)
        assert time.known() == (apart_us <= LEAP_US)


@pytest.mark.parametrize("silent_us", [FRESH_US, FRESH_US + 1])
def test_a_home_that_fell_silent_is_no_witness_for_the_other(silent_us: int) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    time.observe(Side.S3, HOME_AHEAD_US)
    clocks.at_us = silent_us
    time.observe(Side.KVSP, silent_us + HOME_AHEAD_US)
    assert time.known() == (silent_us <= FRESH_US)


def test_wrong_dates_beside_a_home_that_agreed_with_right_ones_are_not_believed() -> None:
    """Seed 21057 of the simulator: two of the first three answers of S3 were wrong."""
    clocks = Clocks()
    time = HomeTime(clocks)
    hour_us = 3_600_000_000
    time.observe(Side.S3, HOME_AHEAD_US)
    time.observe(Side.S3, HOME_AHEAD_US + hour_us)
    time.observe(Side.KVSP, HOME_AHEAD_US)
    for _ in range(3):
        clocks.at_us += 100_000
        time.observe(Side.S3, clocks.at_us + HOME_AHEAD_US + hour_us)
        assert time.now_us() == clocks.at_us + HOME_AHEAD_US


def test_a_home_that_comes_back_wrong_beside_one_that_is_believed_changes_nothing() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    for at_us in range(0, 2 * LASTS_US, 500_000):
        clocks.at_us = at_us
        time.observe(Side.KVSP, clocks.at_us + HOME_AHEAD_US)
    time.observe(Side.S3, clocks.at_us + 2 * HOME_AHEAD_US)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US


_WAYS = st.tuples(st.integers(0, 5_000_000), st.integers(0, 5_000_000))


@given(st.lists(_WAYS, min_size=1, max_size=20))
def test_a_home_that_takes_seconds_lets_a_process_begin_once_its_replies_tell_enough(
    ways: list[tuple[int, int]],
) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    for there_us, back_us in ways:
        clocks.at_us += there_us + back_us
        left_us = clocks.at_us - back_us
        time.observe(Side.KVSP, left_us + HOME_AHEAD_US, there_us + back_us)
        if time.known():
            true_us = clocks.at_us + HOME_AHEAD_US
            assert true_us - SLOW_MAX_US <= time.now_us() <= true_us + CLOCK_SKEW_MAX_US


def test_replies_that_take_three_seconds_tell_the_time_when_they_are_slow_both_ways() -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    asked = 0
    while not time.known():
        asked += 1
        back_us = 2_800_000 if asked % 2 else 200_000
        clocks.at_us += 3_000_000
        time.observe(Side.KVSP, clocks.at_us - back_us + HOME_AHEAD_US, 3_000_000)
    assert asked <= 5
    true_us = clocks.at_us + HOME_AHEAD_US
    assert true_us - QUICK_US <= time.now_us() <= true_us + CLOCK_SKEW_MAX_US


@given(st.lists(st.integers(QUICK_US, SLOW_MAX_US), min_size=5), st.floats(0, 1))
def test_a_slow_home_lets_a_process_begin_within_what_versions_bear(
    took: list[int], way_there: float
) -> None:
    clocks = Clocks()
    time = HomeTime(clocks)
    for took_us in took:
        asked_us = clocks.at_us
        clocks.at_us += took_us
        time.observe(Side.KVSP, asked_us + int(took_us * way_there) + HOME_AHEAD_US, took_us)
    true_us = clocks.at_us + HOME_AHEAD_US
    assert true_us - QUICK_US <= time.now_us() <= true_us + CLOCK_SKEW_MAX_US


@pytest.mark.parametrize("stood_s", [2, 12, 29, 40, 59])
def test_a_process_that_stood_still_keeps_what_it_knew_whatever_lay_there(stood_s: int) -> None:
    clocks, time = _heard_for_a_while()
    clocks.at_us += 25_000_000
    left_us, took_us = clocks.at_us + HOME_AHEAD_US, stood_s * 1_000_000
    clocks.at_us += took_us
    for side in Side:
        time.observe(side, left_us, took_us)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US


def test_homes_that_answer_late_are_heard_all_the_same() -> None:
    clocks, time = _heard_for_a_while()
    for _ in range(100):
        clocks.at_us += 2_000_000
        time.observe(Side.KVSP, clocks.at_us - 2_000_000 + HOME_AHEAD_US, 2_000_000)
        assert time.now_us() == clocks.at_us + HOME_AHEAD_US


def test_a_late_reply_may_still_show_that_the_home_is_further_ahead() -> None:
    clocks, time = _heard_for_a_while()
    time.observe(Side.KVSP, clocks.at_us + HOME_AHEAD_US + 1_000_000, 2_000_000)
    assert time.now_us() == clocks.at_us + HOME_AHEAD_US + 1_000_000


def _agree(time: HomeTime, home_us: int) -> None:
    for side in Side:
        time.observe(side, home_us)


def _heard_for_a_while() -> tuple[Clocks, HomeTime]:
    clocks = Clocks()
    time = HomeTime(clocks)
    for _ in range(3):
        clocks.at_us += 1_000_000
        for side in Side:
            time.observe(side, clocks.at_us + HOME_AHEAD_US)
    return clocks, time
