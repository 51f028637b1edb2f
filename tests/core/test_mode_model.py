"""The rule of modes and steps in a model of all interleavings; each part of it is needed."""

import pytest

from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tests.core.mode_model import Model, Variant

STATES_MAX = 400_000
SINGLE, SHADOW = Mode(Stage.SINGLE, Side.S3), Mode(Stage.SHADOW, Side.S3)
RAMP, BOTH = Mode(Stage.ACTIVE, Side.S3, 50), Mode()


SOUND = {
    "a home comes": Variant(SINGLE),
    "a home may go or answer": Variant(SHADOW, steps=2),
    "a key of the ramp": Variant(RAMP, steps=2),
    "a key that the ramp leaves out": Variant(RAMP, drawn=False, steps=2),
    "a home goes": Variant(BOTH),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_write_is_lost_and_no_first_answer_lacks_what_nobody_owes(name: str) -> None:
    """With the homes the other way round it is the same."""
    violation = Model(SOUND[name]).first_violation(STATES_MAX)
    assert violation is None, violation


WITHOUT = {
    "waiting for every gateway's epoch": (Variant(SINGLE, waits_for_epochs=False), "STALE"),
    "waiting for writes of the mode before": (Variant(BOTH, waits_for_writes=False), "LOST"),
    "a crawl before a home answers": (Variant(SINGLE, crawl_to_come=False), "STALE"),
    "a crawl before one is left": (Variant(BOTH, crawl_to_leave=False), "LOST"),
    "caution of those who are not waited for": (Variant(BOTH, lapsed_are_cautious=False), "LOST"),
}


@pytest.mark.parametrize("part", WITHOUT)
def test_each_part_is_needed(part: str) -> None:
    variant, what = WITHOUT[part]
    violation = Model(variant).first_violation(STATES_MAX)
    assert violation is not None, "the model does not see what this part prevents"
    assert what in violation[0], violation
