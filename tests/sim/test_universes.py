"""Universes: none breaks a promise, and each is the same whenever it is run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.regressions import REGRESSIONS
from tests.sim.swarm import judged

# A task that is cancelled before its first step leaves the home's coroutine inside it unstarted.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = 10
UNIVERSES_PER_GROUP = 30


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.timeout(600)
def test_no_universe_breaks_a_promise(group: int) -> None:
    first = group * UNIVERSES_PER_GROUP
    for seed in range(first, first + UNIVERSES_PER_GROUP):
        _assert_unbroken(seed)


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_what_was_found_once_stays_mended(seed: int) -> None:
    _assert_unbroken(seed)


def _assert_unbroken(seed: int) -> None:
    outcome = judged(seed)
    assert not outcome.violations, (
        f"\n{outcome.violations[0]}\nreplay: python -m tests.sim --seed {seed} --trace"
    )
    assert outcome.operations


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_seed_gives_one_history_whatever_the_hash_seed(seed: int) -> None:
    first, second = (_trace(seed, hash_seed) for hash_seed in ("1", "2"))
    assert first == second
    assert first.count("\n") > 50
    assert first != _trace(seed + 10, "1")


def _trace(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.sim", "--seed", str(seed), "--trace"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True,
        check=True, timeout=50,
    )  # fmt: skip
    return done.stdout
