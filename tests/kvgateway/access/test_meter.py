"""Meters: several workers on one bucket stay within the rate, and seldom ask for it."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgateway.access.meter import LEASES_PER_S, TURNS_US_MAX, Meter
from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.quota import Booked, Drawn, Rate, bytes_rate, operations_rate
from tests.kvgateway.access.quota_setup import SECOND_US, quota_directory

START_US = 500 * SECOND_US


class CountedMemory(QuotaMemory):
    """Counts transactions on buckets."""

    asked = 0

    def draw(self, name: bytes, rate: Rate, most: int, now_us: int) -> Drawn:
        self.asked += 1
        return super().draw(name, rate, most, now_us)

    def book(self, name: bytes, rate: Rate, most: int, now_us: int) -> Booked:
        self.asked += 1
        return super().book(name, rate, most, now_us)

    def owe(self, name: bytes, rate: Rate, amount: int, now_us: int) -> Drawn:
        self.asked += 1
        return super().owe(name, rate, amount, now_us)


def test_one_worker_gets_the_burst_and_then_the_rate(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(100))
    taken = [meter.take(1, START_US + ms * 1000) for ms in range(3000)]
    assert sum(taken) == 100 + 299
    assert sum(taken[:100]) == 100
    memory.close()


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3000),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400), st.integers(0, 30)), max_size=200),
)
def test_workers_together_exceed_the_rate_by_their_leases_at_most(
    per_s: int, asks: list[tuple[int, int, int]]
) -> None:
    rate = operations_rate(per_s)
    lease = max(per_s // LEASES_PER_S, 1)
    with quota_directory() as directory:
        memory = QuotaMemory(directory, 0)
        meters = [Meter(memory, b"n", rate) for _ in range(3)]
        now_us = START_US
        windows: list[tuple[int, int]] = []
        for who, wanted, pause_ms in asks:
            now_us += pause_ms * 1000
            windows.append((now_us, meters[who].take(wanted, now_us)))
        memory.close()
    for first in range(len(windows)):
        elapsed_us = windows[-1][0] - windows[first][0]
        total = sum(units for _, units in windows[first:])
        assert total <= rate.burst + 3 * lease + per_s * elapsed_us / SECOND_US


def test_a_worker_takes_for_itself_no_more_than_it_lacks_or_a_lease(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    rate = operations_rate(1000)
    lease = rate.per_s // LEASES_PER_S
    one, other = Meter(memory, b"n", rate), Meter(memory, b"n", rate)
    assert [one.take(units, START_US) for units in (1, lease + 10)] == [1, lease + 10]
    assert other.take(1000, START_US) == 1000 - 2 * lease
    assert one.take(lease, START_US) == lease - 11, "the rest of its own"
    memory.close()


def test_a_lease_serves_many_charges_and_a_refusal_is_remembered(directory: Path) -> None:
    memory = CountedMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(20_000))
    assert sum(meter.take(1, START_US) for _ in range(20_000)) == 20_000
    assert memory.asked == LEASES_PER_S
    assert [meter.take(1, START_US) for _ in range(1000)] == [0] * 1000
    assert memory.asked == LEASES_PER_S + 1
    assert meter.take(1, START_US + 50) == 1
    memory.close()


def test_a_group_is_one_charge_and_gets_what_there_is(directory: Path) -> None:
    memory = CountedMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(500))
    assert meter.take(400, START_US) == 400
    assert memory.asked == 1
    assert meter.take(400, START_US) == 100
    assert meter.wait_s(START_US) == pytest.approx(0.002)
    meter.give_back(30)
    assert meter.take(400, START_US) == 30
    memory.close()


def test_who_comes_a_little_early_books_what_the_rate_gives_next(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter, other = (Meter(memory, b"n", operations_rate(500)) for _ in range(2))
    assert meter.book(501, START_US) == [START_US] * 500 + [START_US + 2000]
    assert other.book(3, START_US) == [START_US + 2000 * turn for turn in (2, 3, 4)]
    assert len(meter.book(1000, START_US)) == 50 - 4, "no more than comes within 100 ms"
    assert meter.book(1, START_US + 1999) == []
    assert meter.take(1, START_US + 99_000) == 0, "nobody goes before those that have booked"
    assert meter.book(2, START_US + 2000) == [START_US + 102_000]
    assert meter.turn_s(START_US + 2000) == pytest.approx(0.102)
    memory.close()


def test_callers_of_several_workers_that_ask_again_at_once_get_the_rate_one_by_one(
    directory: Path,
) -> None:
    memory = QuotaMemory(directory, 0)
    meters = [Meter(memory, b"n", operations_rate(500)) for _ in range(2)]
    meters[0].take(501, START_US)
    begins: list[int] = []
    asks_us = dict.fromkeys(range(40), START_US)
    for now_us in range(START_US, START_US + 2 * SECOND_US, 1000):
        for caller in [one for one, at_us in asks_us.items() if at_us <= now_us]:
            [moment_us] = meters[caller % 2].book(1, now_us)
            begins.append(moment_us)
            asks_us[caller] = moment_us + 1000
    begins = sorted(moment_us for moment_us in begins if moment_us < START_US + 2 * SECOND_US)
    assert len(begins) >= 990
    assert {after - before for before, after in pairwise(begins)} == {2000}
    memory.close()


def test_what_is_booked_and_given_up_is_everybodys_again(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter, other = (Meter(memory, b"n", operations_rate(500)) for _ in range(2))
    assert len(meter.book(520, START_US)) == 520
    meter.cancel(20, START_US)
    assert other.book(1, START_US) == [START_US + 2000]
    memory.close()


def test_where_many_book_they_do_not_ask_one_by_one(directory: Path) -> None:
    memory = CountedMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(20_000))
    assert meter.take(20_000, START_US) == 20_000
    memory.asked = 0
    moments = [moment for _ in range(2000) for moment in meter.book(1, START_US)]
    assert len(moments) == 2000
    assert min(moments) >= START_US
    assert max(moments) <= START_US + 100_000
    assert memory.asked <= 1 + 2000 // 20
    asked = memory.asked
    assert [meter.book(1, START_US) for _ in range(100)] == [[]] * 100
    assert memory.asked <= asked + 1, "that nothing can be booked is remembered"
    memory.close()


@pytest.mark.parametrize("per_s", [1, 9])
def test_of_a_slow_rate_nothing_can_be_booked(directory: Path, per_s: int) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(per_s))
    assert meter.book(per_s + 5, START_US) == [START_US] * per_s
    assert meter.turn_s(START_US) == pytest.approx(1 / per_s, abs=1e-6)
    memory.close()


def test_who_waits_is_told_a_turn_of_its_own(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(500))
    assert meter.take(501, START_US) == 500
    turns = [START_US + meter.turn_s(START_US) * 1e6 for _ in range(50)]
    assert turns == pytest.approx([START_US + 2000 * turn for turn in range(1, 51)])
    later_us = START_US + 30_000
    assert later_us + meter.turn_s(later_us) * 1e6 == pytest.approx(START_US + 51 * 2000)
    idle_us = START_US + SECOND_US
    assert meter.turn_s(idle_us) == 0.0, "all turns are over"
    memory.close()


@pytest.mark.parametrize("per_s", [1, 3, 500, 100_000])
def test_turns_end_somewhere_and_begin_anew(directory: Path, per_s: int) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(per_s))
    assert meter.take(per_s + 1, START_US) == per_s
    most = TURNS_US_MAX * per_s // SECOND_US + 1
    told = [meter.turn_s(START_US) for _ in range(2 * most)]
    assert max(told) <= TURNS_US_MAX / 1e6 + meter.wait_s(START_US)
    assert told[:most] == sorted(set(told[:most])), "nobody shares a turn before"
    assert told[most:] == pytest.approx(told[:most])
    memory.close()


def test_those_who_come_at_their_turns_get_the_rate_one_by_one(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(500))
    meter.take(501, START_US)
    due_us = {caller: START_US + meter.turn_s(START_US) * 1e6 for caller in range(64)}
    granted: list[int] = []
    for now_us in range(START_US, START_US + 2 * SECOND_US, 1000):
        for caller in [one for one, at_us in due_us.items() if at_us <= now_us]:
            if meter.take(1, now_us):
                granted.append(now_us)
            due_us[caller] = now_us + meter.turn_s(now_us) * 1e6
    assert len(granted) >= 990
    gaps = [after - before for before, after in pairwise(granted)]
    assert max(gaps) <= 4000, "no time in which much gathers"
    assert max(map(granted.count, granted)) <= 2
    memory.close()


def test_a_debt_of_one_worker_is_everybodys(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    mine, other = (Meter(memory, b"n", bytes_rate(1000)) for _ in range(2))
    assert mine.has_room(START_US)
    mine.charge(6000, START_US)
    for meter in (mine, other):
        assert not meter.has_room(START_US)
        assert not meter.has_room(START_US + 4_999_000)
        assert meter.wait_s(START_US + 4_999_000) <= 0.002
    assert other.has_room(START_US + 5_001_000)
    memory.close()


def test_a_dead_workers_lease_is_lost_and_no_more(directory: Path) -> None:
    dying = QuotaMemory(directory, 0)
    assert Meter(dying, b"n", operations_rate(1000)).take(1, START_US) == 1
    dying.close()
    memory = QuotaMemory(directory, 0)
    assert Meter(memory, b"n", operations_rate(1000)).take(5000, START_US) == 1000 - 50
    memory.close()
