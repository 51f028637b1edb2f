"""The rule of deleting for good in a model of all interleavings; each part of it is needed."""

from dataclasses import replace

import pytest

from tests.core.collect_model import Model
from tests.core.collect_state import Op, Variant

STATES_MAX = 400_000

OVERWRITTEN = (Op(0, "v", 1), Op(0, "d", 2))
TWO_KEYS = (Op(0, "d", 2), Op(1, "v", 1))
UPDATED = (Op(0, "v", 2), Op(1, "d", 3))
DELETED_AFTER_A_COPY = Variant((Op(0, "d", 2),), before=((1, "v"),), wiped="A", restores=True)
EXPIRING = (Op(0, "v", 1), Op(0, "e", 2))

SOUND = {
    "a value deleted": Variant(OVERWRITTEN),
    "a tombstone beside a value": Variant(TWO_KEYS),
    "an expiring value": Variant(EXPIRING),
    "a tombstone beside an update": Variant(UPDATED, before=((1, "v"), None)),
    "a value deleted, objects stay": Variant(OVERWRITTEN, removes=False),
    "a tombstone beside a value, objects stay": Variant(TWO_KEYS, removes=False),
    "an expiring value, objects stay": Variant(EXPIRING, removes=False),
    "a home wiped": Variant(OVERWRITTEN, wiped="AB"),
    "SQL wiped beside a value": Variant(TWO_KEYS, wiped="A"),
    "S3 wiped beside a value": Variant(TWO_KEYS, wiped="B"),
    "a home wiped, objects stay": Variant(OVERWRITTEN, removes=False, wiped="AB"),
    "SQL restored": Variant(OVERWRITTEN, restores=True),
    "SQL restored beside a value": Variant(TWO_KEYS, restores=True),
    "SQL wiped and restored": DELETED_AFTER_A_COPY,
    "SQL wiped and restored, objects stay": replace(DELETED_AFTER_A_COPY, removes=False),
    "SQL restored, objects stay": Variant(OVERWRITTEN, removes=False, restores=True),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_deleted_key_comes_back_and_no_write_is_lost(name: str) -> None:
    violation = Model(SOUND[name]).first_violation(STATES_MAX)
    assert violation is None, violation


TWO, BESIDE = Variant(OVERWRITTEN), Variant(TWO_KEYS)
WITHOUT = {
    "anything but both homes having it": (replace(TWO, both_sides_only=True), "BACK"),
    "equality of all that is older": (replace(BESIDE, equality=False), "LOST"),
    "a crawl that began after the window": (
        replace(BESIDE, crawl_begins_after_window=False), "LOST",
    ),
    "a sweep that goes one way": (
        replace(TWO, one_way_sweep=False, wiped="AB"), "converge",
    ),
    "updates below the floor": (
        Variant(UPDATED, before=((1, "v"), None), floor_refuses_updates=True), "converge",
    ),
    "the floor before the removal": (replace(TWO, floor_first=False), "BACK"),
    "the incarnation named": (replace(BESIDE, names_incarnation=False, wiped="AB"), "LOST"),
    "a grace that outlives requests": (
        replace(TWO, grace_outlives_requests=False, wiped="AB"), "BACK",
    ),
    "the mirror": (replace(TWO, mirror=False, restores=True), "BACK"),
    "a renewal that drops old rows": (
        replace(TWO, renewal_drops_rows=False, restores=True), "BACK",
    ),
    "a mirror that outlives its cluster's lives": (
        replace(DELETED_AFTER_A_COPY, mirror_outlives_lives=False), "BACK",
    ),
    "expired records counted as tombstones": (
        replace(Variant(EXPIRING), expired_count_as_tombstones=False), "BACK",
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", WITHOUT)
def test_each_part_is_needed(part: str) -> None:
    variant, what = WITHOUT[part]
    violation = Model(variant).first_violation(STATES_MAX)
    assert violation is not None, "the model does not see what this part prevents"
    assert what in violation[0], violation
