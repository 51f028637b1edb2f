"""The modes of a namespace, enumerated: who writes where, which steps there are, and why a step
waits for every gateway."""

from collections import Counter
from itertools import product
from typing import Final

import pytest

from tandem.core.key import Key
from tandem.core.mode import ACTIVE, Mode, Stage, Step, lot_of, step, steps_from
from tandem.core.reply import BOTH_SIDES, Side

NAMESPACE: Final = "ab" * 16
KEYS: Final = tuple(Key(NAMESPACE, f"user/{number}") for number in range(2000))
K, S = Side.KVSP, Side.S3
PERCENTS: Final = (1, 30, 99, 100)
MODES: Final = tuple(
    Mode(stage, home, percent)
    for stage in Stage
    for home in Side
    for percent in (PERCENTS if stage is Stage.ACTIVE else (100,))
)
STEPS: Final = tuple((a, b, found) for a, b in product(MODES, MODES) if (found := step(a, b)))


@pytest.mark.parametrize(
    ("mode", "legs", "listed", "may_answer"),
    [
        (Mode(Stage.SINGLE, K), (K,), (K,), (K,)),
        (Mode(Stage.SINGLE, S), (S,), (S,), (S,)),
        (Mode(Stage.SHADOW, K), BOTH_SIDES, (K,), (K,)),
        (Mode(Stage.SHADOW, S), BOTH_SIDES, (S,), (S,)),
        (Mode(Stage.ACTIVE, K, 30), BOTH_SIDES, (K,), BOTH_SIDES),
        (Mode(Stage.ACTIVE, S, 30), BOTH_SIDES, (S,), BOTH_SIDES),
        (Mode(Stage.ACTIVE, K), BOTH_SIDES, BOTH_SIDES, BOTH_SIDES),
        (Mode(Stage.ACTIVE, S), BOTH_SIDES, BOTH_SIDES, BOTH_SIDES),
    ],
    ids=str,
)
def test_each_mode_writes_lists_and_answers_as_the_table_says(
    mode: Mode, legs: tuple[Side, ...], listed: tuple[Side, ...], may_answer: tuple[Side, ...]
) -> None:
    assert (mode.legs, mode.listed, mode.may_answer) == (legs, listed, may_answer)
    drawn = Counter(mode.answers(key) for key in KEYS)
    assert {side for sides in drawn for side in sides} == set(may_answer)
    if mode.stage is not Stage.ACTIVE or mode.percent == 100:
        assert set(drawn) == {may_answer}
    for sides in drawn:
        assert mode.home in sides or mode.whole


def test_what_answers_is_always_written_to() -> None:
    for mode in MODES:
        assert set(mode.may_answer) <= set(mode.legs)
        assert set(mode.listed) <= set(mode.may_answer)


def test_the_share_of_drawn_keys_is_the_percentage_and_grows_key_by_key() -> None:
    before: set[Key] = set()
    for percent in range(1, 101):
        mode = Mode(Stage.ACTIVE, K, percent)
        drawn = {key for key in KEYS if mode.answers(key) == BOTH_SIDES}
        assert before <= drawn, "a key that was drawn is drawn at every higher share"
        assert abs(len(drawn) / len(KEYS) - percent / 100) < 0.04
        before = drawn
    assert len(before) == len(KEYS)


def test_the_lot_of_a_key_never_changes() -> None:
    assert [lot_of(Key(NAMESPACE, name)) for name in ("a", "b", "ü", "x" * 512)] == LOTS
    assert lot_of(Key("cd" * 16, "a")) != LOTS[0], "namespaces are drawn apart"


LOTS: Final = [26, 84, 37, 80]


def _next(mode: Mode) -> set[str]:
    return {str(other) for other in MODES if step(mode, other)}


def test_steps_lead_to_neighbours_and_back() -> None:
    assert _next(Mode(Stage.SINGLE, S)) == {"shadow(s3)"}
    ramp = {f"active(s3, {percent} %)" for percent in (1, 30, 99)}
    other_ramp = {f"active(kvsp, {percent} %)" for percent in (1, 30, 99)}
    assert _next(Mode(Stage.SHADOW, S)) == {"single(s3)", "active"} | ramp
    assert _next(Mode(Stage.ACTIVE, S, 30)) == (
        {"shadow(s3)", "active"} | ramp - {"active(s3, 30 %)"}
    )
    assert _next(ACTIVE) == {"shadow(s3)", "shadow(kvsp)"} | ramp | other_ramp
    assert _next(Mode(Stage.ACTIVE, S)) == _next(ACTIVE)
    for a, b in product(MODES, MODES):
        assert (step(a, b) is None) == (step(b, a) is None), "every step can be undone"


def test_every_mode_is_reached_from_every_other() -> None:
    for start in MODES:
        reached, edge = {start}, [start]
        while edge:
            now = edge.pop()
            found = {b for a, b, _ in STEPS if a == now} - reached
            reached |= found
            edge.extend(found)
        assert {str(mode) for mode in reached} == {str(mode) for mode in MODES}


def test_the_steps_that_are_offered_are_steps() -> None:
    for mode in MODES:
        offered = list(steps_from(mode))
        assert all(step(mode, wanted) for wanted in offered)
        assert {wanted.stage for wanted in offered} >= {b.stage for a, b, _ in STEPS if a == mode}


@pytest.mark.parametrize(
    ("now", "wanted", "conditions"),
    [
        (Mode(Stage.SINGLE, S), Mode(Stage.SHADOW, S), Step()),
        (Mode(Stage.SHADOW, S), Mode(Stage.SINGLE, S), Step(whole=(S,), voided=(K,))),
        (Mode(Stage.SHADOW, S), Mode(Stage.ACTIVE, S, 1), Step(crawled=(K,))),
        (Mode(Stage.SHADOW, S), ACTIVE, Step(crawled=(K,))),
        (Mode(Stage.ACTIVE, S, 1), Mode(Stage.ACTIVE, S, 99), Step()),
        (Mode(Stage.ACTIVE, S, 99), Mode(Stage.ACTIVE, S, 1), Step()),
        (Mode(Stage.ACTIVE, S, 30), Mode(Stage.SHADOW, S), Step(whole=(S,))),
        (Mode(Stage.ACTIVE, S, 30), ACTIVE, Step()),
        (ACTIVE, Mode(Stage.ACTIVE, S, 30), Step()),
        (ACTIVE, Mode(Stage.SHADOW, K), Step(whole=(K,))),
        (ACTIVE, Mode(Stage.SHADOW, S), Step(whole=(S,))),
        (Mode(Stage.SHADOW, K), Mode(Stage.SINGLE, K), Step(whole=(K,), voided=(S,))),
        (Mode(Stage.SINGLE, S), ACTIVE, None),
        (Mode(Stage.SINGLE, S), Mode(Stage.SINGLE, K), None),
        (Mode(Stage.SINGLE, S), Mode(Stage.SHADOW, K), None),
        (Mode(Stage.SHADOW, S), Mode(Stage.SHADOW, K), None),
        (Mode(Stage.ACTIVE, S, 30), Mode(Stage.SHADOW, K), None),
        (Mode(Stage.ACTIVE, S, 30), Mode(Stage.ACTIVE, K, 30), None),
        (ACTIVE, Mode(Stage.ACTIVE, S), None),
    ],
    ids=str,
)
def test_what_a_step_asks_for(now: Mode, wanted: Mode, conditions: Step | None) -> None:
    assert step(now, wanted) == conditions


def _sends_all(writer: Mode, reader: Mode) -> bool:
    """Whether each write of a gateway in one mode is sent to every home that may answer a gateway
    in another."""
    return set(reader.may_answer) <= set(writer.legs)


def test_two_gateways_a_step_apart_write_to_all_that_may_answer_the_other() -> None:
    for now, wanted, _ in STEPS:
        assert _sends_all(now, wanted)
        assert _sends_all(wanted, now)


def test_two_gateways_two_steps_apart_do_not_which_is_why_a_step_waits() -> None:
    apart = {
        (str(a), str(c))
        for (a, b, _), (b2, c, _) in product(STEPS, STEPS)
        if b == b2 and a != c and not (_sends_all(a, c) and _sends_all(c, a))
    }
    assert ("single(s3)", "active") in apart
    assert ("single(kvsp)", "active") in apart


def test_a_home_that_begins_to_answer_was_crawled_and_one_that_stops_has_handed_over() -> None:
    for now, wanted, found in STEPS:
        for side in Side:
            begins = side in wanted.may_answer and side not in now.may_answer
            assert (side in found.crawled) == begins
            left = side in now.legs and side not in wanted.legs
            assert (side in found.voided) == left
            retires = side in now.may_answer and side not in wanted.may_answer
            if retires or left:
                assert found.whole == wanted.may_answer == (side.other,)


@pytest.mark.parametrize(
    ("stage", "percent"),
    [(Stage.ACTIVE, 0), (Stage.ACTIVE, 101), (Stage.SINGLE, 50), (Stage.SHADOW, 1)],
)
def test_a_share_that_cannot_be_is_no_mode(stage: Stage, percent: int) -> None:
    with pytest.raises(ValueError, match="keys"):
        Mode(stage, K, percent)
