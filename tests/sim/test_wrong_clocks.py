"""What a home's wrong clock excuses: whoever goes by it while somebody may, and nobody else."""

import pytest

from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.version import Version
from tests.sim.canaries import CANARIES
from tests.sim.history import History
from tests.sim.loop import current, run
from tests.sim.oracles import CLOCKS_APART_S, Oracles
from tests.sim.plan import Sort
from tests.sim.scope import Scope
from tests.sim.swarm import judged
from tests.sim.universe import plan_of
from tests.sim.wrong_clocks import BELIEVED_S, NEAR_S, RIGHT_S, WrongClocks

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

KEY = Key("a" * 32, "name")


@pytest.mark.parametrize(
    ("by_s", "believed_s", "stamped_s", "misled"),
    [
        (-10.0, -10.0, -10.0, True),
        (-10.0, -10.0, 0.0, True),
        (-10.0, -10.0 - NEAR_S, -10.0, True),
        (-10.0, -11.0 - NEAR_S, -10.0, False),
        (-10.0, -5.0, -5.0, False),
        (-10.0, 10.0, 10.0, False),
        (-2.0, -RIGHT_S, -2.0, False),
        (-2.0, -1.1, -1.1, True),
        (10.0, 10.0, 10.0, True),
        (10.0, 0.0, 9.0, True),
        (10.0, 0.0, RIGHT_S, False),
        (10.0, 0.0, 10.1 + NEAR_S, False),
        (10.0, -10.0, -10.0, False),
    ],
)
def test_misled_is_who_is_off_as_the_home_is(
    by_s: float, believed_s: float, stamped_s: float, misled: bool
) -> None:
    clocks = WrongClocks()
    assert not clocks.mislead(5.0, believed_s, stamped_s), "no clock is wrong"
    clocks.began(by_s, 5.0)
    assert clocks.mislead(5.0, believed_s, stamped_s) is misled
    assert not clocks.mislead(4.9, believed_s, stamped_s)


@pytest.mark.parametrize(("by_s", "longer_s"), [(-10.0, 0.0), (40.0, 40.0)])
def test_it_may_be_believed_a_little_longer_than_it_lasts(by_s: float, longer_s: float) -> None:
    clocks = WrongClocks()
    clocks.began(by_s, 5.0)
    clocks.ended(by_s, 8.0)
    last_s = 8.0 + BELIEVED_S + longer_s
    assert clocks.mislead(last_s, by_s, by_s)
    assert not clocks.mislead(last_s + 0.1, by_s, by_s)


def test_a_home_is_behind_for_a_crawl_that_meets_it() -> None:
    clocks = WrongClocks()
    clocks.began(-10.0, 5.0)
    clocks.ended(-10.0, 8.0)
    spans = [(0.0, 4.9), (0.0, 5.0), (6.0, 7.0), (8.0, 9.0), (8.1, 9.0)]
    assert [clocks.behind_s(*span) for span in spans] == [0.0, 10.0, 10.0, 10.0, 0.0]
    clocks.began(40.0, 20.0)
    assert clocks.behind_s(20.0, 30.0) == 0.0


def test_a_home_is_ahead_for_what_it_dates() -> None:
    clocks = WrongClocks()
    assert clocks.ahead_s(5.0) == 0.0
    clocks.began(40.0, 5.0)
    clocks.ended(40.0, 8.0)
    clocks.began(-10.0, 20.0)
    times = [4.9, 5.0, 8.0, 8.1, 21.0]
    assert [clocks.ahead_s(at_s) for at_s in times] == [0.0, 40.0, 40.0, 0.0, 0.0]


@pytest.mark.parametrize("earlier_off_s", [0.0, 10.0])
@pytest.mark.parametrize("later_off_s", [-1.0, -10.0, -20.0])
@pytest.mark.parametrize("by_s", [None, 10.0, -10.0])
def test_the_order_is_judged_between_all_writes_that_nobody_was_misled_in(
    by_s: float | None, earlier_off_s: float, later_off_s: float
) -> None:
    async def main() -> None:
        loop = current()
        oracles, session = Oracles(loop, History(loop)), Scope("c0")
        if by_s is not None:
            oracles.wrong_clocks.began(by_s, 0.0)
        _write(oracles, session, earlier_off_s)
        loop.now_s += CLOCKS_APART_S + 1.0
        _write(oracles, session, later_off_s)
        is_out = later_off_s + CLOCKS_APART_S + 1.0 <= earlier_off_s
        excused = by_s is not None and by_s in {earlier_off_s, later_off_s}
        assert bool(oracles.violations) is (is_out and not excused)

    run(main())


def test_a_broken_order_is_seen_after_a_home_was_set_wrong() -> None:
    plans = ((seed, plan_of(seed, Sort.ENTERED)) for seed in range(60))
    jumped = [(seed, plan) for seed, plan in plans if plan.clock_jumps][:3]
    canary = next(one for one in CANARIES if one.name == "whole-second clocks not allowed for")
    seen = 0
    for seed, plan in jumped:
        assert not judged(seed, plan=plan).violations
        with canary.broken():
            found = [one.split(": ", 1) for one in judged(seed, plan=plan).violations]
        since_s = plan.clock_jumps[0].begins_s
        seen += any(float(at) > since_s and what.startswith("order") for at, what in found)
    assert seen >= len(jumped) // 2 > 0


def _write(oracles: Oracles, session: Scope, off_s: float) -> None:
    stamped_us = current().true_us() + int(off_s * 1e6)
    operation = oracles.operation(KEY, Kind.VALUE, 0)
    version = Version.at(stamped_us, len(oracles.operations).to_bytes(8, "big"))
    writing = oracles.stamped(operation, version, [session], stamped_us)
    oracles.acknowledged(writing, version, superseded=False)
