"""Many universes on all cores, with progress; stops nowhere, tells everything that it finds."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import structlog

from tests.sim.oracles import Violation
from tests.sim.plan import Plan, Sort
from tests.sim.universe import Outcome, plan_of, simulate

_AT_ONCE = 8
"""Universes that one process runs between two signs of life."""
_HANDED_OUT = 4096
"""Universes that are handed to the processes together."""


@dataclass(slots=True)
class Tally:
    """What came of all universes so far."""

    universes: int = 0
    operations: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    """Of all cores, without what they did for others."""
    found: list[tuple[int, str]] = field(default_factory=list)
    """Failing seeds, each with its first violation."""

    def add(self, outcome: Outcome, cpu_s: float) -> None:
        self.universes += 1
        self.operations += outcome.operations
        self.virtual_s += outcome.virtual_s
        self.cpu_s += cpu_s
        if outcome.violations:
            self.found.append((outcome.seed, outcome.violations[0]))


def judged(
    seed: int, sort: Sort | None = None, *,
    plan: Plan | None = None, tracing: bool = False, until_broken: bool = False,
) -> Outcome:  # fmt: skip
    """As `simulate`; a universe that raises, stands still or has no end is a violation too."""
    try:
        with _silence():
            plan = plan or plan_of(seed, sort)
            return simulate(seed, plan, tracing=tracing, until_broken=until_broken)
    except Violation as violation:
        return Outcome(seed, [str(violation)], 0, 0.0, "", ())
    except Exception as error:
        return Outcome(seed, [f"the universe broke: {error!r}"], 0, 0.0, "", ())


@contextmanager
def _silence() -> Iterator[None]:
    """What fails on purpose all the time is not logged."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def first_violation(seed: int, plan: Plan) -> str | None:
    """What breaks first in a universe, which ends with it; None when nothing does."""
    return next(iter(judged(seed, plan=plan, until_broken=True).violations), None)


def replay(seed: int, sort: Sort | None) -> str:
    """The command that runs this universe alone."""
    of_sort = f" --sort {sort.value}" if sort else ""
    return f"python -m tests.sim --seed {seed}{of_sort}"


def _timed(sort: Sort | None, seed: int) -> tuple[Outcome, float]:
    began_s = time.process_time()
    return judged(seed, sort), time.process_time() - began_s


def swarm(seeds: Sequence[int], processes: int, sort: Sort | None = None) -> Iterator[Tally]:
    """Runs all universes; yields the tally every now and then."""
    tally = Tally()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for start in range(0, len(seeds), _HANDED_OUT):
            some = seeds[start : start + _HANDED_OUT]
            for outcome, cpu_s in pool.map(partial(_timed, sort), some, chunksize=_AT_ONCE):
                tally.add(outcome, cpu_s)
                if tally.universes % (_AT_ONCE * processes) == 0:
                    yield tally
    yield tally
