"""A home is lost and filled again by hand while clients go on; a command that says so too soon is
seen."""

import asyncio
from unittest.mock import patch

import pytest

from tandem.core.crawl_status import RunRequest
from tests.sim import loop as virtual
from tests.sim.plan import Sort
from tests.sim.rebuilding import Rebuilding
from tests.sim.swarm import first_violation, judged
from tests.sim.universe import Universe, plan_of

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

SEEDS = range(4)


def _lived(seed: int) -> tuple[Universe, int]:
    """The universe of a seed, and how often the command was done before it was calm."""
    in_storm: list[int] = []

    async def main() -> Universe:
        plan = plan_of(seed, Sort.REBUILT)
        universe = Universe(seed, plan, tracing=False)
        rebuilding = universe.rebuilding
        universe.loop.call_at(plan.storm_s, lambda: in_storm.append(rebuilding.done))
        await universe.run()
        return universe

    universe = virtual.run(main())
    return universe, in_storm[0]


def test_the_command_is_done_in_the_storm_or_in_calm_and_no_promise_is_broken() -> None:
    lived = [_lived(seed) for seed in SEEDS]
    assert not [one.oracles.violations for one, _ in lived if one.oracles.violations]
    assert all(one.rebuilding.done == 1 for one, _ in lived)
    assert sum(one.disasters.struck > 0 for one, _ in lived) > len(SEEDS) / 2
    assert any(in_storm for _, in_storm in lived)


def test_a_command_that_says_so_too_soon_is_seen() -> None:
    async def nothing(self: Rebuilding) -> None:
        """All is well."""

    with patch.object(Rebuilding, "_command", nothing):
        found = first_violation(SEEDS[0], plan_of(SEEDS[0], Sort.REBUILT))
    assert found is not None
    assert "lost (a rebuild)" in found


def test_a_home_that_is_never_filled_is_seen() -> None:
    async def looking(self: Rebuilding) -> None:
        """Compares, and copies nothing, for ever."""
        while True:
            await self._ended_run(RunRequest(dry_run=True))
            await asyncio.sleep(10.0)

    with patch.object(Rebuilding, "_command", looking):
        found = judged(0, Sort.REBUILT).violations
    assert any("is not rebuilt" in line for line in found)
