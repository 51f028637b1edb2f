"""Many universes on all cores, with progress; stops nowhere, tells everything that it finds."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import structlog

from tests.sim.plan import Plan, Sort
from tests.sim.universe import Outcome, plan_of, simulate

_AT_ONCE = 8
"""Universes that one process runs between two signs of life."""


@dataclass(slots=True)
class Tally:
    """What came of all universes so far."""

    universes: int = 0
    operations: int = 0
    virtual_s: float = 0.0
    found: list[tuple[int, str]] = field(default_factory=list)
    """Failing seeds, each with its first violation."""

    def add(self, outcome: Outcome) -> None:
        self.universes += 1
        self.operations += outcome.operations
        self.virtual_s += outcome.virtual_s
        if outcome.violations:
            self.found.append((outcome.seed, outcome.violations[0]))


def judged(
    seed: int, sort: Sort | None = None, *, plan: Plan | None = None, tracing: bool = False
) -> Outcome:
    """As `simulate`; a universe that raises, stands still or has no end is a violation too."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return simulate(seed, plan or plan_of(seed, sort), tracing=tracing)
    except Exception as error:
        return Outcome(seed, [f"the universe broke: {error!r}"], 0, 0.0, "", ())


def swarm(seeds: Iterable[int], processes: int) -> Iterator[Tally]:
    """Runs all universes; yields the tally every now and then."""
    tally = Tally()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for outcome in pool.map(judged, seeds, chunksize=_AT_ONCE):
            tally.add(outcome)
            if tally.universes % (_AT_ONCE * processes) == 0:
                yield tally
    yield tally
