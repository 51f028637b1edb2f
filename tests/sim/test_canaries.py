"""Broken rules are seen in universes that nobody chose, as many as their rates ask for."""

from dataclasses import replace

import pytest

from tests.sim.calibration import (
    HELD_OUT_FROM,
    PROOF,
    UNIVERSES_MAX,
    Rate,
    first_violation,
    rates,
    with_table,
)
from tests.sim.canaries import CANARIES, Canary

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.name)
@pytest.mark.timeout(600)
def test_a_broken_rule_is_caught(canary: Canary) -> None:
    rate = rates()[canary.name]
    seen = any(first_violation(canary, seed) for seed in rate.tried)
    assert seen, f"nothing was seen in {rate.held_out}"


@pytest.mark.parametrize(
    ("seen", "universes", "needed"),
    [(10, 10, 5), (10, 20, 18), (10, 100, 111), (2, 200, 2081), (0, UNIVERSES_MAX, UNIVERSES_MAX)],
)
def test_so_many_universes_miss_it_once_in_a_thousand_times(
    seen: int, universes: int, needed: int
) -> None:
    rate = Rate(seen, universes, "")
    assert rate.needed == needed
    assert rate.held_out == range(HELD_OUT_FROM, HELD_OUT_FROM + needed)
    assert list(rate.tried) == [*rate.held_out]
    shown = replace(rate, shown=HELD_OUT_FROM + 2)
    assert list(shown.tried) == [HELD_OUT_FROM + 2, *rate.held_out]
    if seen:
        assert rate.share_at_least < rate.share
        assert (1 - rate.share_at_least) ** needed <= 1 / 1000


def test_canaries_are_tested_on_universes_that_they_were_not_calibrated_on() -> None:
    assert UNIVERSES_MAX < HELD_OUT_FROM


def test_every_canary_is_calibrated_and_shown() -> None:
    measured = rates()
    assert measured.keys() == {canary.name for canary in CANARIES}
    assert all(rate.seen for rate in measured.values())
    text = PROOF.read_text()
    assert with_table(text, measured) == text, "run python -m tests.sim --calibrate"
