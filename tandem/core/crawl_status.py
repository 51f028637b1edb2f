"""What an operator sees of a crawler: plain values that its service and `kvctl` share."""

from dataclasses import dataclass
from typing import NamedTuple

from tandem.core.drift import Drift
from tandem.core.reply import Side
from tandem.core.tally import Tally


class Place(NamedTuple):
    """Where a crawl stands in the history, which has the newest first."""

    began_us: int
    namespace: str
    plan: str


@dataclass(frozen=True, slots=True)
class Crawled:
    """One crawl of one namespace, ended."""

    namespace: str
    plan: str
    number: int
    began_us: int
    ended_us: int
    deep_parts: int
    dry_run: bool
    ranges: int
    failure: str
    stopped: str
    tally: Tally
    withheld: str = ""
    """Why dead records were not collected, where that was so."""
    alone: Side | None = None
    """The only home that the namespace is kept in, where there was nothing to compare."""

    @property
    def place(self) -> Place:
        """Where it stands in the history."""
        return Place(self.began_us, self.namespace, self.plan)

    @property
    def equal(self) -> bool:
        """Whether it found, or made, both homes equal. The sweep of a zombie counts in the crawl
        after it, which meets none: by then no home can show what was deleted for good."""
        zombies = self.tally.keys[Drift.ZOMBIE]
        return not (self.failure or self.stopped or self.tally.unhealed_keys or zombies)

    @property
    def quiet(self) -> bool:
        """Whether it tells no more than that both homes were equal, and nothing was done."""
        tally = self.tally
        done = tally.drifted or tally.repaired or tally.rows_removed or tally.objects_removed
        return self.equal and not (done or self.dry_run)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of the history that is asked for."""

    namespace: str = ""
    """Of all namespaces when it is empty."""
    since_us: int = 0
    limit: int = 50
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A breaker that is open, or that a person has closed for the next crawl."""

    namespace: str
    at_us: int
    changes: int
    why: str
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class RangeProgress:
    """A range that is being crawled."""

    namespace: str
    number: int
    ranges: int
    position: str
    """Everything up to this name was compared."""
    compared: int
    drifted: int


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A crawl that somebody asks for."""

    namespace: str = ""
    """"" for all of them."""
    deep_parts: int = 0
    dry_run: bool = False
    rebuild: Side | None = None
    """A home of which a person has confirmed that it lost its records: in this crawl, copies to it
    wait for nobody, however many there are."""
    requests_per_s: int = 0
    """At most so many requests a second, within the crawler's own limits; 0 for those alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a request."""

    id: str
    request: RunRequest
    ended: bool = False
    failure: str = ""
    """Why not everything was crawled."""
    crawls: tuple[Crawled, ...] = ()
    """Those that have ended so far."""


@dataclass(frozen=True, slots=True)
class CrawlerStatus:
    """A crawler at one moment."""

    crawler_id: str
    paused: bool
    doing: str
    """In words: what it does, or why it does nothing."""
    rounds: int
    crawls: int
    errors: int
    waited_s: float
    """How long its rates and its breath have made it wait."""
    ranges: tuple[RangeProgress, ...] = ()
    stops: tuple[Stop, ...] = ()
    latest: tuple[Crawled, ...] = ()
    """The last crawl of each namespace."""
    runs: tuple[Run, ...] = ()
    """The last ones that were asked for, the newest last."""
