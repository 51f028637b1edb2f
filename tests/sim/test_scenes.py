"""Scenes happen as they are told, and break no promise of the unbroken product."""

import re
from collections.abc import Sequence
from functools import cache
from random import Random

import pytest

from tandem.core.mode import ACTIVE
from tests.sim.brink import BRINK
from tests.sim.faults import Fault, Weather
from tests.sim.plan import Plan, Sort
from tests.sim.plan_scenes import LoneWrite, Rewrite
from tests.sim.swarm import judged
from tests.sim.universe import Outcome, plan_of

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

SEEDS = range(4)
_LINE = re.compile(r" *(?P<at>[\d.]+) \S+>(?P<side>kvsp|s3) +(?P<what>.*)")


@cache
def _played(seed: int) -> Outcome:
    return judged(seed, Sort.STAGED, tracing=True)


def _plan(seed: int) -> Plan:
    return plan_of(seed, Sort.STAGED)


@cache
def _arrived(seed: int) -> Sequence[tuple[float, str, str]]:
    """What came to a home: when, where, and what it was."""
    found = (_LINE.match(line) for line in _played(seed).lines)
    return [(float(one["at"]), one["side"], one["what"]) for one in found if one]


def _calls(seed: int, side: str, what: str) -> list[float]:
    """When such calls came to a home."""
    return [at_s for at_s, to, call in _arrived(seed) if to == side and call.startswith(what)]


def _scenes(seed: int, kind: type[LoneWrite | Rewrite]) -> list[tuple[int, LoneWrite | Rewrite]]:
    return [(n, one) for n, one in enumerate(_plan(seed).scenes) if isinstance(one, kind)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unbroken_product_breaks_no_promise(seed: int) -> None:
    assert not _played(seed).violations


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_scene_needs_is_in_every_plan(seed: int) -> None:
    plan = _plan(seed)
    assert plan.modes == (ACTIVE, ACTIVE)
    assert plan.crawl.collects == BRINK.rule
    assert len(_scenes(seed, LoneWrite)) >= 2
    assert len(_scenes(seed, Rewrite)) >= 10
    for _, scene in _scenes(seed, LoneWrite):
        assert isinstance(scene, LoneWrite)
        assert scene.crawler_after_s < scene.leg_s <= BRINK.leg_age_s
        assert scene.at_s + scene.for_s < plan.storm_s


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lone_write_comes_to_s3_alone(seed: int) -> None:
    for number, scene in _scenes(seed, LoneWrite):
        assert isinstance(scene, LoneWrite)
        assert not _calls(seed, "kvsp", f"put a/above{number}a ")
        for at_s in _calls(seed, "s3", f"put a/above{number}a "):
            assert at_s >= scene.at_s + scene.leg_s
        assert _calls(seed, "kvsp", f"put a/above{number}b ")


def test_most_lone_writes_come_while_a_crawler_that_passed_them_stands_still() -> None:
    held = 0
    for seed in SEEDS:
        stands = [line.split() for line in _played(seed).lines if "stands still for" in line]
        spans = [(float(one[0]), float(one[0]) + float(one[-2])) for one in stands]
        for number, _ in _scenes(seed, LoneWrite):
            puts = _calls(seed, "s3", f"put a/above{number}a ")
            held += any(begins_s < at_s < ends_s for at_s in puts for begins_s, ends_s in spans)
    assert held >= len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_key_is_written_again_about_when_the_collector_comes(seed: int) -> None:
    again: list[Sequence[float]] = [
        _calls(seed, "kvsp", f"put a/again{number} ") for number, _ in _scenes(seed, Rewrite)
    ]
    apart_s = [puts[1] - puts[0] for puts in again if len(puts) == 2]
    assert len(apart_s) >= len(again) // 2
    assert min(apart_s) > 0.8 * BRINK.rule.tombstone_grace_s


def test_kvsp_is_wiped_where_the_plan_says_so_just_before_its_first_floor_rises() -> None:
    wiped = [seed for seed in range(30) if _plan(seed).crawl.wiped_at_raise][:3]
    happened = 0
    for seed in wiped:
        lines = _played(seed).lines
        at = [n for n, line in enumerate(lines) if "kvsp is wiped" in line]
        happened += len(at)
        assert all("raise floor" in lines[n + 1] for n in at)
        assert not any("raise floor" in line for n in at for line in lines[:n])
    assert happened


def test_a_call_of_that_name_has_its_fate_until_it_is_calm() -> None:
    weather = Weather(((Fault.SLOW, 1.0),), ())
    weather.fates["put", "a/one"] = Fault.LOST
    weather.fates["put", "a/two"] = 3.5
    random = Random(0)
    told = [weather.fault(random, "put", name) for name in ("a/one", "a/two", "a/three")]
    assert told == [Fault.LOST, 3.5, Fault.SLOW]
    assert weather.fault(random, "heal", "a/one") is Fault.SLOW
    weather.clear()
    assert weather.fault(random, "put", "a/one") is None
