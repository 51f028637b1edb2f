"""What universes are about that are not just anything; those of `draw_rare` are run when they are
asked for."""

from dataclasses import replace
from random import Random

from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tests.sim.draw_anything import draw_blows, draw_rates, draw_windows
from tests.sim.faults import AFTER_DEADLINE_S, Fault
from tests.sim.plan import DAWN_S, KVSP_ALONE, Blow, Plan
from tests.sim.plan_crawl import draw_graves, ruined


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
