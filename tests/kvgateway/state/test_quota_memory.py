"""The machine's memory of quotas: buckets, bodies under way, last writes, and what is forgotten."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.key import Key
from tandem.core.quota import Drawn, bytes_rate, operations_rate
from tests.kvgateway.access.quota_setup import SECOND_US, quota_directory

NAMESPACE = "ab" * 16
KEYS = [Key(NAMESPACE, f"k{n}") for n in range(5)]
NOW_US = 77 * SECOND_US


def test_buckets_are_told_apart() -> None:
    rate = operations_rate(10)
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        assert memory.draw(b"a", rate, 8, NOW_US) == Drawn(8)
        assert memory.draw(b"a", rate, 8, NOW_US) == Drawn(2, 100_000)
        assert memory.draw(b"b", rate, 8, NOW_US) == Drawn(8)
        memory.owe(b"b", bytes_rate(10), 12, NOW_US)
        assert memory.draw(b"b", bytes_rate(10), 1, NOW_US + SECOND_US) == Drawn(0, 100_000)
        memory.close()


def test_bodies_are_told_apart_and_end() -> None:
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 7)
        assert [memory.enter(b"a", 2) for _ in range(3)] == [True, True, False]
        assert memory.enter(b"a-longer-name", 1)
        assert not memory.enter(b"a-longer-name", 1)
        memory.leave(b"a")
        assert [memory.enter(b"a", 2) for _ in range(2)] == [True, False]
        memory.close()


def test_what_one_that_died_was_receiving_is_received_no_more() -> None:
    with quota_directory() as directory:
        for worker in (1, 2):
            memory = QuotaMemory(directory, worker)
            assert memory.enter(b"a", 2)
            memory.close()
        QuotaMemory.vacate(directory, 1)
        memory = QuotaMemory(directory, 3)
        assert [memory.enter(b"a", 2) for _ in range(2)] == [True, False]
        memory.close()


def test_a_key_is_written_once_a_second() -> None:
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        assert memory.write_keys(KEYS[:2], NOW_US) == [0, 0]
        assert memory.write_keys(KEYS[:3], NOW_US + 300_000) == [700_000, 700_000, 0]
        assert memory.write_keys(KEYS[:3], NOW_US + 999_999) == [1, 1, 300_001]
        assert memory.write_keys(KEYS[:3], NOW_US + SECOND_US) == [0, 0, 300_000]
        assert memory.write_keys([], NOW_US) == []
        memory.close()


def test_of_equal_keys_in_a_group_the_first_is_written() -> None:
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        assert memory.write_keys([KEYS[0]] * 3, NOW_US) == [0, SECOND_US, SECOND_US]
        assert memory.write_keys([Key("cd" * 16, "k0")], NOW_US) == [0]
        memory.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-200_000, 2_500_000), st.sets(st.sampled_from(KEYS), min_size=1)),
        max_size=40,
    )
)
def test_no_two_writes_of_a_key_within_a_second_and_none_refused_without(
    turns: list[tuple[int, set[Key]]],
) -> None:
    """A clock may go back a little, as those of processes that read it before they waited."""
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        now_us = NOW_US
        last: dict[Key, int] = {}
        for pause_us, chosen in turns:
            now_us += pause_us
            keys = sorted(chosen)
            waits = memory.write_keys(keys, now_us)
            for key, wait_us in zip(keys, waits, strict=True):
                if wait_us:
                    assert key in last
                    assert now_us < last[key] + SECOND_US
                else:
                    assert now_us >= last.get(key, -SECOND_US * 10) + SECOND_US or pause_us < 0
                    last[key] = max(now_us, last.get(key, 0))
        memory.close()


def test_last_writes_take_no_more_room_than_two_seconds_of_them() -> None:
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        for second in range(60):
            keys = [Key(NAMESPACE, f"{second}-{n}") for n in range(2000)]
            assert memory.write_keys(keys, NOW_US + second * SECOND_US) == [0] * 2000
        assert memory.emptied == 0
        memory.close()


def test_a_full_memory_is_emptied_and_goes_on() -> None:
    with quota_directory(256 * 1024) as directory:
        memory = QuotaMemory(directory, 0)
        assert memory.enter(b"a", 1)
        for n in range(20_000):
            assert memory.draw(b"%d" % n, operations_rate(5), 5, NOW_US) == Drawn(5)
        assert memory.emptied > 0
        assert not memory.enter(b"a", 1)
        before = memory.emptied
        for n in range(200):
            keys = [Key(NAMESPACE, f"{n}-{m}") for m in range(100)]
            assert memory.write_keys(keys, NOW_US) == [0] * 100
        assert memory.emptied > before
        memory.close()


def test_no_room_for_it_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        QuotaMemory.create(tmp_path / "quotas", 2**60)
