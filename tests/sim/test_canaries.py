"""Each broken rule is seen, within the universes that it is said to need."""

import pytest

from tests.sim.canaries import CANARIES, Canary
from tests.sim.swarm import judged

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.name)
@pytest.mark.timeout(600)
def test_a_broken_rule_is_caught(canary: Canary) -> None:
    for seed in canary.seeds:
        with canary.broken():
            caught = bool(judged(seed, canary.sort).violations)
        if caught:
            assert not judged(seed, canary.sort).violations, (
                "the unbroken product fails this seed too"
            )
            return
    pytest.fail(f"nothing was seen in the universes {canary.seeds}")
