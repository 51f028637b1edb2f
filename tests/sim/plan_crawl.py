"""What a universe is like for its crawlers and its operator; drawn before it begins."""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from tandem.core.collect import CollectRule
from tandem.core.reply import Side
from tests.sim.brink import BRINK, Bounds
from tests.sim.faults import Fault, Rates
from tests.sim.s3_store import Profile

YOUNG_SIGNATURE_S: Final = 65.0
"""A store in whose universe something is deleted for good refuses older signatures: virtual time
costs something too."""
LIFE_AT_STORE_S: Final = 230
"""No request lives longer there: 95 s until the newest leg lands, 10 s for the read that just
missed it, 125 s until the heal that rests on that read has landed."""
_A_DAY: Final = CollectRule()
_LOST_TWICE: Final = 0.3
"""Of ruins."""
LIFE_IN_MEMORY_S: Final = 105
"""The same over homes that judge a request when it arrives: 30 s, 10 s, 60 s."""


class Disaster(enum.Enum):
    """What befalls a home that the other one survives."""

    WIPE_KVSP = "kvsp loses everything"
    WIPE_S3 = "s3 loses everything"
    RESTORE = "a cluster of kvsp is exchanged for an old copy"
    DISK = "a machine loses its disk"


@dataclass(frozen=True, slots=True)
class Misfortune:
    """A disaster, as soon after its time as the other home has everything."""

    at_s: float
    what: Disaster
    which: int
    """The cluster or the machine."""
    copied_s: float
    """How old the copy is that takes the cluster's place."""


@dataclass(frozen=True, slots=True)
class CrawlerBlow:
    """A crawler dies or stands still for a while."""

    at_s: float
    turns: int
    crawler: int
    for_s: float
    dies: bool
    at_page: bool = False
    """It stands still when it asks for a page or looks again, after so many `turns` of that."""


@dataclass(frozen=True, slots=True)
class CrawlPlan:
    """One universe's."""

    clusters: int
    profile: Profile
    removes: bool
    """Whether objects can be removed where S3 is in memory."""
    pause_s: float
    same_id: bool
    """Whether all crawlers believe to be the same one."""
    blows: tuple[CrawlerBlow, ...]
    disturbed: int
    """How many keys are made to differ in calm weather."""
    collects: CollectRule = _A_DAY
    misfortunes: tuple[Misfortune, ...] = ()
    lost_last: Side | None = None
    """The home that is wiped when all else is over."""
    bounds: Bounds | None = None
    """Those of production, unless there are others."""
    verbs: Mapping[Side, Mapping[str, Rates]] | None = None
    """Faults of the crawlers' calls by what they ask, and no others; None for those of everyone's
    calls."""
    page_names: int = 7
    """How many names a crawler lists at once."""
    wiped_at_raise: bool = False
    """Whether KVSP loses everything just before its floors rise for the first time."""
    rest_s: float = 0.0
    """How long a crawler rests before each page and each second look, during the storm."""

    @property
    def grave(self) -> bool:
        """Whether time suffices to delete something for good."""
        return self.collects.tombstone_grace_s < _A_DAY.tombstone_grace_s


def draw_crawl(random: Random, storm_s: float) -> CrawlPlan:
    """The plan of a universe that is too short to delete anything for good."""
    return CrawlPlan(
        clusters=random.choice([1, 2, 3]),
        profile=Profile(
            etag_quotes=random.random() < 0.6,
            conditional_delete=random.random() < 0.5,
            list_lag_s=random.choice([0.0, 0.0, 0.3, 2.0]),
        ),
        removes=random.random() < 0.5,
        pause_s=random.choice([1.0, 4.0, 10.0]),
        same_id=random.random() < 0.3,
        blows=tuple(_blows(random, storm_s)),
        disturbed=random.choice([0, 0, 0, 2, 5]),
        lost_last=random.choice([None, None, None, *Side]),
    )


def draw_graves(random: Random, *, real_s3_client: bool) -> tuple[float, CrawlPlan]:
    """How long a storm lasts in which things are deleted for good, and its plan."""
    life_s = LIFE_AT_STORE_S if real_s3_client else LIFE_IN_MEMORY_S
    rule = CollectRule(tombstone_grace_s=life_s + 1, request_life_s=life_s)
    storm_s = life_s * random.uniform(1.5, 3.0)
    plan = CrawlPlan(
        clusters=random.choice([1, 2, 3]),
        profile=Profile(
            etag_quotes=random.random() < 0.6,
            conditional_delete=random.random() < 0.6,
            signature_age_s=YOUNG_SIGNATURE_S if random.random() < 0.8 else float("inf"),
            list_lag_s=random.choice([0.0, 0.0, 2.0]),
        ),
        removes=random.random() < 0.6,
        pause_s=random.choice([2.0, 10.0, 20.0]),
        same_id=random.random() < 0.3,
        blows=tuple(_blows(random, storm_s)),
        disturbed=random.choice([0, 3]),
        collects=rule,
        misfortunes=tuple(_misfortunes(random, storm_s)),
        lost_last=random.choice([None, *Side]),
    )
    return storm_s, plan


def ruined(random: Random, plan: CrawlPlan, storm_s: float) -> CrawlPlan:
    """The same where a copy of KVSP is made early, and it is lost late; at times KVSP loses all in
    between, and what is restored is older than its life."""
    what = random.choice([Disaster.RESTORE, Disaster.RESTORE, Disaster.WIPE_KVSP])
    lost = Misfortune(random.uniform(0.8, 0.95) * storm_s, what, 0, 0.65 * storm_s)
    before = Misfortune(random.uniform(0.5, 0.78) * storm_s, Disaster.WIPE_KVSP, 0, 0.0)
    return replace(
        plan,
        clusters=1,
        removes=random.random() < 0.8,
        pause_s=random.choice([5.0, 20.0]),
        blows=(),
        misfortunes=(before, lost) if random.random() < _LOST_TWICE else (lost,),
    )


def emptied(random: Random, plan: CrawlPlan, storm_s: float) -> CrawlPlan:
    """The same where KVSP loses everything, again and again, while floors rise late."""
    return replace(
        plan,
        removes=True,
        misfortunes=tuple(
            Misfortune(share * storm_s, Disaster.WIPE_KVSP, 0, 0.0)
            for share in sorted(random.uniform(0.6, 0.98) for _ in range(3))
        ),
        verbs={Side.KVSP: {"raise floor": ((Fault.LATE, 0.5),)}, Side.S3: {}},
    )


def at_a_store(plan: CrawlPlan) -> CrawlPlan:
    """The same where S3 lets objects go, and nothing is lost."""
    profile = replace(
        plan.profile, conditional_delete=True, signature_age_s=YOUNG_SIGNATURE_S, list_lag_s=0.0
    )
    return replace(plan, profile=profile, pause_s=10.0, blows=(), misfortunes=(), lost_last=None)


def on_the_brink(random: Random, storm_s: float) -> CrawlPlan:
    """A crawler that works without a pause, and takes as long for it as the grace lasts."""
    wipes = random.choice([0, 0, 1, 2])
    grace_s = BRINK.rule.tombstone_grace_s
    return replace(
        draw_crawl(random, storm_s),
        clusters=1,
        removes=random.random() < 0.7,
        pause_s=0.5,
        blows=tuple(
            CrawlerBlow(
                random.uniform(0.1, 0.8) * storm_s,
                random.randrange(3, 16),
                0,
                random.uniform(1.2, 1.7) * grace_s,
                dies=False,
                at_page=True,
            )
            for _ in range(3)
        ),
        disturbed=0,
        collects=BRINK.rule,
        misfortunes=tuple(
            Misfortune(random.uniform(0.4, 0.9) * storm_s, Disaster.WIPE_KVSP, 0, 0.0)
            for _ in range(wipes)
        ),
        bounds=BRINK,
        page_names=3,
        rest_s=random.choice([0.0, 0.2]),
        verbs={
            Side.KVSP: {
                "raise floor": ((Fault.LATE, 0.3),),
                "purge": ((Fault.LATE, 0.1),),
                "heal": ((Fault.LOST, 0.3),),
            },
            Side.S3: {"remove": ((Fault.LATE, 0.3),)},
        },
    )


def before_scenes(random: Random, brink: CrawlPlan) -> CrawlPlan:
    """The same where the scenes say when the crawler stands still, and KVSP is lost as its floors
    rise, if at all. What the collector sends is late, and heals do not arrive. In the end keys are
    made to differ that lie below floors."""
    return replace(
        brink,
        disturbed=4,
        removes=True,
        blows=(),
        misfortunes=(),
        wiped_at_raise=random.random() < 0.3,
        rest_s=0.0,
        verbs={
            Side.KVSP: {"purge": ((Fault.LATE, 0.3),), "heal": ((Fault.LOST, 0.5),)},
            Side.S3: {"remove": ((Fault.LATE, 0.3),)},
        },
    )


def _blows(random: Random, storm_s: float) -> Iterator[CrawlerBlow]:
    for _ in range(random.choice([0, 0, 1, 3])):
        yield CrawlerBlow(
            random.uniform(0.0, storm_s),
            random.randrange(30),
            random.randrange(2),
            random.choice([0.01, 1.0, 20.0, 70.0]),
            random.random() < 0.6,
        )


def _misfortunes(random: Random, storm_s: float) -> Iterator[Misfortune]:
    for _ in range(random.choice([0, 1, 1, 2])):
        yield Misfortune(
            random.uniform(0.3, 0.97) * storm_s,
            random.choice(list(Disaster)),
            random.randrange(6),
            random.uniform(0.1, 0.8) * storm_s,
        )
