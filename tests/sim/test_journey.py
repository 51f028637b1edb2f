"""A namespace that goes from mode to mode in the storm: there is always a way, steps are taken, no
promise is broken; each broken rule is seen."""

from itertools import product

import pytest

from tandem.core.mode import Mode, Stage, step
from tandem.core.reply import Side
from tests.sim import loop as virtual
from tests.sim.journey import next_step
from tests.sim.plan import MOVED, Sort
from tests.sim.universe import Universe, plan_of

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

PERCENTS = {Stage.ACTIVE: (1, 50, 100), Stage.SHADOW: (100,), Stage.SINGLE: (100,)}
MODES = [Mode(s, home, percent) for s in Stage for home in Side for percent in PERCENTS[s]]
STEPS_MAX = 6
"""From one home alone to the other one alone."""


@pytest.mark.parametrize(("now", "wanted"), [*product(MODES, MODES)])
def test_a_way_leads_from_every_mode_to_every_other_one(now: Mode, wanted: Mode) -> None:
    way = [now]
    while way[-1] != wanted and len(way) <= STEPS_MAX:
        if way[-1].whole and wanted.whole:
            break
        way.append(next_step(way[-1], wanted))
        assert step(way[-2], way[-1]) is not None
    assert way[-1] == wanted or (way[-1].whole and wanted.whole), way


def _universe(seed: int) -> Universe:
    """The universe of a seed, at its end."""

    async def main() -> Universe:
        universe = Universe(seed, plan_of(seed, Sort.STEPS), tracing=True)
        await universe.run()
        return universe

    return virtual.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_it_is_taken_away_and_comes_home(seed: int) -> None:
    universe = _universe(seed)
    assert not universe.oracles.violations
    taken = universe.journey.taken
    assert any(not mode.whole for mode in taken)
    assert sum(key.namespace == MOVED for key in universe.oracles.by_key) > 3
