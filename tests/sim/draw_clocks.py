"""Clocks that are wrong: of machines, of homes, and the `Date` of S3."""

from collections.abc import Iterator
from random import Random
from typing import Final

from tandem.core.reply import Side
from tests.sim.draw_anything import draw_span
from tests.sim.plan import ClockJump, Plan

_BETWEEN_DATES_S: Final = 3.0
_JUMPS_SHARE: Final = 0.15
"""Of universes in which a home's own clock is set wrong."""
_BEHIND_S: Final = (-2.0, -10.0, -3600.0)
_AHEAD_S: Final = (2.0, 10.0, 40.0)
"""Calm has to last for as long."""


def clock_steps(random: Random, plan: Plan) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 1, 3])):
        by_s = random.choice([-86_400.0, -3600.0, -2.0, 2.0, 3600.0, 86_400.0])
        yield random.uniform(0.0, plan.storm_s), random.randrange(plan.hosts), by_s


def wrong_dates(random: Random, plan: Plan) -> Iterator[tuple[float, float, float]]:
    """Whatever begins meanwhile. Between two there is time to see a right one."""
    if plan.sick is Side.KVSP:
        return
    ended_s = 0.0
    for _ in range(random.choice([0, 1, 2])):
        by_s = random.choice([-3600.0, -10.0, 10.0, 3600.0])
        at_s, for_s = random.uniform(ended_s, plan.storm_s), random.uniform(0.01, 1.5)
        ended_s = at_s + for_s + _BETWEEN_DATES_S
        if ended_s < plan.storm_s:
            yield at_s, for_s, by_s


def clock_jumps(plan: Plan) -> Iterator[ClockJump]:
    """A home that is ahead has the other one refuse what is stamped by it, so only one that is
    behind is a fault in one home alone. Where something is deleted for good no store takes
    signatures that are too old, so only KVSP's clock may be set back. It draws apart, as above."""
    random = Random(f"{plan.storm_s} clocks")
    side, by_s = plan.sick or random.choice(list(Side)), random.choice([*_BEHIND_S, *_AHEAD_S])
    begins_s, ends_s = draw_span(random, plan.storm_s)
    if random.random() > _JUMPS_SHARE:
        return
    if plan.sick is not None:
        by_s = random.choice(_BEHIND_S)
    elif plan.crawl.grave:
        side, by_s = Side.KVSP, random.choice(_AHEAD_S)
    yield ClockJump(begins_s, random.choice([ends_s, float("inf")]), side, by_s)
