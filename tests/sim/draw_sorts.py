"""What universes are about that are not just anything; those of `draw_rare` are run when they are
asked for."""

from dataclasses import replace
from random import Random
from typing import Final

from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reply import Side
from tests.sim.draw_anything import draw_blows, draw_rates, draw_windows
from tests.sim.faults import AFTER_DEADLINE_S, Fault
from tests.sim.plan import DAWN_S, KVSP_ALONE, Blow, Plan
from tests.sim.plan_crawl import Disaster, Misfortune, draw_crawl, draw_graves, ruined

_RARER: Final = 12
_SICK_SHARE: Final = 0.3
"""Of universes with steps; the home that is left, and comes back, has all the faults."""


def crowded(random: Random, plan: Plan) -> Plan:
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
        hosts=max(3, plan.hosts),
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


def deadly(random: Random, plan: Plan) -> Plan:
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


def of_graves(random: Random, plan: Plan) -> Plan:
    """Long enough for tombstones to go, with requests late enough to come back after them."""
    storm_s, crawl = draw_graves(random, real_s3_client=plan.real_s3_client)
    hosts, operations = random.choice([1, 1, 2]), random.randint(20, 40)
    windows = {side: tuple(draw_windows(random, storm_s, hosts, forever=False)) for side in Side}
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
        rates={side: draw_rates(random) for side in Side},
        windows=windows,
        blows=tuple(draw_blows(random, storm_s, hosts, 1))[:2],
        flips=(),
        corruptions=(),
        crawls=tuple(random.uniform(0.0, 0.2) * storm_s for _ in range(random.choice([1, 1, 2]))),
        journal_fails=None,
        queue_fails=None,
        crawl=crawl,
        late_s=random.choice([AFTER_DEADLINE_S, storm_s]),
    )


def of_ruins(random: Random, plan: Plan) -> Plan:
    """Requests are late, some by minutes; else little goes wrong but what is lost."""
    plan = of_graves(random, replace(plan, real_s3_client=False))
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


def of_moves(random: Random, plan: Plan) -> Plan:
    """Graves, in a namespace whose only home must not be lost meanwhile."""
    plan = of_graves(random, plan)
    left_s = random.uniform(0.0, 0.3) * plan.storm_s
    moves = [(DAWN_S / 2, Mode(Stage.SHADOW, Side.KVSP)), (DAWN_S + left_s, KVSP_ALONE)]
    if random.random() < 0.4:
        back_s = random.uniform(0.5, 0.8) * plan.storm_s
        again_s = back_s + random.uniform(0.05, 0.15) * plan.storm_s
        moves += [(back_s, Mode(Stage.SHADOW, Side.KVSP)), (again_s, KVSP_ALONE)]
    crawl = replace(plan.crawl, misfortunes=())
    return replace(plan, crawls=(1.0, left_s), crawl=crawl, moves=tuple(moves))


def of_steps(random: Random, plan: Plan) -> Plan:
    """There is time for steps, and for the crawls that they wait for."""
    storm_s = random.uniform(40.0, 100.0)
    home = random.choice(list(Side))
    away = [Mode(Stage.SHADOW, home), Mode(Stage.SINGLE, home), Mode(Stage.ACTIVE, home, 50)]
    begins_s, back_s = random.uniform(2.0, 10.0), random.uniform(0.5, 0.7) * storm_s
    steps = [(begins_s, random.choice(away)), (back_s, ACTIVE)]
    if random.random() < 0.5:
        again_s = random.uniform(0.8, 0.95) * storm_s
        steps.append((again_s, Mode(Stage.SINGLE, home)))
    plan = replace(_under_an_operator(random, plan, storm_s), steps=tuple(steps))
    return _sick(plan, home.other) if random.random() < _SICK_SHARE else plan


def of_rebuilds(random: Random, plan: Plan) -> Plan:
    """A home is lost as soon as the other one has all that it holds; then the command is given."""
    storm_s, side = random.uniform(30.0, 80.0), random.choice(list(Side))
    of_kvsp = random.choice([Disaster.WIPE_KVSP, Disaster.WIPE_KVSP, Disaster.RESTORE])
    what = of_kvsp if side is Side.KVSP else Disaster.WIPE_S3
    at_s = random.uniform(0.1, 0.3) * storm_s
    lost = Misfortune(at_s, what, random.randrange(6), random.uniform(0.3, 0.9) * at_s)
    plan = _under_an_operator(random, plan, storm_s)
    crawl = replace(plan.crawl, misfortunes=(lost,))
    return replace(plan, crawl=crawl, rebuild=(at_s + random.uniform(0.5, 5.0), side))


def _sick(plan: Plan, side: Side) -> Plan:
    """All goes well but what is asked of one home."""
    return replace(
        plan,
        sick=side,
        rates={**plan.rates, side.other: ()},
        windows={**plan.windows, side.other: ()},
        stops=(),
        wrong_dates=(),
    )


def _under_an_operator(random: Random, plan: Plan, storm_s: float) -> Plan:
    """Each fault is rare enough that what an operator wants can be done."""
    operations = random.randint(40, 80)
    rates = {
        side: tuple((fault, rate / _RARER) for fault, rate in draw_rates(random)) for side in Side
    }
    windows = {
        side: tuple(draw_windows(random, storm_s, plan.hosts, forever=False))[:2] for side in Side
    }
    return replace(
        plan,
        storm_s=storm_s,
        sick=None,
        operations=operations,
        think_s=storm_s / operations,
        rates=rates,
        windows=windows,
        blows=tuple(draw_blows(random, storm_s, plan.hosts, plan.workers))[:3],
        flips=(),
        corruptions=(),
        crawls=(1.0, 1.5)[: random.choice([1, 1, 2])],
        journal_fails=None,
        queue_fails=None,
        crawl=replace(draw_crawl(random, storm_s), pause_s=random.choice([1.0, 4.0])),
        late_s=random.choice([1.0, AFTER_DEADLINE_S]),
    )
