"""Universes in which a break is likely that is rare elsewhere; run when they are asked for."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from tandem.core.reply import Side
from tests.sim.brink import BRINK
from tests.sim.faults import Fault, Trouble, Window
from tests.sim.plan import DAWN_S, Blow, Plan
from tests.sim.plan_crawl import (
    LIFE_IN_MEMORY_S,
    Disaster,
    Misfortune,
    at_a_store,
    before_scenes,
    emptied,
    on_the_brink,
)
from tests.sim.plan_scenes import Doubt, Entrance, FirstWrite, LoneWrite, Restart, Revisit, Rewrite


def of_late_requests(random: Random, ruins: Plan) -> Plan:
    """As ruins, with KVSP emptied and everything for it late."""
    late = ((Fault.LATE, 0.2), (Fault.TWICE, 0.3), (Fault.SLOW, 0.1))
    return replace(
        ruins,
        rates={Side.KVSP: late, Side.S3: ((Fault.SLOW, 0.1),)},
        crawl=emptied(random, ruins.crawl, ruins.storm_s),
    )


def split(random: Random, crowd: Plan) -> Plan:
    """Away from KVSP for good, a machine whose workers die knows the time from the `Date` of a few
    S3 replies; away from one home after the other, it tells what it cannot confirm."""
    forever = random.random() < 0.5
    trouble = random.choice([Trouble.REFUSES, Trouble.HANGS, Trouble.NO_REQUESTS])
    spell_s = random.uniform(1.5, 4.0)
    spells = [(DAWN_S + n * spell_s, DAWN_S + (n + 1) * spell_s) for n in range(8)]
    if forever:
        spells = [(random.uniform(DAWN_S, 3.0), float("inf"))]
    away = [Window(trouble, begins_s, ends_s, "m0") for begins_s, ends_s in spells]
    deaths = 12 if forever else 0
    return replace(
        crowd,
        hosts=2,
        workers=1,
        real_s3_client=True,
        hot_names=random.choice([1, 2]),
        past_cache=0.5,
        rates=dict.fromkeys(Side, ((Fault.LOST, 0.1), (Fault.SLOW, 0.1))),
        windows={Side.KVSP: tuple(away[::2]), Side.S3: tuple(away[1::2])},
        blows=tuple(
            Blow(random.uniform(DAWN_S, crowd.storm_s), None, random.randrange(30), 0, 0, 0.01)
            for _ in range(deaths)
        ),
    )


def forgetful(random: Random, crowd: Plan) -> Plan:
    """One home takes long for what is written, the other one for what is read, while the memory of
    it all is emptied again and again."""
    lags, each_s = random.choice(list(Side)), random.choice([0.2, 1.0, 4.0])
    slowly = ((Fault.SLOW, random.uniform(0.3, 0.9)),)
    moments = [DAWN_S + n * each_s for n in range(int(crowd.storm_s / each_s))]
    return replace(
        crowd,
        hosts=1,
        hot_names=random.choice([1, 2]),
        past_cache=0.5,
        verbs={lags: {"put": slowly}, lags.other: {"get": slowly}},
        forgets=tuple((random.uniform(at_s, at_s + each_s), 0) for at_s in moments),
    )


def of_a_store(graves: Plan) -> Plan:
    """Nothing goes wrong but answers of S3."""
    rates = ((Fault.REPLY_LOST, 0.1), (Fault.ERROR_APPLIED, 0.1), (Fault.SLOW, 0.1))
    return replace(
        graves,
        clients=3,
        hot_names=2,
        writes_a_name=4,
        rates={Side.KVSP: (), Side.S3: rates},
        windows=dict.fromkeys(Side, ()),
        blows=(),
        stops=(),
        crawls=(1.0,),
        crawl=at_a_store(graves.crawl),
    )


def of_the_brink(random: Random, plan: Plan) -> Plan:
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


def staged(random: Random, plan: Plan) -> Plan:
    """On the brink, all goes well but what the scenes want."""
    storm_s = random.uniform(120.0, 160.0)
    plan = of_the_brink(random, plan)
    return replace(
        plan,
        storm_s=storm_s,
        clients=2,
        operations=40,
        think_s=storm_s / 40,
        rates=dict.fromkeys(Side, ((Fault.SLOW, 0.1),)),
        scenes=(
            *_lone_writes(random, storm_s, plan.hosts),
            *_rewrites(random, storm_s, plan.hosts),
        ),
        crawl=before_scenes(random, plan.crawl),
    )


def _lone_writes(random: Random, storm_s: float, hosts: int) -> Iterator[LoneWrite]:
    """One after another, as there is one crawler."""
    grace_s, at_s = BRINK.rule.tombstone_grace_s, random.uniform(2.0, 10.0)
    while at_s < storm_s - 2 * grace_s:
        for_s = random.uniform(0.95, 1.3) * grace_s
        in_time = random.uniform(0.5, BRINK.ack_window_s)
        leg_s = random.choice([in_time, random.uniform(1.5, 2.5) * BRINK.ack_window_s])
        yield LoneWrite(
            at_s,
            random.randrange(hosts),
            leg_s,
            random.uniform(0.0, 1.0),
            max(0.0, leg_s - random.uniform(0.0, 3.0)),
            for_s,
            random.uniform(10.0, 16.0) if random.random() < 0.5 else None,
        )
        at_s += for_s + random.uniform(10.0, 15.0)


def _rewrites(random: Random, storm_s: float, hosts: int) -> Iterator[Rewrite]:
    grace_s = BRINK.rule.tombstone_grace_s
    for _ in range(12):
        at_s = random.uniform(2.0, storm_s - 2 * grace_s)
        yield Rewrite(at_s, random.randrange(hosts), random.uniform(0.9, 2.0) * grace_s)


def of_full_queues(random: Random, deaths: Plan) -> Plan:
    """What one home lacks waits for repair while machines die, in the queue or in memory, where the
    queue refuses it; that home is the quicker one to answer."""
    sick = random.choice(list(Side))
    rates = {sick: ((Fault.ERROR, 0.3),), sick.other: ((Fault.SLOW, random.uniform(0.1, 0.6)),)}
    begins_s = random.uniform(DAWN_S, deaths.storm_s / 2)
    refuses = begins_s, begins_s + random.uniform(0.2, 0.5) * deaths.storm_s
    return replace(
        deaths,
        rates=rates,
        hot_names=1,
        journal_fails=None,
        queue_fails=random.choice([None, refuses]),
        crawls=(),
    )


def of_owed_writes(random: Random, plan: Plan) -> Plan:
    """All goes well but what the scenes want: what one home lacks is known to one machine alone."""
    storm_s, hosts = 16.0, 2
    rates = dict.fromkeys(Side, ((Fault.SLOW, random.uniform(0.0, 0.1)),))
    return replace(
        _without_trouble(plan),
        hosts=hosts,
        storm_s=storm_s,
        clients=2,
        operations=20,
        think_s=storm_s / 20,
        queue_s=0.05,
        rates=rates,
        scenes=tuple(_owed(random, storm_s - 6.0, hosts)),
    )


def _owed(random: Random, until_s: float, hosts: int) -> Iterator[Restart | Doubt | FirstWrite]:
    for make, count in ((_restart, 3), (_doubt, 6), (_first_write, 3)):
        for _ in range(count):
            yield make(random, random.uniform(DAWN_S + 2.0, until_s), random.randrange(hosts))


def _restart(random: Random, at_s: float, host: int) -> Restart:
    lacks, slow_s = random.choice(list(Side)), random.uniform(0.02, 0.5)
    return Restart(at_s, host, lacks, slow_s, random.uniform(0.0, 1.5))


def _doubt(random: Random, at_s: float, host: int) -> Doubt:
    return Doubt(at_s, host, random.choice(list(Side)), random.random() < 0.3)


def _first_write(random: Random, at_s: float, host: int) -> FirstWrite:
    read_s = random.uniform(0.01, 0.2)
    return FirstWrite(at_s, host, read_s, random.uniform(0.0, 1.2) * read_s)


def entered(random: Random, plan: Plan) -> Plan:
    """The first machine does not reach KVSP once it runs; its worker begins again and again."""
    storm_s = random.uniform(60.0, 90.0)
    trouble = random.choice([Trouble.REFUSES, Trouble.HANGS, Trouble.NO_REQUESTS])
    away = Window(trouble, DAWN_S + 3.0, float("inf"), "m0")
    return replace(
        _without_trouble(plan),
        hosts=2,
        sick=Side.KVSP,
        real_s3_client=True,
        storm_s=storm_s,
        clients=1,
        operations=10,
        think_s=storm_s / 10,
        rates={Side.KVSP: ((Fault.SLOW, random.uniform(0.0, 0.1)),), Side.S3: ()},
        windows={Side.KVSP: (away,), Side.S3: ()},
        scenes=tuple(
            Entrance(at_s + random.uniform(0.0, 3.0), 0, 2)
            for at_s in range(6, int(storm_s) - 12, 12)
        ),
    )


def _without_trouble(plan: Plan) -> Plan:
    return replace(
        plan,
        workers=1,
        sick=None,
        windows=dict.fromkeys(Side, ()),
        blows=(),
        flips=(),
        stops=(),
        corruptions=(),
        crawls=(),
        journal_fails=None,
        queue_fails=None,
        crawl=replace(plan.crawl, disturbed=0, lost_last=None, blows=()),
    )


def restored(random: Random, ruins: Plan) -> Plan:
    """As ruins, with keys that are deleted soon after the copy was made: they are gone for good
    when it takes a cluster's place, and are read from then on."""
    storm_s = LIFE_IN_MEMORY_S * random.uniform(2.8, 3.2)
    copied_s = random.uniform(0.08, 0.1) * storm_s
    at_s = random.uniform(0.62, 0.65) * storm_s
    scenes = []
    for _ in range(4):
        begins_s = random.uniform(DAWN_S, copied_s - 3.0)
        deletes_s = copied_s + random.uniform(0.5, 8.0)
        scenes.append(
            Revisit(
                begins_s, random.randrange(ruins.hosts), deletes_s - begins_s, at_s,
                random.uniform(0.5, 1.5),
            )
        )  # fmt: skip
    return replace(
        ruins,
        storm_s=storm_s,
        think_s=storm_s / ruins.operations,
        rates=dict.fromkeys(Side, ((Fault.SLOW, 0.1),)),
        scenes=tuple(scenes),
        crawl=replace(
            ruins.crawl,
            removes=True,
            pause_s=random.choice([5.0, 10.0]),
            misfortunes=(Misfortune(at_s, Disaster.RESTORE, 0, at_s - copied_s),),
            lost_last=None,
        ),
    )
