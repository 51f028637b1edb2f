"""A home's offset: the greatest sample of a minute, and what is far above the others in doubt."""

from collections.abc import Iterable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.offset import LASTS_US, LEAP_US, WINDOW_US, Offset

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US


def offset_of(samples: Iterable[int], every_us: int = 100_000) -> Offset:
    """What was learned from samples that came one after the other, from 0 on."""
    first, *rest = samples
    offset = Offset(first, 0)
    for number, sample in enumerate(rest, 1):
        offset.add(sample, number * every_us)
    return offset


def test_the_greatest_sample_counts_for_one_to_two_windows() -> None:
    offset = offset_of([0, 0, 0, 700, 300])
    assert offset.value_us == 700
    for now_us in range(WINDOW_US // 2, 2 * WINDOW_US, WINDOW_US // 2):
        offset.add(400, now_us)
        assert offset.value_us == 700
    offset.add(500, 2 * WINDOW_US)
    assert offset.value_us == 500


def test_after_a_long_silence_the_old_samples_do_not_count() -> None:
    offset = offset_of([0, 0, 700])
    offset.add(-5 * SECOND_US, 3 * WINDOW_US)
    assert offset.value_us == -5 * SECOND_US


def test_at_the_limit_it_is_no_leap() -> None:
    assert offset_of([0, 0, 0, LEAP_US]).value_us == LEAP_US
    assert offset_of([0, 0, 0, LEAP_US + 1]).value_us == 0


@pytest.mark.parametrize("wrong_us", [HOUR_US, 3 * SECOND_US, -3 * SECOND_US, -HOUR_US])
@pytest.mark.parametrize("order", set(permutations([True, False, False])))
def test_a_wrong_time_among_the_first_three_is_forgotten(
    wrong_us: int, order: tuple[bool, ...]
) -> None:
    assert offset_of([wrong_us if wrong else 0 for wrong in order]).value_us == 0


@given(st.lists(st.booleans(), min_size=1), st.sampled_from([HOUR_US, 3 * SECOND_US]))
def test_wrong_times_between_right_ones_are_never_believed(
    wrongs: list[bool], wrong_us: int
) -> None:
    samples = [0, 0, 0]
    for wrong in wrongs:
        samples += [wrong_us if wrong else 0, 0]
    assert offset_of(samples, every_us=SECOND_US).value_us == 0


def test_wrong_times_that_differ_are_never_believed() -> None:
    wrong = [number * 2 * SECOND_US for number in range(2, 100)]
    assert offset_of([0, 0, 0, *wrong]).value_us == 0


@pytest.mark.parametrize(
    ("samples", "lasting_us", "believed"),
    [
        (3, LASTS_US, True),
        (2, LASTS_US, False),
        (3, LASTS_US - 1, False),
        (1000, LASTS_US - 1, False),
        (1000, LASTS_US, True),
    ],
)
def test_a_leap_is_believed_once_it_has_lasted(
    samples: int, lasting_us: int, believed: bool
) -> None:
    offset = offset_of([0, 0, 0])
    for number in range(samples):
        assert offset.value_us == 0
        offset.add(HOUR_US, SECOND_US + lasting_us * number // (samples - 1))
    assert offset.value_us == (HOUR_US if believed else 0)
    assert offset.leap_us == (None if believed else HOUR_US)


@pytest.mark.parametrize(
    ("samples", "every_us", "sure"),
    [
        ([0, 0, 0], LASTS_US // 2, True),
        ([0, 0, 0], LASTS_US // 2 - 1, False),
        ([0, 0], LASTS_US, False),
        ([0, HOUR_US, 0, 0], LASTS_US // 2, False),
        ([0, HOUR_US, 0, 0, 0], LASTS_US // 2, True),
    ],
    ids=["long enough", "too short", "too few", "not agreed for long", "agreed in the end"],
)
def test_what_it_says_is_sure_once_all_have_agreed_for_as_long_as_a_leap_must_last(
    samples: list[int], every_us: int, sure: bool
) -> None:
    assert offset_of(samples, every_us).sure is sure


@pytest.mark.parametrize(("sure", "value_us"), [(False, -HOUR_US), (True, 0)])
def test_a_time_far_below_begins_anew_while_nothing_is_sure(sure: bool, value_us: int) -> None:
    offset = offset_of([0, 0, 0])
    if sure:
        offset.believe()
    offset.add(-HOUR_US, SECOND_US)
    assert offset.value_us == value_us


def test_a_right_time_ends_the_doubt() -> None:
    offset = offset_of([0, 0, 0, HOUR_US])
    assert offset.leap_us == HOUR_US
    offset.add(0, SECOND_US)
    assert offset.leap_us is None


def test_a_step_is_taken_as_it_is() -> None:
    offset = offset_of([0, 0, 0, HOUR_US])
    offset.step_to(-HOUR_US, SECOND_US)
    assert (offset.value_us, offset.leap_us) == (-HOUR_US, None)
