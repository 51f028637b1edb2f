"""Floors by range: split, inherited, only ever higher; over every small case."""

import itertools

import pytest

from tandem.core.floors import RangeFloors
from tandem.core.version import NO_VERSION, Version

NAMES = [b"a", b"b", b"c", b"d", b"e"]
BOUNDS = [b"", b"b", b"c", b"d"]
VERSIONS = [Version.at(n) for n in (1, 2, 3)]
RAISES = [
    (start, end, version)
    for start, end, version in itertools.product(BOUNDS, BOUNDS, VERSIONS)
    if not end or start < end
]


def expected(raises: tuple[tuple[bytes, bytes, Version], ...], name: bytes) -> Version:
    return max(
        (floor for start, end, floor in raises if start <= name and (not end or name < end)),
        default=NO_VERSION,
    )


@pytest.mark.parametrize("first", RAISES)
def test_a_name_has_the_highest_floor_that_was_said_of_it(
    first: tuple[bytes, bytes, Version],
) -> None:
    for second, third in itertools.product(RAISES, RAISES[::3]):
        raises = (first, second, third)
        floors = RangeFloors()
        for raising in raises:
            floors = floors.raised(*raising)
        for name in NAMES:
            assert floors.of(name) == expected(raises, name), raises


def test_order_and_repetition_change_no_floor() -> None:
    for one, other in itertools.product(RAISES, RAISES):
        forth = RangeFloors().raised(*one).raised(*other)
        back = RangeFloors().raised(*other).raised(*one)
        assert forth == back
        assert forth.raised(*one) == forth


def test_ranges_never_merge() -> None:
    cut = RangeFloors().raised(b"", b"", VERSIONS[0]).raised(b"c", b"d", VERSIONS[0])
    assert [start for start, _ in cut] == [b"", b"c", b"d"]
    assert len(cut.raised(b"", b"", VERSIONS[2])) == 3


def test_a_later_split_inherits_the_floor() -> None:
    floors = RangeFloors().raised(b"", b"", VERSIONS[1]).raised(b"c", b"", VERSIONS[2])
    assert [floors.of(name) for name in NAMES] == [VERSIONS[1]] * 2 + [VERSIONS[2]] * 3


@pytest.mark.parametrize("first", RAISES)
def test_reaching_is_being_nowhere_lower(first: tuple[bytes, bytes, Version]) -> None:
    one = RangeFloors().raised(*first)
    assert one.reaches(one)
    assert one.reaches(RangeFloors())
    assert not RangeFloors().reaches(one)
    for second in RAISES:
        other = RangeFloors().raised(*second)
        assert one.reaches(other) == all(one.of(n) >= other.of(n) for n in [b"", *NAMES])
        assert one.raised(*second).reaches(other)


def test_no_floors_are_below_every_version() -> None:
    assert RangeFloors().of(b"anything") == NO_VERSION
    assert len(RangeFloors()) == 0
    assert hash(RangeFloors()) == hash(RangeFloors([]))
    assert RangeFloors() != "floors"
    assert "RangeFloors" in repr(RangeFloors())


@pytest.mark.parametrize("first", RAISES)
def test_of_two_that_knew_a_name_the_higher_floor_is_forgotten_or_upheld(
    first: tuple[bytes, bytes, Version],
) -> None:
    mine = RangeFloors().raised(*first)
    for second, third in itertools.product(RAISES, RAISES[::3]):
        known = RangeFloors().raised(*second).raised(*third)
        forgotten, upheld = mine.forgotten(known), mine.upheld(known)
        for name in NAMES:
            behind = known.of(name) > mine.of(name)
            assert forgotten.of(name) == (known.of(name) if behind else NO_VERSION)
            assert upheld.of(name) == (NO_VERSION if behind else mine.of(name))


def test_nothing_is_forgotten_by_one_that_reaches_and_all_is_by_one_that_knew_nothing() -> None:
    nothing, some = RangeFloors(), RangeFloors().raised(b"b", b"c", VERSIONS[1])
    assert (some.forgotten(nothing), some.upheld(nothing).of(b"b")) == (nothing, VERSIONS[1])
    assert (some.forgotten(some), some.upheld(some).of(b"b")) == (nothing, VERSIONS[1])
    assert nothing.upheld(some) == nothing
    assert nothing.forgotten(some).of(b"b") == VERSIONS[1]


@pytest.mark.parametrize(("start", "end"), list(itertools.product(BOUNDS, [b"", b"c", b"d"])))
def test_the_parts_of_a_range_cover_it_and_have_one_floor_each(start: bytes, end: bytes) -> None:
    for first, second in itertools.product(RAISES, RAISES[::3]):
        floors = RangeFloors().raised(*first).raised(*second)
        if end and end <= start:
            continue
        parts = list(floors.within(start, end))
        assert (parts[0][0], parts[-1][1]) == (start, end)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(parts))
        for name in NAMES:
            holding = [f for at, to, f in parts if at <= name and (not to or name < to)]
            inside = start <= name and (not end or name < end)
            assert holding == ([floors.of(name)] if inside else [])


@pytest.mark.parametrize("first", RAISES)
def test_joined_floors_have_for_every_name_the_higher_one(
    first: tuple[bytes, bytes, Version],
) -> None:
    one = RangeFloors().raised(*first)
    for second in RAISES:
        joined = one.joined(RangeFloors().raised(*second))
        assert [joined.of(n) for n in NAMES] == [expected((first, second), n) for n in NAMES]
