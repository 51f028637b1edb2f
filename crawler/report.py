"""What a crawl is told and what it finds: rule, mode, checkpoint, report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.core.drift import Sighting
from tandem.core.mass_change import MASS_LIMIT, MassLimit, NeedsPerson
from tandem.core.reply import Side
from tandem.core.scan_diff import Entry
from tandem.core.tally import Tally


@dataclass(frozen=True, slots=True)
class CrawlRule:
    """How a crawl works."""

    page_names: int = 1000
    settle_s: float = 2.0
    heals_at_once: int = 32
    """Over all ranges of a namespace together."""
    deadline_s: float = 10.0
    differences_max: int = 10_000
    """Differences that wait for their second look at once; above, the crawl pauses for them."""
    dead_max: int = 10_000
    """So many dead records of a range are collected after one crawl; the next takes more."""
    ranges_at_once: int = 4
    deep_parts: int = 0
    """Of crawls that nobody has asked for; see `CrawlMode`."""
    range_names: int = 100_000
    """A range with more names than this is split for the next crawl."""
    limit: MassLimit = MASS_LIMIT


@dataclass(frozen=True, slots=True)
class CrawlMode:
    """What a crawl is asked to do."""

    number: int = 0
    """Counts the crawls of a namespace."""
    deep_parts: int = 0
    """Reads and checks the bytes of one key of so many; 0 of none, 1 of all."""
    dry_run: bool = False
    """Counts, and changes nothing."""
    accepted: int = 0
    """How many repairs a person has allowed beyond the limit."""
    rebuild: Side | None = None
    """A home to which so much may be copied as it lacks; see `RunRequest`."""


CHECKPOINT_AGE_MAX_US: Final = 15 * 60 * 1_000_000
"""An older one says too little of what the homes hold now; the range begins anew."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a crawl of a range has come."""

    began_at_us: int
    saved_at_us: int
    """The homes' time, as `began_at_us`."""
    after: str
    suspects: Mapping[str, Sighting | None]
    """Names that are to be looked at again, with what was seen there by then: where that is not
    None, a heal has begun."""
    splits: tuple[str, ...]
    since_split: int
    tally: Mapping[str, object]
    """See `Tally.document`: a copy, while the crawl counts on."""
    changes: int = 0
    """How many repairs its breaker has counted."""
    stopped: NeedsPerson | None = None
    """Why the breaker has opened, where it has."""


@dataclass(slots=True)
class CrawlReport:
    """What one crawl of one range, or of all ranges of a namespace, found."""

    namespace: str
    began_at_us: int = 0
    """The smaller of the homes' times when it began; 0 when a home did not tell it."""
    ended_at_us: int = 0
    tally: Tally = field(default_factory=Tally)
    splits: list[str] = field(default_factory=list)
    """Where the range should be divided."""
    failure: str = ""
    """Why the crawl did not see everything; empty when it did."""
    dead: list[Entry] = field(default_factory=list)
    """Some of what both homes hold and nobody can read: what may go for good."""
    remains: list[str] = field(default_factory=list)
    """Some of the names that S3 holds below the floor and KVSP has dropped."""
    before: Tally | None = None
    """What an earlier run of the crawl had counted; None where there was none."""
    withheld: str = ""
    """Why nothing could be collected though there was something."""
    stopped: NeedsPerson | None = None
    """Why repair was stopped; None when it was not."""

    @property
    def resumed(self) -> bool:
        """Whether an earlier run of the crawl saw a part of it."""
        return self.before is not None

    @property
    def equal(self) -> bool:
        """Whether both homes hold the same now, as far as the crawl has seen."""
        return not (self.failure or self.tally.unhealed_keys or self.stopped)
