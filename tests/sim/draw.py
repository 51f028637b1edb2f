"""Draws what a universe is like from its seed, before it begins.

Every universe draws which faults it has at all (swarm testing: Groce et al., 2012), so that some
have one fault only, often, and others many at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tests.sim.draw_rare import (
    entered,
    of_a_store,
    of_full_queues,
    of_late_requests,
    of_owed_writes,
    of_the_brink,
    restored,
    split,
    staged,
)
from tests.sim.faults import AFTER_DEADLINE_S, Fault, Trouble, Window
from tests.sim.plan import DAWN_S, KVSP_ALONE, Blow, ClockJump, Flip, Plan, Sort
from tests.sim.plan_crawl import draw_crawl, draw_graves, ruined

_SHARES: Final = {Sort.ANYTHING: 8, Sort.CROWD: 8, Sort.DEATHS: 8, Sort.GRAVES: 2, Sort.RUINS: 1}
"""Among universes of any sort that are not short; the others are run when they are asked for."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """From how little to how much there is in a universe."""

    storm_s: tuple[float, float]
    operations: tuple[int, int]


_USUAL: Final = _Extent((4.0, 14.0), (20, 60))
_SHORT: Final = _Extent((1.0, 4.0), (5, 20))
_SHORT_SHARE: Final = 0.5
"""Of universes of any sort. They end soon, so that there are many."""
_BETWEEN_DATES_S: Final = 3.0
_JUMPS_SHARE: Final = 0.15
"""Of universes in which a home's own clock is set wrong."""
_BEHIND_S: Final = (-2.0, -10.0, -3600.0)
_AHEAD_S: Final = (2.0, 10.0, 40.0)
"""Calm has to last for as long."""


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


def _drawn(random: Random, sort: Sort | None, extent: _Extent) -> Plan:
    plan = _with_full_disks(_anything(random, extent))
    drawn = random.choices(list(_SHARES), list(_SHARES.values()))[0]
    match sort or drawn:
        case Sort.CROWD:
            plan = _crowded(random, plan)
        case Sort.DEATHS:
            plan = _deadly(random, plan)
        case Sort.GRAVES:
            plan = _of_graves(random, plan)
        case Sort.RUINS:
            plan = _of_ruins(random, plan)
        case Sort.BRINK:
            plan = of_the_brink(random, plan)
        case Sort.STAGED:
            plan = staged(random, plan)
        case Sort.FULL:
            plan = of_full_queues(random, _deadly(random, plan))
        case Sort.OWED:
            plan = of_owed_writes(random, plan)
        case Sort.ENTERED:
            plan = entered(random, plan)
        case Sort.RESTORED:
            plan = restored(random, _of_ruins(random, plan))
        case Sort.SPLIT:
            plan = split(random, _crowded(random, plan))
        case Sort.LATE:
            plan = of_late_requests(random, _of_ruins(random, plan))
        case Sort.STORE:
            plan = of_a_store(_of_graves(random, replace(plan, real_s3_client=True)))
        case Sort.ALONE:
            plan = _of_moves(random, plan)
        case _:
            pass
    plan = replace(
        plan,
        clock_steps=tuple(_clock_steps(random, plan)),
        wrong_dates=tuple(_wrong_dates(random, plan)),
        clock_jumps=tuple(_clock_jumps(plan)),
    )
    if plan.scenes or random.random() < 0.5:
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


def _crowded(random: Random, plan: Plan) -> Plan:
    """Nothing but late and slow calls, while all write the same name from everywhere."""
    others = [fault for fault in (Fault.TWICE, Fault.LATE, Fault.LOST) if random.random() < 0.3]
    rates = {
        side: (
            (Fault.SLOW, random.uniform(0.1, 0.6)),
            *((fault, random.uniform(0.02, 0.1)) for fault in others),
        )
        for side in Side
    }
    return replace(
        plan,
        hosts=3,
        real_s3_client=random.random() < 0.7,
        clients=5,
        hot_names=1,
        writes_a_name=random.choice([1000, 5]),
        past_cache=0.8,
        think_s=0.05,
        sick=None,
        rates=rates,
        windows=dict.fromkeys(Side, ()),
        blows=(),
        flips=(),
    )


def _deadly(random: Random, plan: Plan) -> Plan:
    """Machines die just after writes; what they leave is all that repair has."""
    hosts = random.choice([1, 2])
    rates = tuple(
        (fault, random.uniform(0.05, 0.25)) for fault in (Fault.LOST, Fault.ERROR, Fault.SLOW)
    )
    blows = tuple(
        Blow(
            0.0,
            random.randrange(plan.operations * plan.clients // 2),
            random.randrange(40),
            random.randrange(hosts),
            random.randrange(plan.workers) if random.random() < 0.2 else None,
            0.01,
        )
        for _ in range(8)
    )
    return replace(
        plan,
        hosts=hosts,
        sick=None,
        rates=dict.fromkeys(Side, rates),
        windows=dict.fromkeys(Side, ()),
        blows=blows,
        flips=(),
        hot_names=random.choice([1, 2]),
        writes_a_name=random.choice([3, 16]),
        queue_s=random.choice([0.05, 0.5]),
    )


def _of_graves(random: Random, plan: Plan) -> Plan:
    """Long enough for tombstones to go, with requests late enough to come back after them."""
    storm_s, crawl = draw_graves(random, real_s3_client=plan.real_s3_client)
    hosts, operations = random.choice([1, 1, 2]), random.randint(20, 40)
    windows = {side: tuple(_windows(random, storm_s, hosts, forever=False)) for side in Side}
    return replace(
        plan,
        hosts=hosts,
        workers=1,
        sick=None,
        storm_s=storm_s,
        clients=random.choice([1, 2, 3]),
        operations=operations,
        think_s=storm_s / operations * random.choice([1, 2]),
        hot_names=random.choice([1, 2, 5]),
        writes_a_name=random.choice([4, 10, 1000]),
        rates={side: _rates(random) for side in Side},
        windows=windows,
        blows=tuple(_blows(random, storm_s, hosts, 1))[:2],
        flips=(),
        corruptions=(),
        crawls=tuple(random.uniform(0.0, 0.2) * storm_s for _ in range(random.choice([1, 1, 2]))),
        journal_fails=None,
        queue_fails=None,
        crawl=crawl,
        late_s=random.choice([AFTER_DEADLINE_S, storm_s]),
    )


def _of_ruins(random: Random, plan: Plan) -> Plan:
    """Requests are late, some by minutes; else little goes wrong but what is lost."""
    plan = _of_graves(random, replace(plan, real_s3_client=False))
    return replace(
        plan,
        clients=3,
        hot_names=3,
        writes_a_name=6,
        rates=dict.fromkeys(Side, ((Fault.LATE, 0.05), (Fault.TWICE, 0.1), (Fault.SLOW, 0.1))),
        late_s=plan.storm_s,
        windows=dict.fromkeys(Side, ()),
        blows=(),
        stops=(),
        crawls=(1.0,),
        crawl=ruined(random, plan.crawl, plan.storm_s),
    )


def _of_moves(random: Random, plan: Plan) -> Plan:
    """Graves, in a namespace whose only home must not be lost meanwhile."""
    plan = _of_graves(random, plan)
    left_s = random.uniform(0.0, 0.3) * plan.storm_s
    moves = [(DAWN_S / 2, Mode(Stage.SHADOW, Side.KVSP)), (DAWN_S + left_s, KVSP_ALONE)]
    if random.random() < 0.4:
        back_s = random.uniform(0.5, 0.8) * plan.storm_s
        again_s = back_s + random.uniform(0.05, 0.15) * plan.storm_s
        moves += [(back_s, Mode(Stage.SHADOW, Side.KVSP)), (again_s, KVSP_ALONE)]
    crawl = replace(plan.crawl, misfortunes=())
    return replace(plan, crawls=(1.0, left_s), crawl=crawl, moves=tuple(moves))


def _stops(random: Random, storm_s: float, hosts: int) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        at_s = random.uniform(DAWN_S, storm_s)
        yield at_s, random.randrange(hosts), random.choice([0.2, 3.0, 12.0, 40.0])


def _clock_steps(random: Random, plan: Plan) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 1, 3])):
        by_s = random.choice([-86_400.0, -3600.0, -2.0, 2.0, 3600.0, 86_400.0])
        yield random.uniform(0.0, plan.storm_s), random.randrange(plan.hosts), by_s


def _wrong_dates(random: Random, plan: Plan) -> Iterator[tuple[float, float, float]]:
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


def _clock_jumps(plan: Plan) -> Iterator[ClockJump]:
    """A home that is ahead has the other one refuse what is stamped by it, so only one that is
    behind is a fault in one home alone. Where something is deleted for good no store takes
    signatures that are too old, so only KVSP's clock may be set back. It draws apart, as above."""
    random = Random(f"{plan.storm_s} clocks")
    side, by_s = plan.sick or random.choice(list(Side)), random.choice([*_BEHIND_S, *_AHEAD_S])
    begins_s, ends_s = _span(random, plan.storm_s)
    if random.random() > _JUMPS_SHARE:
        return
    if plan.sick is not None:
        by_s = random.choice(_BEHIND_S)
    elif plan.crawl.grave:
        side, by_s = Side.KVSP, random.choice(_AHEAD_S)
    yield ClockJump(begins_s, random.choice([ends_s, float("inf")]), side, by_s)


def _anything(random: Random, extent: _Extent) -> Plan:
    storm_s = random.uniform(*extent.storm_s)
    hosts = random.choice([1, 2, 2, 3])
    workers = random.choice([1, 1, 2])
    sick = random.choice([None, None, *Side])
    operations = random.randint(*extent.operations)
    sides = tuple(Side) if sick is None else (sick,)
    return Plan(
        hosts=hosts,
        workers=workers,
        real_s3_client=random.random() < 0.4,
        storm_s=storm_s,
        clients=random.randint(2, 5),
        operations=operations,
        think_s=random.choice([1, 2]) * storm_s / operations,
        hot_names=random.choice([1, 2, 2, 3, 5]),
        past_cache=0.33,
        writes_a_name=random.choice([1000, 1000, 16]),
        queue_s=random.choice([0.002, 0.002, 0.05, 0.5]),
        sick=sick,
        rates={side: _rates(random) if side in sides else () for side in Side},
        windows={
            side: tuple(_windows(random, storm_s, hosts, forever=sick is side))
            if side in sides
            else ()
            for side in Side
        },
        blows=tuple(_blows(random, storm_s, hosts, workers)),
        flips=tuple(_flips(random, storm_s, sides)),
        corruptions=tuple(
            (random.uniform(DAWN_S, storm_s), random.choice(sides))
            for _ in range(random.choice([0, 0, 3]))
        ),
        crawls=tuple(
            sorted(random.uniform(DAWN_S, storm_s) for _ in range(random.choice([0, 1, 2])))
        ),
        journal_fails=_span(random, storm_s) if random.random() < 0.1 and sick is None else None,
        crawl=draw_crawl(random, storm_s),
        stops=tuple(_stops(random, storm_s, hosts)) if sick is None else (),
    )


def _rates(random: Random) -> tuple[tuple[Fault, float], ...]:
    return tuple(
        (fault, 10 ** random.uniform(-2.0, -0.4)) for fault in Fault if random.random() < 0.4
    )


def _span(random: Random, storm_s: float) -> tuple[float, float]:
    begins_s = random.uniform(DAWN_S, storm_s)
    return begins_s, begins_s + random.expovariate(1 / 2.0)


def _windows(random: Random, storm_s: float, hosts: int, *, forever: bool) -> Iterator[Window]:
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        machine = "" if random.random() < 0.5 else f"m{random.randrange(hosts)}"
        yield Window(random.choice(list(Trouble)), *_span(random, storm_s), machine)
    if forever and random.random() < 0.7:
        trouble = random.choice([Trouble.REFUSES, Trouble.HANGS, Trouble.ERRS])
        yield Window(trouble, random.uniform(DAWN_S, storm_s), float("inf"))


def _blows(random: Random, storm_s: float, hosts: int, workers: int) -> Iterator[Blow]:
    for _ in range(random.choice([0, 0, 1, 2, 4, 8])):
        yield Blow(
            random.uniform(DAWN_S, storm_s),
            random.randrange(100) if random.random() < 0.6 else None,
            random.randrange(30),
            random.randrange(hosts),
            random.randrange(workers) if random.random() < 0.4 else None,
            random.expovariate(1 / 0.5),
        )


def _flips(random: Random, storm_s: float, sides: tuple[Side, ...]) -> Iterator[Flip]:
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        reads, writes = random.choice([(False, False), (False, True), (True, False)])
        yield Flip(*_span(random, storm_s), random.choice(sides), reads, writes)
