"""Scenes around machines that die, begin or do not reach a home happen as they are told."""

import re
from collections.abc import Iterator
from functools import cache

import pytest

from tandem.core.mode import ACTIVE
from tandem.core.reply import Side
from tests.sim.plan import Plan, Sort
from tests.sim.plan_crawl import Disaster
from tests.sim.plan_scenes import Doubt, Entrance, FirstWrite, Restart, Revisit
from tests.sim.swarm import judged
from tests.sim.universe import Outcome, plan_of

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

SEEDS = range(4)
SORTS = (Sort.OWED, Sort.ENTERED, Sort.RESTORED)
_CALL = re.compile(r" *(?P<at>[\d.]+) (?P<host>\w+)[.\d]*>(?P<side>kvsp|s3) +(?P<call>.*)")
Call = tuple[float, str, Side, str]
"""When it came, from which machine, to which home, and what it was."""


@cache
def _played(seed: int, sort: Sort) -> Outcome:
    return judged(seed, sort, tracing=True)


@cache
def _plan(seed: int, sort: Sort) -> Plan:
    return plan_of(seed, sort)


def _calls(seed: int, sort: Sort, name: str) -> list[Call]:
    found = (_CALL.match(line) for line in _played(seed, sort).lines if f" a/{name} " in line)
    return [(float(f["at"]), f["host"], Side(f["side"]), f["call"]) for f in found if f]


def _restarts(seed: int) -> Iterator[tuple[Restart, list[Call]]]:
    for number, scene in enumerate(_plan(seed, Sort.OWED).scenes):
        if isinstance(scene, Restart):
            yield scene, _calls(seed, Sort.OWED, f"owed{number}")


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_unbroken_product_breaks_no_promise(seed: int, sort: Sort) -> None:
    assert not _played(seed, sort).violations
    assert _plan(seed, sort).modes == (ACTIVE, ACTIVE)


def test_a_machine_that_begins_anew_reads_what_one_home_alone_has() -> None:
    read = 0
    for seed in SEEDS:
        for scene, calls in _restarts(seed):
            puts = {side: [c for c in calls if c[2] is side and "put" in c[3]] for side in Side}
            assert len(puts[scene.lacks]) <= 1, "the second write does not come to this home"
            if len(puts[scene.lacks.other]) < 2:
                continue
            owed_s = puts[scene.lacks.other][1][0]
            gets = [c for c in calls if c[0] > owed_s and c[1] == f"m{scene.host}"]
            read += {c[2] for c in gets if "get" in c[3]} == set(Side)
    assert read >= len(SEEDS)


def test_another_machine_reads_what_one_home_alone_has_before_that_one_is_silent() -> None:
    seen = 0
    for seed in SEEDS:
        for number, scene in enumerate(_plan(seed, Sort.OWED).scenes):
            if not isinstance(scene, Doubt):
                continue
            calls = [c for c in _calls(seed, Sort.OWED, f"doubt{number}") if "heal" not in c[3]]
            assert not [c for c in calls if c[2] is scene.lacks and "put" in c[3]]
            found = [c for c in calls if c[1] == f"m{scene.host}" and "VALUE" in c[3]]
            seen += bool(found) and found[0][2] is scene.lacks.other
    assert seen >= 3 * len(SEEDS)


def test_a_first_write_comes_after_a_read_of_its_name_was_answered() -> None:
    overtaken = 0
    for seed in SEEDS:
        for number, scene in enumerate(_plan(seed, Sort.OWED).scenes):
            if isinstance(scene, FirstWrite):
                calls = _calls(seed, Sort.OWED, f"first{number}")
                puts = [at_s for at_s, *_, call in calls if "put" in call]
                misses = [at_s for at_s, *_, call in calls if "Missing" in call]
                overtaken += len(misses) == 2 and bool(puts) and max(misses) < min(puts)
    assert overtaken >= len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_session_comes_to_a_worker_that_has_begun_away_from_kvsp(seed: int) -> None:
    plan = _plan(seed, Sort.ENTERED)
    assert all(isinstance(scene, Entrance) for scene in plan.scenes)
    assert len(plan.scenes) >= 4
    entered = 0
    for number in range(len(plan.scenes)):
        puts = [c for c in _calls(seed, Sort.ENTERED, f"enter{number}") if "put" in c[3].lower()]
        assert not [c for c in puts if c[1] == "m0" and c[2] is Side.KVSP]
        entered += {c[1] for c in puts} == {"m0", "m1"}
    assert entered == len(plan.scenes)
    deaths = [line for line in _played(seed, Sort.ENTERED).lines if "worker 0 dies" in line]
    assert len(deaths) == len(plan.scenes)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_deleted_after_the_copy_is_gone_and_read_when_it_is_restored(seed: int) -> None:
    plan = _plan(seed, Sort.RESTORED)
    (restored,) = plan.crawl.misfortunes
    assert restored.what is Disaster.RESTORE
    copied_s = restored.at_s - restored.copied_s
    for scene in plan.scenes:
        assert isinstance(scene, Revisit)
        assert scene.at_s < copied_s < scene.at_s + scene.deletes_after_s
        gone_s = scene.at_s + scene.deletes_after_s + plan.crawl.collects.tombstone_grace_s
        assert gone_s < scene.reads_at_s <= restored.at_s < plan.storm_s


def test_most_of_what_is_deleted_after_the_copy_has_left_s3_when_it_is_read() -> None:
    gone = 0
    for seed in SEEDS:
        for number, scene in enumerate(_plan(seed, Sort.RESTORED).scenes):
            assert isinstance(scene, Revisit)
            calls = _calls(seed, Sort.RESTORED, f"gone{number}")
            removed = [at_s for at_s, *_, call in calls if "remove" in call and "DONE" in call]
            reads = [at_s for at_s, *_, call in calls if "get" in call and at_s > scene.reads_at_s]
            gone += bool(removed) and bool(reads) and removed[0] < reads[-1]
    assert gone >= 2 * len(SEEDS)
