"""Draws what a universe is like from its seed, before it begins."""

from dataclasses import replace
from random import Random
from typing import Final

from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tests.sim.draw_anything import Extent, anything
from tests.sim.draw_clocks import clock_jumps, clock_steps, wrong_dates
from tests.sim.draw_rare import (
    entered,
    forgetful,
    of_a_store,
    of_full_queues,
    of_late_requests,
    of_owed_writes,
    of_the_brink,
    restored,
    split,
    staged,
)
from tests.sim.draw_sorts import (
    crowded,
    deadly,
    of_graves,
    of_moves,
    of_rebuilds,
    of_ruins,
    of_steps,
)
from tests.sim.faults import AFTER_DEADLINE_S
from tests.sim.plan import DAWN_S, Plan, Sort

_SHARES: Final = {
    Sort.ANYTHING: 8, Sort.CROWD: 8, Sort.DEATHS: 8, Sort.GRAVES: 2, Sort.RUINS: 1,
    Sort.STEPS: 1, Sort.REBUILT: 1,
}  # fmt: skip
"""Among universes of any sort that are not short; the others are run when they are asked for."""


_USUAL: Final = Extent((4.0, 14.0), (20, 60), four_share=0.1)
_SHORT: Final = Extent((1.0, 4.0), (5, 20))
_SHORT_SHARE: Final = 0.5
"""Of universes of any sort. They end soon, so that there are many."""


def draw(random: Random, sort: Sort | None = None) -> Plan:
    """The plan of a universe, of any sort or of this one."""
    if sort is Sort.SHORT or (sort is None and random.random() < _SHORT_SHARE):
        return _shortened(random)
    return _drawn(random, sort, _USUAL)


def _shortened(random: Random) -> Plan:
    """Trouble comes as thick as elsewhere; most of what is late arrives soon."""
    sort = random.choice([Sort.ANYTHING, Sort.CROWD, Sort.DEATHS])
    plan = _drawn(random, sort, _SHORT)
    return replace(
        plan,
        hosts=random.choice([1, 1, min(2, plan.hosts)]),
        workers=random.choice([1, plan.workers]),
        clients=min(plan.clients, random.choice([2, 3])),
        crawls=plan.crawls[:1],
        late_s=random.choice([1.0, 1.0, AFTER_DEADLINE_S]),
    )


def _drawn(random: Random, sort: Sort | None, extent: Extent) -> Plan:
    plan = _with_full_disks(anything(random, extent))
    drawn = random.choices(list(_SHARES), list(_SHARES.values()))[0]
    match sort or drawn:
        case Sort.CROWD:
            plan = crowded(random, plan)
        case Sort.DEATHS:
            plan = deadly(random, plan)
        case Sort.GRAVES:
            plan = of_graves(random, plan)
        case Sort.RUINS:
            plan = of_ruins(random, plan)
        case Sort.BRINK:
            plan = of_the_brink(random, plan)
        case Sort.STAGED:
            plan = staged(random, plan)
        case Sort.FULL:
            plan = of_full_queues(random, deadly(random, plan))
        case Sort.OWED:
            plan = of_owed_writes(random, plan)
        case Sort.ENTERED:
            plan = entered(random, plan)
        case Sort.FORGETFUL:
            plan = forgetful(random, crowded(random, plan))
        case Sort.RESTORED:
            plan = restored(random, of_ruins(random, plan))
        case Sort.SPLIT:
            plan = split(random, crowded(random, plan))
        case Sort.LATE:
            plan = of_late_requests(random, of_ruins(random, plan))
        case Sort.STORE:
            plan = of_a_store(of_graves(random, replace(plan, real_s3_client=True)))
        case Sort.ALONE:
            plan = of_moves(random, plan)
        case Sort.STEPS:
            plan = of_steps(random, plan)
        case Sort.REBUILT:
            plan = of_rebuilds(random, plan)
        case _:
            pass
    plan = replace(
        plan,
        clock_steps=tuple(clock_steps(random, plan)),
        wrong_dates=tuple(wrong_dates(random, plan)),
        clock_jumps=tuple(clock_jumps(plan)),
    )
    if plan.scenes or plan.steps or random.random() < 0.5:
        return plan
    well = plan.sick.other if plan.sick else random.choice(list(Side))
    modes = [
        ACTIVE,
        Mode(Stage.SHADOW, well),
        Mode(Stage.ACTIVE, well, 50),
    ]
    return replace(
        plan,
        read_modes=tuple(random.choice(list(ReadMode)) for _ in range(2)),
        modes=tuple(random.choice(modes) for _ in range(2)),
    )


def _with_full_disks(plan: Plan) -> Plan:
    """The queue is on the disk of the journal, and may be refused sooner or for longer. It draws
    apart from the rest: a seed is otherwise what it was before there was this fault."""
    if plan.journal_fails is None:
        return plan
    begins_s, ends_s = plan.journal_fails
    random = Random(f"{begins_s} {ends_s}")
    begins_s = max(DAWN_S, begins_s + random.uniform(-1.0, 1.0))
    ends_s = max(begins_s, ends_s + random.uniform(-1.0, 1.0))
    return replace(plan, queue_fails=(begins_s, ends_s))
