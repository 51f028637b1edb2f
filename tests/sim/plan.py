"""What a universe is like, drawn from its seed before it begins.

Every universe draws which faults it has at all (swarm testing: Groce et al., 2012), so that some
have one fault only, often, and others many at once.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tests.sim.faults import AFTER_DEADLINE_S, Fault, Trouble, Window
from tests.sim.plan_crawl import (
    CrawlPlan,
    at_a_store,
    draw_crawl,
    draw_graves,
    emptied,
    on_the_brink,
    ruined,
)

DAWN_S: Final = 0.5
"""Machines boot before this; then trouble begins."""


@dataclass(frozen=True, slots=True)
class Blow:
    """A machine or a worker dies, so many loop turns after a moment or after a write is stamped."""

    at_s: float
    after_write: int | None
    """The number of that write."""
    turns: int
    host: int
    worker: int | None
    """Which worker dies; None for the whole machine."""
    down_s: float


@dataclass(frozen=True, slots=True)
class Flip:
    """An operator takes a home out of reads, of writes or both, and puts it back."""

    at_s: float
    back_s: float
    side: Side
    reads: bool
    writes: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """One universe."""

    hosts: int
    workers: int
    real_s3_client: bool
    storm_s: float
    clients: int
    operations: int
    """Of each client."""
    think_s: float
    hot_names: int
    past_cache: float
    """The share of reads that no cache may answer."""
    writes_a_name: int
    """After so many writes clients turn to new names."""
    queue_s: float
    """The longest time that a change of a repair queue takes."""
    sick: Side | None
    """The only home that has faults; None when both may have some."""
    rates: Mapping[Side, tuple[tuple[Fault, float], ...]]
    windows: Mapping[Side, tuple[Window, ...]]
    blows: tuple[Blow, ...]
    flips: tuple[Flip, ...]
    corruptions: tuple[tuple[float, Side], ...]
    crawls: tuple[float, ...]
    """When crawlers begin."""
    journal_fails: tuple[float, float] | None
    """When no journal can be written."""
    crawl: CrawlPlan
    stops: tuple[tuple[float, int, float], ...] = ()
    """When a machine stands still, which, and for how long."""
    late_s: float = AFTER_DEADLINE_S
    """How long after its deadline a request may arrive."""
    read_modes: tuple[ReadMode, ...] = (ReadMode.RACE, ReadMode.RACE)
    """Of each namespace."""
    modes: tuple[Mode, ...] = (ACTIVE, ACTIVE)
    """Of each namespace; a home that answers alone is not the sick one."""
    clock_steps: tuple[tuple[float, int, float], ...] = ()
    """When a machine's wall clock jumps, which machine's, and by how many seconds."""
    wrong_dates: tuple[tuple[float, float, float], ...] = ()
    """From when on, for how long and by how much the `Date` of S3 is wrong: too short a time for
    anyone to believe it."""


class Sort(enum.Enum):
    """What universes are about."""

    ANYTHING = "anything"
    CROWD = "crowd"
    """Many writers of one name."""
    DEATHS = "deaths"
    """Machines die, often."""
    GRAVES = "graves"
    """There is time enough to delete for good."""
    RUINS = "ruins"
    """KVSP is lost, or restored from an old copy, after much was deleted for good."""
    BRINK = "brink"
    """Requests, grace and crawls last equally long: see `brink`."""
    SPLIT = "split"
    """One machine does not reach KVSP, while many write the same names everywhere."""
    LATE = "late"
    """KVSP is lost after much was deleted for good, and what was sent to it long before arrives."""
    STORE = "store"
    """There is time enough to delete for good, under the real S3 client, which loses replies."""


_SHARES: Final = {Sort.ANYTHING: 8, Sort.CROWD: 8, Sort.DEATHS: 8, Sort.GRAVES: 2, Sort.RUINS: 1}
"""Among universes of any sort; the others are run when they are asked for."""


def draw(random: Random, sort: Sort | None = None) -> Plan:
    """The plan of a universe, of any sort or of this one."""
    plan = _anything(random)
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
            plan = _on_the_brink(random, plan)
        case Sort.SPLIT:
            plan = _split(random, plan)
        case Sort.LATE:
            plan = _of_late_requests(random, plan)
        case Sort.STORE:
            plan = _of_a_store(random, plan)
        case _:
            pass
    plan = replace(
        plan,
        clock_steps=tuple(_clock_steps(random, plan)),
        wrong_dates=tuple(_wrong_dates(random, plan)),
    )
    if random.random() < 0.5:
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


def _of_late_requests(random: Random, plan: Plan) -> Plan:
    """As ruins, with KVSP emptied and everything for it late."""
    plan = _of_ruins(random, plan)
    late = ((Fault.LATE, 0.2), (Fault.TWICE, 0.3), (Fault.SLOW, 0.1))
    return replace(
        plan,
        rates={Side.KVSP: late, Side.S3: ((Fault.SLOW, 0.1),)},
        crawl=emptied(random, plan.crawl, plan.storm_s),
    )


def _split(random: Random, plan: Plan) -> Plan:
    """Away from KVSP for good, a machine whose workers die knows the time from the `Date` of a few
    S3 replies; away from one home after the other, it tells what it cannot confirm."""
    plan = _crowded(random, plan)
    forever = random.random() < 0.5
    trouble = random.choice([Trouble.REFUSES, Trouble.HANGS, Trouble.NO_REQUESTS])
    spell_s = random.uniform(1.5, 4.0)
    spells = [(DAWN_S + n * spell_s, DAWN_S + (n + 1) * spell_s) for n in range(8)]
    if forever:
        spells = [(random.uniform(DAWN_S, 3.0), float("inf"))]
    away = [Window(trouble, begins_s, ends_s, "m0") for begins_s, ends_s in spells]
    deaths = 12 if forever else 0
    return replace(
        plan,
        hosts=2,
        workers=1,
        real_s3_client=True,
        hot_names=random.choice([1, 2]),
        past_cache=0.5,
        rates=dict.fromkeys(Side, ((Fault.LOST, 0.1), (Fault.SLOW, 0.1))),
        windows={Side.KVSP: tuple(away[::2]), Side.S3: tuple(away[1::2])},
        blows=tuple(
            Blow(random.uniform(DAWN_S, plan.storm_s), None, random.randrange(30), 0, 0, 0.01)
            for _ in range(deaths)
        ),
    )


def _of_a_store(random: Random, plan: Plan) -> Plan:
    """Nothing goes wrong but answers of S3."""
    plan = _of_graves(random, replace(plan, real_s3_client=True))
    rates = ((Fault.REPLY_LOST, 0.1), (Fault.ERROR_APPLIED, 0.1), (Fault.SLOW, 0.1))
    return replace(
        plan,
        clients=3,
        hot_names=2,
        writes_a_name=4,
        rates={Side.KVSP: (), Side.S3: rates},
        windows=dict.fromkeys(Side, ()),
        blows=(),
        stops=(),
        crawls=(1.0,),
        crawl=at_a_store(plan.crawl),
    )


def _on_the_brink(random: Random, plan: Plan) -> Plan:
    """Legs are slow or lost, now in one home, now in the other; everyone writes new names."""
    storm_s = random.uniform(80.0, 140.0)
    operations = 60
    rates = {
        Side.KVSP: ((Fault.LOST, 0.2), (Fault.LATE, 0.03)),
        Side.S3: ((Fault.TARDY, 0.3), (Fault.LATE, 0.03)),
    }
    return replace(
        plan,
        hosts=random.choice([1, 2]),
        workers=1,
        real_s3_client=False,
        sick=None,
        storm_s=storm_s,
        clients=4,
        operations=operations,
        think_s=storm_s / operations,
        hot_names=4,
        writes_a_name=random.choice([8, 20]),
        rates=rates,
        windows=dict.fromkeys(Side, ()),
        blows=(),
        flips=(),
        stops=(),
        corruptions=(),
        crawls=(1.0,),
        journal_fails=None,
        crawl=on_the_brink(random, storm_s),
    )


def _stops(random: Random, storm_s: float, hosts: int) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        at_s = random.uniform(DAWN_S, storm_s)
        yield at_s, random.randrange(hosts), random.choice([0.2, 3.0, 12.0, 40.0])


def _clock_steps(random: Random, plan: Plan) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 1, 3])):
        by_s = random.choice([-86_400.0, -3600.0, -2.0, 2.0, 3600.0, 86_400.0])
        yield random.uniform(0.0, plan.storm_s), random.randrange(plan.hosts), by_s


def _wrong_dates(random: Random, plan: Plan) -> Iterator[tuple[float, float, float]]:
    """None when some process may begin: whose first replies all lie, that one believes them."""
    if plan.sick is Side.KVSP or plan.blows or plan.crawl.blows or plan.crawl.misfortunes:
        return
    for _ in range(random.choice([0, 1, 2])):
        by_s = random.choice([-3600.0, -10.0, 10.0, 3600.0])
        at_s, for_s = random.uniform(4.0, plan.storm_s), random.uniform(0.01, 1.5)
        if all(not at_s - 3.0 < born_s < at_s + for_s for born_s in plan.crawls):
            yield at_s, for_s, by_s


def _anything(random: Random) -> Plan:
    storm_s = random.uniform(4.0, 14.0)
    hosts = random.choice([1, 2, 2, 3])
    workers = random.choice([1, 1, 2])
    sick = random.choice([None, None, *Side])
    operations = random.randint(20, 60)
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
