"""The store's time from whole seconds that arrive late."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from tandem.backends.s3.store_clock import StoreClock

STORE_US = 1_800_000_000_000_000
SECOND_US = 1_000_000


@dataclass
class Machine:
    monotonic: int = 5 * SECOND_US

    def now_us(self) -> int:
        return 77 * SECOND_US + self.monotonic

    def monotonic_us(self) -> int:
        return self.monotonic


def date(time_us: int) -> str:
    at = datetime.fromtimestamp(time_us // SECOND_US, UTC)
    return at.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_until_a_reply_comes_it_is_the_machines() -> None:
    machine = Machine()
    clock = StoreClock(machine)
    assert not clock.known
    assert clock.now_us() == machine.now_us()
    assert clock.heard(None) == machine.now_us()
    assert clock.heard("yesterday") == machine.now_us()
    assert not clock.known


@pytest.mark.parametrize(
    "impossible",
    [
        "Mon, 01 Jan 99999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2024 99999999999999999:00:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +9999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Mon, 30 Feb 2024 00:00:00 GMT",
    ],
)
def test_an_impossible_date_tells_no_time(impossible: str) -> None:
    machine = Machine()
    clock = StoreClock(machine)
    assert clock.heard(impossible) == machine.now_us()
    clock.heard(date(STORE_US))
    assert clock.heard(impossible) == STORE_US


def test_it_comes_close_from_below_and_is_never_ahead() -> None:
    machine = Machine()
    clock = StoreClock(machine)
    began = machine.monotonic
    for _ in range(200):
        machine.monotonic += 37_000
        true_us = STORE_US + machine.monotonic - began
        assert clock.heard(date(true_us)) == true_us // SECOND_US * SECOND_US
        assert clock.known
        assert clock.now_us() <= true_us
    assert true_us - clock.now_us() < 40_000


@pytest.mark.parametrize("step_us", [-3600 * SECOND_US, 3600 * SECOND_US])
def test_it_follows_a_store_that_is_set_anew(step_us: int) -> None:
    machine = Machine()
    clock = StoreClock(machine)
    began = machine.monotonic
    clock.heard(date(STORE_US))
    for _ in range(70):
        machine.monotonic += SECOND_US
        clock.heard(date(STORE_US + step_us + machine.monotonic - began))
    off_us = STORE_US + step_us + machine.monotonic - began - clock.now_us()
    assert 0 <= off_us <= SECOND_US


def test_a_wrong_date_is_the_time_of_its_reply_and_no_more() -> None:
    machine = Machine()
    clock = StoreClock(machine)
    for _ in range(3):
        clock.heard(date(STORE_US))
    assert clock.heard(date(STORE_US + 3600 * SECOND_US)) == STORE_US + 3600 * SECOND_US
    assert clock.now_us() == STORE_US


def test_a_refusal_sets_it_at_once() -> None:
    machine = Machine()
    clock = StoreClock(machine)
    clock.heard(date(STORE_US))
    clock.step_to(STORE_US - 3600 * SECOND_US)
    assert clock.now_us() == STORE_US - 3600 * SECOND_US
    assert clock.ahead_of_machine_us() == clock.now_us() - machine.now_us()
