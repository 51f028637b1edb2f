"""What was met lately is kept within its bounds, and the oldest goes first."""

from collections import OrderedDict
from random import Random

import pytest

from tandem.runtime.latest import Latest


def test_what_is_kept_is_found_and_what_is_forgotten_is_not() -> None:
    latest = Latest[str, int](2)
    latest.keep("a", 1)
    assert latest.get("a") == 1
    assert latest.get("b") is None
    latest.forget("a")
    latest.forget("a")
    assert latest.get("a") is None
    assert len(latest) == 0


def test_one_goes_for_each_that_comes() -> None:
    latest = Latest[int, int](100)
    for number in range(1000):
        latest.keep(number, number)
        assert len(latest) == min(number + 1, 100)
        assert latest.get(max(0, number - 99)) == max(0, number - 99)
        assert latest.get(number - 100) is None


def test_what_is_kept_again_is_the_latest() -> None:
    latest = Latest[str, int](2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        latest.keep(key, value)
    assert [latest.get(key) for key in "abc"] == [3, None, 4]


def test_bytes_are_a_bound_too() -> None:
    latest = Latest[str, int](100, bytes_max=10)
    latest.keep("a", 1, 4)
    latest.keep("b", 2, 6)
    assert [latest.get(key) for key in "ab"] == [1, 2]
    latest.keep("c", 3, 1)
    assert [latest.get(key) for key in "abc"] == [None, 2, 3]
    latest.keep("large", 4, 11)
    assert [latest.get(key) for key in ("b", "c", "large")] == [None, None, 4]
    latest.keep("d", 5, 10)
    assert [latest.get(key) for key in ("large", "d")] == [None, 5]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_plain_model_says(seed: int) -> None:
    random = Random(seed)
    entries_max, bytes_max = random.randrange(1, 8), random.randrange(1, 40)
    latest = Latest[int, int](entries_max, bytes_max)
    model: OrderedDict[int, tuple[int, int]] = OrderedDict()
    for step in range(500):
        key, size = random.randrange(12), random.randrange(12)
        if random.random() < 0.2:
            latest.forget(key)
            model.pop(key, None)
        else:
            latest.keep(key, step, size)
            model.pop(key, None)
            model[key] = step, size
            while len(model) > 1 and (
                len(model) > entries_max or sum(size for _, size in model.values()) > bytes_max
            ):
                model.popitem(last=False)
        for each in range(12):
            kept = model.get(each)
            assert latest.get(each) == (None if kept is None else kept[0])
