"""What may be deleted for good: which floor may rise, which records may go, what is a zombie.

"Remove it once both homes have it" is not safe, even with all writes conditional: a late older
request brings the key back. So a dead record goes only on the evidence of a whole crawl:

    a dead record may go when                                      or else
    the crawl saw all, of a range that was not dirty               an acknowledged write is lost
    every record at or below it was equal in both homes            an acknowledged write is lost
    the crawl began after the ack window of it had closed          an acknowledged write is lost
    it has been dead for longer than any request may live          a late copy brings it back
    no cluster was wiped or restored meanwhile                     an acknowledged write is lost
    the floor of its range has risen to it first                   a late copy brings it back

(`tests/core/test_collect_model.py` leaves each of them out.)

Where a namespace is kept in KVSP alone, KVSP has confirmed all that was acknowledged, and by its
floor it takes nothing back: nothing need be equal. What S3 still holds has been left to grow old,
and comes to light when the namespace is brought back to both homes. So more is asked for:

    the mode was the same before the crawl and after it            an acknowledged write is lost
    S3 answers again only after a crawl that has met no zombie     a deleted key is back
    the mirrors take over the floors after such a crawl            a restored cluster brings it back
    and not before                                                 a restored cluster brings it back

(`tests/core/test_alone_model.py` leaves out these.)

A tombstone is dead from its version on, an expired record from `expires_at`. Each home dropping
expired records by itself is not safe either: an older record without expiry shows through.

What is left on S3 at or below the floor and absent in SQL is a *zombie* if it is a value, and
*retired* if it is a tombstone. Never the other way round: absence on S3 is never evidence, since S3
takes late requests that SQL refuses, and may have been emptied.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tandem.core.envelope import is_tombstone, seal_tombstone
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.limits import ACK_WINDOW_US, WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.record import Kind, Record, Stamp
from tandem.core.removal import Span
from tandem.core.reply import Found, Missing, ReadReply, stamp_of
from tandem.core.version import NO_VERSION, Version

REQUEST_LIFE_S_MAX: Final = 7200
"""No request lives as long: a leg lands within 30 s + 15 min of its version, a heal within
1 + 15 min of the read that it rests on, and that read ends within a deadline of its version."""


class Homes(enum.Enum):
    """Which homes the namespace is kept in."""

    BOTH = "both"
    KVSP = "kvsp"
    """KVSP alone: there is nothing to compare, so equality is not asked for."""
    S3 = "s3"
    """S3 alone: nothing is collected, as no floor keeps late requests out."""


@dataclass(frozen=True, slots=True)
class CollectRule:
    """How old a dead record must be."""

    tombstone_grace_s: int = 86_400
    ack_window_us: int = ACK_WINDOW_US
    clock_skew_max_us: int = WHOLE_SECOND_CLOCK_SKEW_MAX_US
    settle_us: int = 2_000_000
    request_life_s: int = REQUEST_LIFE_S_MAX
    """No request lives as long; less only over a store that refuses younger signatures."""

    def __post_init__(self) -> None:
        assert self.tombstone_grace_s > self.request_life_s, (
            "a late request could outlive the grace"
        )

    @property
    def unsettled_us(self) -> int:
        """For so long after its version a write may still be acknowledged by some home."""
        return self.ack_window_us + 2 * self.clock_skew_max_us + self.settle_us


@dataclass(frozen=True, slots=True)
class CrawlSeen:
    """What one crawl of one range saw. Times are the smaller one of both homes' clocks, or those of
    the only home."""

    span: Span
    began_us: int
    """Before the first page of either home was asked for."""
    ended_us: int
    whole: bool
    """Whether both homes listed all of the range."""
    equal_through: Version
    """Every record at or below it was the same in both homes (or was made so), and none skipped."""
    dirty: bool
    """Whether some gateway has given up to say which keys of the range it could not write."""
    healthy: bool
    """Whether both homes answered throughout, with no home switched off."""
    incarnations_begun: Mapping[str, str] = field(default_factory=dict)
    """Of every cluster of KVSP by its name, before the first page."""
    incarnations_ended: Mapping[str, str] = field(default_factory=dict)
    """The same after the last."""
    stepped: bool = False
    """Whether the namespace's mode was another one before the first page than after the last."""


class DeadRecord(NamedTuple):
    """A tombstone, or a value that had expired when the crawl saw it."""

    name: str
    version: Version
    digest: bytes
    expires_at_s: int = 0
    """0 for a tombstone."""

    @property
    def dead_since_us(self) -> int:
        """From when on no reader saw a value, in microseconds since the epoch."""
        return max(self.version.time_us, self.expires_at_s * 1_000_000)

    @property
    def floor(self) -> Version:
        """The floor that lets it go: no value ever has just this version, so that a tombstone of it
        can take the place of any value below."""
        return self.version.successor() if self.expires_at_s else self.version


@dataclass(frozen=True, slots=True)
class Collection:
    """What may be done, in this order: raise, mirror, purge rows, then objects."""

    span: Span
    dead: tuple[DeadRecord, ...]
    """May leave SQL, and then S3 in the way that the store allows."""
    incarnations: Mapping[str, str]
    """The clusters that the evidence is about."""

    @property
    def floor(self) -> Version:
        """The floor that the range may rise to; parts that have a higher one keep it."""
        return max((one.floor for one in self.dead), default=NO_VERSION)


class Withheld(enum.Enum):
    """Why nothing may be collected."""

    RESERVED = "a reserved namespace: its tombstones are kept for ever"
    S3_ALONE = "the namespace is kept on S3 alone"
    NOT_WHOLE = "the crawl did not see all of the range"
    DIRTY = "the range is dirty: some writes to it are not known by name"
    UNHEALTHY = "a home was down or switched off during the crawl"
    OTHER_INCARNATION = "a cluster was wiped or restored during the crawl"
    STEPPED = "the mode of the namespace changed during the crawl, or is not known any more"


def collection(
    seen: CrawlSeen, dead: Iterable[DeadRecord], rule: CollectRule, homes: Homes = Homes.BOTH
) -> Collection | Withheld:
    """What a completed crawl allows to collect; `dead` are the dead records that it saw in SQL."""
    withheld = _objection(seen, homes) or (Withheld.DIRTY if seen.dirty else None)
    if withheld is not None:
        return withheld
    may_go = tuple(one for one in dead if _may_go(one, seen, rule, homes))
    return Collection(seen.span, may_go, seen.incarnations_ended)


def _objection(seen: CrawlSeen, homes: Homes) -> Withheld | None:
    if seen.span.namespace in RESERVED_NAMESPACES:
        return Withheld.RESERVED
    if homes is Homes.S3:
        return Withheld.S3_ALONE
    if not seen.whole:
        return Withheld.NOT_WHOLE
    if not seen.healthy:
        return Withheld.UNHEALTHY
    if not seen.incarnations_ended or seen.incarnations_begun != seen.incarnations_ended:
        return Withheld.OTHER_INCARNATION
    if seen.stepped:
        return Withheld.STEPPED
    return None


def _may_go(one: DeadRecord, seen: CrawlSeen, rule: CollectRule, homes: Homes) -> bool:
    if not seen.span.holds(one.name):
        return False
    if homes is Homes.BOTH and one.version > seen.equal_through:
        return False
    if seen.began_us <= one.version.time_us + rule.unsettled_us:
        return False
    return seen.ended_us - one.dead_since_us > rule.tombstone_grace_s * 1_000_000


def may_sweep(seen: CrawlSeen) -> Withheld | None:
    """Why objects of the range must not be swept; None when they may.

    Equality is not needed: a floor has risen only after a crawl of this incarnation that found it.
    """
    return _objection(seen, Homes.BOTH)


class Remains(enum.Enum):
    """What an object on S3 is that SQL has dropped below its floor."""

    ZOMBIE = "a value that was deleted for good"
    RETIRED = "a tombstone that has served"


def remains(kvsp: ReadReply, s3: ReadReply) -> Remains | None:
    """What an object is by both homes' replies; None for one that is not to be swept.

    Whatever KVSP says but a miss with a floor, a failure above all, proves nothing.
    """
    stamp = stamp_of(s3)
    if not isinstance(kvsp, Missing) or stamp is None or stamp.version > kvsp.floor:
        return None
    return Remains.RETIRED if is_tombstone(stamp) else Remains.ZOMBIE


def gravestone(zombie: Stamp, floor: Version) -> Record:
    """The tombstone that takes the place of a value at or below `floor`: its version is the floor,
    so it is retired at once. Two records must not share a version, though."""
    return seal_tombstone(floor if zombie.version < floor else zombie.version.successor())


def namespace_may_go(kvsp: ReadReply, s3: ReadReply, now_us: int, rule: CollectRule) -> bool:
    """Whether all that a namespace held may be removed, by what both homes show of its record.

    `now_us` is the smaller one of their clocks. The tombstone itself stays for ever.
    """
    match kvsp, s3:
        case Found(one), Found(other) if one == other and one.kind is Kind.TOMBSTONE:
            return now_us - one.version.time_us > rule.tombstone_grace_s * 1_000_000
        case _:
            return False
