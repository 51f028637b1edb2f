"""Which homes a read asks, for every mode and every state of the homes."""

from itertools import product
from typing import Final

import pytest

from tandem.core.reading import (
    CLEARLY,
    COMPANY_FROM,
    COMPANY_S,
    HEDGE_S_MAX,
    HEDGE_S_MIN,
    RACE,
    SIDES,
    ReadMode,
    ReadPlan,
    race_plan,
    read_plan,
)
from tandem.core.reply import BOTH_SIDES, Side

BEHIND: Final = ((), (Side.KVSP,), (Side.S3,), BOTH_SIDES)
TIMES: Final = (None, 0.0, 0.02, 0.3, 7.0)
EVERYTHING: Final = tuple(product(ReadMode, BEHIND, TIMES, TIMES, (False, True)))


def _planned(
    mode: ReadMode,
    behind: tuple[Side, ...],
    kvsp_s: float | None,
    s3_s: float | None,
    drawn: bool,
) -> ReadPlan:
    p95_s = {Side.KVSP: kvsp_s, Side.S3: s3_s}
    return read_plan(mode, behind=behind, p95_s=p95_s, drawn=drawn)


def test_a_read_that_is_drawn_asks_both_at_once_in_every_mode() -> None:
    for mode, behind, kvsp_s, s3_s, _ in EVERYTHING:
        assert _planned(mode, behind, kvsp_s, s3_s, True) == ReadPlan(BOTH_SIDES)


@pytest.mark.parametrize(
    ("mode", "plan"),
    [
        (ReadMode.RACE, ReadPlan(BOTH_SIDES)),
        (ReadMode.KVSP, ReadPlan((Side.KVSP,))),
        (ReadMode.S3, ReadPlan((Side.S3,))),
    ],
)
def test_all_modes_but_one_ask_the_same_homes_whatever_their_state(
    mode: ReadMode, plan: ReadPlan
) -> None:
    for behind, kvsp_s, s3_s in product(BEHIND, TIMES, TIMES):
        assert _planned(mode, behind, kvsp_s, s3_s, False) == plan
    assert plan.sides == plan.at_once == SIDES[mode]


def test_hedged_asks_first_the_quicker_home_of_those_that_are_not_behind() -> None:
    for _, behind, kvsp_s, s3_s, drawn in EVERYTHING:
        plan = _planned(ReadMode.HEDGED, behind, kvsp_s, s3_s, drawn)
        assert plan.sides == BOTH_SIDES, "the other home is always there to be asked"
        if plan.later is None:
            continue
        first, p95_s = plan.later.other, {Side.KVSP: kvsp_s, Side.S3: s3_s}
        assert not drawn
        assert plan.at_once == (first,)
        assert first not in behind
        first_s, other_s = p95_s[first], p95_s[first.other]
        assert first_s is not None
        assert plan.after_s == min(max(first_s, HEDGE_S_MIN), HEDGE_S_MAX)
        if first.other not in behind:
            assert other_s is not None
            assert first_s <= other_s


@pytest.mark.parametrize(
    ("behind", "kvsp_s", "s3_s", "first"),
    [
        ((), 0.02, 0.3, Side.KVSP),
        ((), 0.3, 0.02, Side.S3),
        ((), None, 0.02, None),
        ((), 0.02, None, None),
        ((), None, None, None),
        ((Side.S3,), 0.3, 0.02, Side.KVSP),
        ((Side.S3,), 0.3, None, Side.KVSP),
        ((Side.S3,), None, 0.02, None),
        ((Side.KVSP,), 0.02, 0.3, Side.S3),
        ((Side.KVSP,), None, 0.3, Side.S3),
        (BOTH_SIDES, 0.02, 0.02, None),
    ],
)
def test_hedged_by_example(
    behind: tuple[Side, ...], kvsp_s: float | None, s3_s: float | None, first: Side | None
) -> None:
    plan = _planned(ReadMode.HEDGED, behind, kvsp_s, s3_s, False)
    if first is None:
        assert plan == RACE
    else:
        assert plan.at_once == (first,)


@pytest.mark.parametrize("under_way", range(COMPANY_FROM + 3))
def test_a_race_of_many_asks_the_quicker_home_first_and_the_other_in_any_case(
    under_way: int,
) -> None:
    for kvsp_s, s3_s in product(TIMES, TIMES):
        plan = race_plan({Side.KVSP: kvsp_s, Side.S3: s3_s}, under_way)
        assert plan.sides == BOTH_SIDES
        if under_way < COMPANY_FROM or kvsp_s is None or s3_s is None:
            assert plan is RACE, "few, or nobody knows which home is quicker"
            continue
        assert plan.compared
        assert plan.after_s == COMPANY_S
        assert plan.later is not None
        assert (plan.later is Side.S3) == (kvsp_s * CLEARLY < s3_s)


@pytest.mark.parametrize(
    ("kvsp_s", "s3_s", "first"),
    [
        (0.001, 0.001, Side.S3),
        (0.001, 0.002, Side.S3),
        (0.001, 0.0021, Side.KVSP),
        (0.002, 0.02, Side.KVSP),
        (0.02, 0.002, Side.S3),
        (0.0, 0.0, Side.S3),
    ],
)
def test_kvsp_is_first_only_where_it_is_clearly_quicker(
    kvsp_s: float, s3_s: float, first: Side
) -> None:
    plan = race_plan({Side.KVSP: kvsp_s, Side.S3: s3_s}, COMPANY_FROM)
    assert plan.at_once == (first,)
    assert plan.later is first.other


def test_a_hedged_read_leaves_the_second_home_in_peace() -> None:
    for mode, behind, kvsp_s, s3_s, drawn in EVERYTHING:
        assert not _planned(mode, behind, kvsp_s, s3_s, drawn).compared
