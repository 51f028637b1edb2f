"""A death between any two turns of the loop, one after another, while a write is under way."""

from dataclasses import replace

import pytest

from tandem.core.reply import Side
from tests.sim.canaries import CANARIES
from tests.sim.faults import Fault
from tests.sim.plan import Blow, Plan, Sort
from tests.sim.swarm import first_violation
from tests.sim.universe import plan_of

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

SEED = 0
TURNS = 60
"""After a write is stamped; what follows an acknowledgement is among them."""
LEGS_FAIL = dict.fromkeys(Side, ((Fault.LOST, 0.3),))


def _dying(turns: int, worker: int | None) -> Plan:
    """One quiet universe, in which legs get lost, with this death in it."""
    plan = plan_of(SEED, Sort.SHORT)
    return replace(
        plan,
        hosts=1,
        sick=None,
        rates=LEGS_FAIL,
        windows=dict.fromkeys(Side, ()),
        blows=tuple(Blow(0.0, write, turns, 0, worker, 0.01) for write in (2, 6, 10)),
        flips=(),
        hot_names=1,
    )


@pytest.mark.parametrize("worker", [0, None], ids=["a worker", "the machine"])
def test_no_turn_is_a_bad_one_to_die_in(worker: int | None) -> None:
    found = {
        turns: violation
        for turns in range(TURNS)
        if (violation := first_violation(SEED, _dying(turns, worker)))
    }
    assert not found


def test_without_intents_some_turns_are() -> None:
    (canary,) = (one for one in CANARIES if one.name == "no intents")
    with canary.broken():
        assert any(first_violation(SEED, _dying(turns, None)) for turns in range(TURNS))
