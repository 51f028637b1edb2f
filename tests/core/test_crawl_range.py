"""Ranges cover every name once; a sample covers every key in as many crawls as it has parts."""

from hypothesis import given
from hypothesis import strategies as st

from tandem.core.crawl_range import RANGES_MAX, WHOLE, is_sampled, next_splits, ranges

names = st.text(min_size=1, max_size=5)


@given(st.sets(names, max_size=6), names)
def test_every_name_belongs_to_exactly_one_range(splits: set[str], name: str) -> None:
    parts = ranges(sorted(splits))
    assert len(parts) == len(splits) + 1
    assert [part.number for part in parts] == [*range(len(parts))]
    assert sum(part.holds(name) for part in parts) == 1


def test_without_splits_there_is_one_range() -> None:
    assert ranges(()) == (WHOLE,)
    assert WHOLE.holds("\U0010ffff")


def test_splits_are_only_ever_added_while_there_is_room() -> None:
    assert next_splits(("b", "d"), [["a"], ["c", "b"], []]) == ("a", "b", "c", "d")
    many = [f"{number:05}" for number in range(RANGES_MAX)]
    assert next_splits(("b",), [many]) == ("b",)


@given(names, st.integers(1, 7), st.integers(0, 1000))
def test_so_many_crawls_in_a_row_read_every_key_once(name: str, parts: int, first: int) -> None:
    assert sum(is_sampled(name, parts, first + n) for n in range(parts)) == 1
    assert not is_sampled(name, 0, first)
