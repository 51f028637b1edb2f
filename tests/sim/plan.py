"""What a universe is like; see `draw` for how it comes to be so."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tests.sim.faults import AFTER_DEADLINE_S, Fault, Rates, Window
from tests.sim.plan_crawl import CrawlPlan
from tests.sim.plan_scenes import Scene

MOVED: Final = "a" * 32
"""The namespace that is taken from mode to mode, where one is."""
KVSP_ALONE: Final = Mode(Stage.SINGLE, Side.KVSP)
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
class ClockJump:
    """A home's own clock is set wrong, and right again, in calm weather at the latest."""

    begins_s: float
    ends_s: float
    side: Side
    by_s: float


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
    clock_jumps: tuple[ClockJump, ...] = ()
    moves: tuple[tuple[float, Mode], ...] = ()
    """When the mode of MOVED is stepped."""
    steps: tuple[tuple[float, Mode], ...] = ()
    """From when on an operator takes MOVED to which mode, by the steps that there are."""
    rebuild: tuple[float, Side] | None = None
    """When an operator has a home filled again, once what befalls it has; see `rebuilding`."""
    queue_fails: tuple[float, float] | None = None
    """When no repair queue takes a change."""
    verbs: Mapping[Side, Mapping[str, Rates]] = field(default_factory=dict)
    """Faults of the calls that ask this, in place of `rates`."""
    forgets: tuple[tuple[float, int], ...] = ()
    """When a machine's memory is emptied, and which machine's."""
    scenes: tuple[Scene, ...] = ()
    """What is played beside what the clients do: see `scenes`."""


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
    SHORT = "short"
    """One of the first three, with few machines, clients and operations."""
    ALONE = "alone"
    """A namespace leaves S3, and much is deleted for good before it comes back."""
    STEPS = "steps"
    """A namespace is taken from mode to mode and back while it is used."""
    REBUILT = "rebuilt"
    """A home is lost, and filled again by hand while it is used."""
    BRINK = "brink"
    """Requests, grace and crawls last equally long: see `brink`."""
    SPLIT = "split"
    """One machine does not reach KVSP, while many write the same names everywhere."""
    LATE = "late"
    """KVSP is lost after much was deleted for good, and what was sent to it long before arrives."""
    STORE = "store"
    """There is time enough to delete for good, under the real S3 client, which loses replies."""
    STAGED = "staged"
    """As brink, with little but scenes that are played: see `scenes`."""
    FULL = "full"
    """Machines die while their repair queue refuses what it is told."""
    OWED = "owed"
    """One home lacks what was written, while machines die or do not reach the other one."""
    ENTERED = "entered"
    """Workers begin where KVSP is out of reach, and sessions come to them at once."""
    FORGETFUL = "forgetful"
    """As crowd; the memory of machines is emptied while they run, as where there is no room."""
    RESTORED = "restored"
    """A cluster of KVSP is restored from a copy that has what was deleted for good since."""
