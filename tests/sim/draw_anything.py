"""What a universe is like of which nothing else is wanted: each fault is there, or is not.

Every universe draws which faults it has at all (swarm testing: Groce et al., 2012), so that some
have one fault only, often, and others many at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tandem.core.reply import Side
from tests.sim.faults import Fault, Trouble, Window
from tests.sim.plan import DAWN_S, Blow, Flip, Plan
from tests.sim.plan_crawl import draw_crawl


@dataclass(frozen=True, slots=True)
class Extent:
    """From how little to how much there is in a universe."""

    storm_s: tuple[float, float]
    operations: tuple[int, int]
    four_share: float = 0.0
    """Of universes with four machines."""


def anything(random: Random, extent: Extent) -> Plan:
    storm_s = random.uniform(*extent.storm_s)
    hosts = _with_a_fourth(random.choice([1, 2, 2, 3]), storm_s, extent)
    workers = random.choice([1, 1, 2])
    sick = random.choice([None, None, *Side])
    operations = random.randint(*extent.operations) * min(3, hosts) // hosts
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
        rates={side: draw_rates(random) if side in sides else () for side in Side},
        windows={
            side: tuple(draw_windows(random, storm_s, hosts, forever=sick is side))
            if side in sides
            else ()
            for side in Side
        },
        blows=tuple(draw_blows(random, storm_s, hosts, workers)),
        flips=tuple(_flips(random, storm_s, sides)),
        corruptions=tuple(
            (random.uniform(DAWN_S, storm_s), random.choice(sides))
            for _ in range(random.choice([0, 0, 3]))
        ),
        crawls=tuple(
            sorted(random.uniform(DAWN_S, storm_s) for _ in range(random.choice([0, 1, 2])))
        ),
        journal_fails=draw_span(random, storm_s)
        if random.random() < 0.1 and sick is None
        else None,
        crawl=draw_crawl(random, storm_s),
        stops=tuple(_stops(random, storm_s, hosts)) if sick is None else (),
    )


def _with_a_fourth(hosts: int, storm_s: float, extent: Extent) -> int:
    """How many machines there are. It draws apart from the rest: a seed is what it was while there
    were three at most, unless it has four."""
    return 4 if Random(f"{storm_s} machines").random() < extent.four_share else hosts


def _stops(random: Random, storm_s: float, hosts: int) -> Iterator[tuple[float, int, float]]:
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        at_s = random.uniform(DAWN_S, storm_s)
        yield at_s, random.randrange(hosts), random.choice([0.2, 3.0, 12.0, 40.0])


def draw_rates(random: Random) -> tuple[tuple[Fault, float], ...]:
    return tuple(
        (fault, 10 ** random.uniform(-2.0, -0.4)) for fault in Fault if random.random() < 0.4
    )


def draw_span(random: Random, storm_s: float) -> tuple[float, float]:
    begins_s = random.uniform(DAWN_S, storm_s)
    return begins_s, begins_s + random.expovariate(1 / 2.0)


def draw_windows(random: Random, storm_s: float, hosts: int, *, forever: bool) -> Iterator[Window]:
    for _ in range(random.choice([0, 0, 1, 2, 4])):
        machine = "" if random.random() < 0.5 else f"m{random.randrange(hosts)}"
        yield Window(random.choice(list(Trouble)), *draw_span(random, storm_s), machine)
    if forever and random.random() < 0.7:
        trouble = random.choice([Trouble.REFUSES, Trouble.HANGS, Trouble.ERRS])
        yield Window(trouble, random.uniform(DAWN_S, storm_s), float("inf"))


def draw_blows(random: Random, storm_s: float, hosts: int, workers: int) -> Iterator[Blow]:
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
        yield Flip(*draw_span(random, storm_s), random.choice(sides), reads, writes)
