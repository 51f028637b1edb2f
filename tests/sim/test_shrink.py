"""Shrinking: what is left fails in the same way, nothing more can go, and it can be run again."""

from dataclasses import replace

import pytest

from tandem.core.reply import Side
from tests.sim import swarm
from tests.sim.calibration import first_violation
from tests.sim.canaries import CANARIES
from tests.sim.faults import Fault
from tests.sim.plan import Plan, Sort
from tests.sim.shrink import cut, cuts, manner, shrunk
from tests.sim.universe import plan_of

BLIND = next(canary for canary in CANARIES if canary.name == "blind write in SQL")


def test_only_what_the_failure_needs_is_left() -> None:
    plan = replace(
        plan_of(3, Sort.DEATHS), rates=dict.fromkeys(Side, ((Fault.LOST, 0.1), (Fault.SLOW, 0.2)))
    )  # fmt: skip

    def fails(one: Plan) -> str | None:
        slow = any(fault is Fault.SLOW for fault, _ in one.rates[Side.S3])
        return "1.0: lost" if slow and one.clients >= 2 and len(one.blows) >= 3 else None

    small, names = shrunk(plan, fails)
    assert (small.clients, small.operations, len(small.blows)) == (2, 1, 3)
    assert small.rates == {Side.KVSP: (), Side.S3: ((Fault.SLOW, 0.2),)}
    assert fails(small)
    assert not any(fails(smaller) for _, smaller in cuts(small))
    assert cut(plan, names) == small


def test_a_universe_that_fails_in_another_way_is_no_smaller_one() -> None:
    plan = plan_of(0, Sort.DEATHS)
    assert len(plan.blows) == 8

    def fails(one: Plan) -> str | None:
        return "1.0: lost" if len(one.blows) == 8 else "1.0: unequal"

    small, _ = shrunk(plan, fails)
    assert len(small.blows) == 8


def test_it_ends_after_so_many_tries() -> None:
    tried: list[Plan] = []

    def fails(one: Plan) -> str:
        tried.append(one)
        return "1.0: lost"

    shrunk(plan_of(0), fails, tries_max=5)
    assert len(tried) == 6


def test_a_cut_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        cut(plan_of(0), ["nonsense"])


def test_the_manner_of_a_failure_knows_no_keys_writes_or_times() -> None:
    one = manner("5.07: m2 reads hot0 at write 5, but knows write 6; cached")
    assert one == manner("9.1: m0 reads cold7 at write 51, but knows write 64; cached")
    assert one != manner("9.1: s3 holds hot0 as nobody wrote it")


@pytest.mark.timeout(300)
def test_a_real_failure_shrinks_and_fails_again_when_it_is_run_again() -> None:
    seed, sort = next(s for s in range(100) if first_violation(BLIND, s)), BLIND.sort

    def fails(one: Plan) -> str | None:
        with BLIND.broken():
            return swarm.first_violation(seed, one)

    plan = plan_of(seed, sort)
    with BLIND.broken():
        assert fails(plan) == swarm.judged(seed, sort).violations[0]
    small, names = shrunk(plan, fails, tries_max=15)
    assert names
    assert fails(cut(plan, names)) == fails(small) is not None
    assert not swarm.judged(seed, plan=small).violations
