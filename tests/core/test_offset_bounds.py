"""Bounds of a home's offset hold the truth whatever the ways there and back, and begin anew when
replies contradict each other."""

from hypothesis import given
from hypothesis import strategies as st

from tandem.core.offset_bounds import OffsetBounds

LASTS_US = 60_000_000
WAYS = st.lists(st.tuples(st.integers(0, 9_000_000), st.integers(0, 9_000_000)), min_size=1)


@given(WAYS, st.integers(-(10**12), 10**12))
def test_the_offset_lies_between_them_and_no_reply_widens_them(
    ways: list[tuple[int, int]], offset_us: int
) -> None:
    bounds, now_us, apart_us = OffsetBounds(), 0, 2**62
    for there_us, back_us in ways:
        now_us += there_us + back_us
        bounds.add(offset_us - back_us, there_us + back_us, now_us, LASTS_US)
        assert bounds.low_us <= offset_us <= bounds.high_us
        assert bounds.apart_us <= min(apart_us, there_us + back_us)
        apart_us = bounds.apart_us


def test_a_reply_that_contradicts_the_others_begins_anew() -> None:
    bounds = OffsetBounds()
    for sample_us, took_us, expected in [
        (100, 50, (100, 150)),
        (120, 50, (120, 150)),
        (90, 40, (120, 130)),
        (131, 50, (131, 181)),
        (20, 110, (20, 130)),
        (130, 0, (130, 130)),
    ]:
        bounds.add(sample_us, took_us, 0, LASTS_US)
        assert (bounds.low_us, bounds.high_us) == expected


def test_what_was_heard_long_ago_counts_no_more() -> None:
    bounds = OffsetBounds()
    bounds.add(0, 100, 0, LASTS_US)
    bounds.add(50, 100, LASTS_US, LASTS_US)
    assert (bounds.low_us, bounds.high_us) == (50, 100)
    bounds.add(40, 100, 2 * LASTS_US + 1, LASTS_US)
    assert (bounds.low_us, bounds.high_us) == (40, 140)
