"""Deleting for good in KVSP alone, then coming back to both homes: each part is needed."""

from dataclasses import replace

import pytest

from tests.core.alone_model import Model, Variant
from tests.core.collect_state import Op

STATES_MAX = 400_000

LEFT_BEHIND = Variant((Op(0, "d", 2),), a=((1, "v"),))
"""S3 holds a value that is deleted once nobody tells S3 any more."""
BESIDE = Variant((Op(0, "d", 2), Op(1, "v", 1)), steps=2)
REVIVED = Variant((Op(0, "d", 2), Op(0, "v", 3)), a=((1, "v"),))
COME_AND_GONE = Variant((Op(0, "v", 1), Op(0, "d", 2)))
"""S3 never hears of it."""
MIRRORED = Variant(
    (Op(1, "v", 1), Op(0, "d", 3)), a=((2, "v"), (1, "v")), mirror=1, acked=frozenset({0})
)
"""Something was collected in both homes before, and what lives below that floor is in both."""

SOUND = {
    "S3 holds what is deleted": LEFT_BEHIND,
    "S3 is left, too": replace(LEFT_BEHIND, mode="both", steps=3),
    "S3 is left and S3 comes back twice": replace(LEFT_BEHIND, mode="shadow", steps=4),
    "a tombstone beside a value": BESIDE,
    "a key that is written again": REVIVED,
    "a key that S3 never knew": COME_AND_GONE,
    "objects stay": replace(LEFT_BEHIND, removes=False),
    "objects stay, and it is written again": replace(REVIVED, removes=False),
    "KVSP restored": replace(LEFT_BEHIND, restores=True),
    "KVSP restored, objects stay": replace(LEFT_BEHIND, restores=True, removes=False),
    "KVSP restored, and S3 never knew": replace(COME_AND_GONE, restores=True),
    "KVSP restored beside what was collected before": replace(MIRRORED, restores=True),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_deleted_key_comes_back_and_no_write_is_lost(name: str) -> None:
    model = Model(SOUND[name])
    violation = model.first_violation(STATES_MAX)
    assert violation is None, violation
    assert model.states > 20, "hardly anything was tried"


WITHOUT = {
    "the floor before the removal": (replace(LEFT_BEHIND, floor_first=False), "BACK"),
    "a mode that stays the same": (replace(BESIDE, same_mode=False), "LOST"),
    "zombies that count as unequal": (replace(LEFT_BEHIND, zombies_are_unequal=False), "B: BACK"),
    "mirrors that hear of the floors": (
        replace(COME_AND_GONE, restores=True, mirrored_on_return=False), "BACK",
    ),
    "mirrors that hear of them after the sweep": (
        replace(LEFT_BEHIND, restores=True, swept_before_mirrored=False), "BACK",
    ),
    "rows that are upheld in a new life": (
        replace(MIRRORED, restores=True, upholds_rows=False), "LOST",
    ),
    "floors that are upheld in a new life": (
        replace(LEFT_BEHIND, restores=True, upholds_floors=False), "BACK",
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", WITHOUT)
def test_each_part_is_needed(part: str) -> None:
    variant, what = WITHOUT[part]
    violation = Model(variant).first_violation(STATES_MAX)
    assert violation is not None, "the model does not see what this part prevents"
    assert what in violation[0], violation
