"""What stands in the way of each step, and what is said of it."""

from itertools import product
from typing import Final

import pytest

from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mode import Mode, Stage, step
from tandem.core.mode_step import WorkerView, effects, objections
from tandem.core.reply import Side

K, S = Side.KVSP, Side.S3
MODES: Final = tuple(
    Mode(stage, home, percent)
    for stage in Stage
    for home in Side
    for percent in ((1, 30, 100) if stage is Stage.ACTIVE else (100,))
)
STEPS: Final = tuple((a, b) for a, b in product(MODES, MODES) if step(a, b))
EPOCH, SINCE_US = 4, 50_000_000
CRAWLED_US: Final = SINCE_US + 2 * WHOLE_SECOND_CLOCK_SKEW_MAX_US + 1


def _view(
    epoch: int = EPOCH,
    since_us: int = SINCE_US,
    behind: tuple[Side, ...] = (),
    waiting: tuple[Side, ...] = (),
) -> WorkerView:
    return WorkerView("g", 1, epoch, since_us, behind, waiting)


def _said(now: Mode, wanted: Mode, view: WorkerView, crawled_us: int = CRAWLED_US) -> list[str]:
    found = objections(now, EPOCH, wanted, [_view(), view], crawled_us)
    return [one.text for one in found]


@pytest.mark.parametrize(("now", "wanted"), STEPS, ids=str)
def test_each_step_and_each_thing_that_may_be_amiss(now: Mode, wanted: Mode) -> None:
    asks = step(now, wanted)
    assert asks is not None
    touched = asks.crawled + asks.whole
    wants_crawl = bool(asks.crawled or asks.voided)
    assert _said(now, wanted, _view()) == []
    for epoch in (EPOCH - 1, EPOCH + 1):
        assert len(_said(now, wanted, _view(epoch=epoch))) == 1
    assert bool(_said(now, wanted, _view(since_us=0))) == bool(touched)
    for side in Side:
        assert bool(_said(now, wanted, _view(behind=(side,)))) == (side in touched)
        assert bool(_said(now, wanted, _view(waiting=(side,)))) == (side in touched)
    assert bool(_said(now, wanted, _view(), CRAWLED_US - 1)) == wants_crawl
    assert bool(_said(now, wanted, _view(since_us=SINCE_US + 1))) == wants_crawl


def test_only_a_crawl_that_is_missing_lasts_and_only_a_crawl_does_not_come_by_itself() -> None:
    shadow, ramp = Mode(Stage.SHADOW, S), Mode(Stage.ACTIVE, S, 1)
    bad = [_view(epoch=1), _view(since_us=0), _view(waiting=(K,)), _view(behind=(K,))]
    found = objections(shadow, EPOCH, ramp, bad, 0)
    assert [(one.passes, one.lasting) for one in found] == [
        (True, False), (True, False), (True, False), (False, False), (False, True),
    ]  # fmt: skip


def test_nobody_there_is_nobody_in_the_way() -> None:
    shadow = Mode(Stage.SHADOW, S)
    for wanted, lasting in ((Mode(Stage.SINGLE, S), False), (Mode(Stage.ACTIVE, S), True)):
        [found] = objections(shadow, EPOCH, wanted, [], 0)
        assert (found.passes, found.lasting) == (False, lasting)
    assert objections(Mode(Stage.SINGLE, S), EPOCH, shadow, [], 0) == []


@pytest.mark.parametrize(("now", "wanted"), STEPS, ids=str)
def test_what_a_step_changes_is_told(now: Mode, wanted: Mode) -> None:
    told = " ".join(effects(now, wanted))
    asks = step(now, wanted)
    assert asks is not None
    assert ("Writes go to" in told) == (now.legs != wanted.legs)
    assert ("grows old" in told) == bool(asks.voided)
    assert (f"{wanted.percent} %" in told) == (not wanted.whole and wanted.stage is Stage.ACTIVE)
    assert ("while it is down, the namespace is down" in told) == (wanted.stage is Stage.SINGLE)


def test_the_way_in_reads_well() -> None:
    single, shadow = Mode(Stage.SINGLE, S), Mode(Stage.SHADOW, S)
    assert effects(single, shadow) == [
        "Writes go to both homes.",
        "A write is acknowledged once s3 has it; kvsp follows.",
        "Reads are answered by s3; a sample of them is compared with the other home.",
    ]
    assert effects(shadow, single) == [
        "Writes go to s3 alone.",
        "Reads are answered by s3 alone: while it is down, the namespace is down.",
        (
            "What kvsp holds stays there, grows old, and is read by nobody;"
            " a crawl must pass before it answers again."
        ),
    ]
