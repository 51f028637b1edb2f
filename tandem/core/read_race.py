"""The race of a read as an accumulator: fed with replies, it says what to answer and to repair.

The process only sends, feeds and obeys (the shape of Riak's get and put cores). Nothing here waits
or knows the time; a reply in hand is never taken back, and the same object that answers the client
later says what to repair, because it saw every reply.

The table ("wanted" is the highest version that the session or the machine's recent writes demand):

    first reply                   second reply              client sees                    repair
    record at or above wanted     (later) different         the first                      yes
    tombstone, expired: likewise  (later) different         not found                      yes
    missing                       record at/above wanted    the record                     yes
    missing                       missing                   not found                      no
    missing                       failed                    not found, unconfirmed         no
    below wanted                  at or above wanted        the second                     yes
    below wanted                  below wanted, failed      give up                        yes
    failed                        failed                    give up                        no
    missing, floor at f           value on S3 up to f       not found (it is a zombie)     yes

A miss is not an answer; a tombstone is. With something wanted, a miss is below it, except that a
miss in KVSP whose floor is at or above wanted counts as a tombstone at the floor. A corrupt copy
counts as failed, and is to be repaired. A read of one home leaves its misses unconfirmed.

A home that is *behind* never gives the first answer. A miss in the other home is then the answer,
unconfirmed unless both miss. The home that is behind is asked only where the other one failed (the
answer is marked stale) or is below wanted (then both were compared, and nothing is stale). Where
both are behind, both are waited for, and the newer record is the answer: each acknowledged write is
in one of them. If only one replies, what it says is stale.

A home that is being *filled* has no say at all, not even in the place of one that fails: it may
hold what was deleted for good while it was left. It is asked for the sake of the comparison alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tandem.core.envelope import is_tombstone
from tandem.core.record import Kind, Record
from tandem.core.reply import (
    BOTH_SIDES,
    Failed,
    Found,
    GiveUp,
    Glimpsed,
    Missing,
    ReadReply,
    Reason,
    Side,
    stamp_of,
)
from tandem.core.version import NO_VERSION, Version

_READ = (Found, Glimpsed, Missing)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a read found: the record (which may be dead), or None for a miss."""

    record: Record | None
    side: Side | None = None
    """The home that it came from; None for a miss."""
    unconfirmed: bool = False
    """A miss that only one home has seen."""
    stale: bool = False
    """From a home that may lack newer writes."""


class ReadRace:
    """One read of one key over the homes in `sides`; those in `behind` are not to be trusted, and
    `filled` has no say.

    `sides` are those that the namespace is read from. A home that is merely switched off or down
    stays among them and replies `Failed`: otherwise a miss in the other would pass as confirmed.
    """

    __slots__ = (
        "_asked",
        "_behind",
        "_filled",
        "_last_resort",
        "_replies",
        "_said",
        "_sides",
        "_trusted",
        "_wanted",
        "answered",
    )

    def __init__(
        self,
        wanted: Version = NO_VERSION,
        sides: tuple[Side, ...] = BOTH_SIDES,
        behind: tuple[Side, ...] = (),
        filled: Side | None = None,
    ) -> None:
        self._wanted = wanted
        self._asked = len(sides)
        if filled is not None:
            sides = tuple(side for side in sides if side is not filled)
        self._filled = filled
        self._sides = sides
        self._behind = behind
        self._trusted = sides
        self._last_resort: Side | None = None
        if behind:
            trusted = tuple(side for side in sides if side not in behind)
            self._trusted = trusted if trusted or len(sides) > 1 else sides
            self._last_resort = next((side for side in sides if side not in self._trusted), None)
        self._replies: dict[Side, ReadReply] = {}
        self._said = self._replies if filled is None else {}
        """The replies of those who have a say."""
        self.answered = False

    def on_reply(self, side: Side, reply: ReadReply) -> Answer | GiveUp | None:
        """Takes one home's reply; returns what to tell the client, once, or None to wait on."""
        assert side not in self._replies
        self._replies[side] = reply
        if self.answered or side is self._filled:
            return None
        self._said[side] = reply
        outcome = self._decide()
        self.answered = outcome is not None
        return outcome

    def complete(self) -> bool:
        """Whether every home has replied."""
        return len(self._replies) == self._asked

    def over_both(self) -> bool:
        """Whether the race is over both homes."""
        return self._asked == len(BOTH_SIDES)

    def reply_of(self, side: Side) -> ReadReply | None:
        """What this home replied, if it has."""
        return self._replies.get(side)

    def _decide(self) -> Answer | GiveUp | None:
        replies = self._said
        if not self._trusted:
            return self._compare() if self.complete() else None
        for side in self._trusted:
            if side in replies and self._satisfies(side, replies[side]):
                return _answer(side, replies[side], stale=side in self._behind)
        if any(side not in replies for side in self._trusted):
            return None
        if self._last_resort is not None:
            return self._decide_with_last_resort(self._last_resort)
        return self._settle()

    def _decide_with_last_resort(self, behind: Side) -> Answer | GiveUp | None:
        """The other home has replied, but has no record that will do."""
        trusted, reply = self._said[behind.other], self._said.get(behind)
        if self._wanted == NO_VERSION and isinstance(trusted, Missing):
            return Answer(None, unconfirmed=not isinstance(reply, Missing))
        if reply is None:
            return None
        if self._satisfies(behind, reply):
            return _answer(behind, reply, stale=isinstance(trusted, Failed))
        return self._settle()

    def _compare(self) -> Answer | GiveUp:
        """Both homes are behind, and both have replied: the newest of what they know counts."""
        replies = self._said
        fit = [side for side in self._sides if self._satisfies(side, replies[side])]
        newest = max(fit, key=lambda side: _version(replies[side]), default=None)
        if newest is None:
            return self._settle()
        other = replies[newest.other]
        if isinstance(other, Glimpsed) and other.version > _version(replies[newest]):
            return self._settle()
        return _answer(newest, replies[newest], stale=isinstance(other, Failed))

    def _settle(self) -> Answer | GiveUp:
        """Every reply is in, and none of them has a record that will do."""
        replies = self._said
        missed = [side for side, reply in replies.items() if isinstance(reply, Missing)]
        glimpsed = any(isinstance(reply, Glimpsed) for reply in replies.values())
        if self._wanted == NO_VERSION and missed and not glimpsed:
            failed = any(isinstance(reply, Failed) for reply in replies.values())
            stale = (failed or len(replies) == 1) and missed[0] in self._behind
            return Answer(None, unconfirmed=failed or not self.over_both(), stale=stale)
        return GiveUp(tuple(f"{s.value}: {_describe(r)}" for s, r in replies.items()))

    def _satisfies(self, side: Side, reply: ReadReply) -> bool:
        match reply:
            case Found(record):
                return record.version >= self._wanted and not self._is_zombie(side, record)
            case Missing(_, floor):
                return side is Side.KVSP and NO_VERSION < self._wanted <= floor
            case Glimpsed() | Failed():
                return False

    def _is_zombie(self, side: Side, record: Record) -> bool:
        """Whether KVSP has said already that this value was deleted for good, and S3 alone does not
        know better."""
        if side is Side.KVSP or self._behind == (Side.KVSP,) or record.kind is Kind.TOMBSTONE:
            return False
        match self._said.get(Side.KVSP):
            case Missing(_, floor):
                return record.version <= floor
            case _:
                return False

    def newest_told(self, sides: Iterable[Side]) -> Record | None:
        """The newest record in the replies of these homes that a reader may be told."""
        replies = [(side, self._replies[side]) for side in sides if side in self._replies]
        fit = [
            reply.record
            for side, reply in replies
            if isinstance(reply, Found) and self._satisfies(side, reply)
        ]
        return max(fit, key=lambda record: (record.version, record.digest), default=None)

    def needs_repair(self) -> bool:
        """Whether the replies so far prove that the homes differ, or lack what is wanted."""
        kvsp, s3 = self._replies.get(Side.KVSP), self._replies.get(Side.S3)
        if self._wanted == NO_VERSION and isinstance(kvsp, Found) and isinstance(s3, Found):
            one, other = kvsp.record, s3.record  # as nearly every read
            return one.version != other.version or one.digest != other.digest
        replies = self._replies.values()
        if any(isinstance(r, Failed) and r.reason is Reason.CORRUPT for r in replies):
            return True
        if isinstance(kvsp, _READ) and isinstance(s3, _READ) and not in_sync(kvsp, s3):
            return True
        if isinstance(kvsp, Missing) and self._satisfies(Side.KVSP, kvsp):
            return False
        return any(self._is_below_wanted(reply) for reply in replies)

    def _is_below_wanted(self, reply: ReadReply) -> bool:
        match reply:
            case Found(Record(version=version)) | Glimpsed(version):
                return version < self._wanted
            case Missing():
                return self._wanted > NO_VERSION
            case Failed():
                return False

    def corrupt(self) -> bool:
        """Whether both homes hold the same version with different bytes."""
        stamps = [stamp_of(reply) for reply in self._replies.values()]
        if len(stamps) < 2 or None in stamps:
            return False
        one, other = (stamp for stamp in stamps if stamp is not None)
        return one.version == other.version and one.digest != other.digest


def in_sync(kvsp: Found | Glimpsed | Missing, s3: Found | Glimpsed | Missing) -> bool:
    """Whether two replies show equal homes.

    A tombstone on S3 at or below the floor that SQL has dropped is retired, not drift (a store
    without conditional DELETE keeps it for ever).
    """
    seen = stamp_of(s3)
    if isinstance(kvsp, Missing) and seen is not None and seen.version <= kvsp.floor:
        return is_tombstone(seen)
    return stamp_of(kvsp) == seen


def _version(reply: ReadReply) -> Version:
    """The version of a reply that satisfies; a miss is a tombstone at the floor."""
    match reply:
        case Found(record):
            return record.version
        case Missing(_, floor):
            return floor
        case Glimpsed() | Failed():
            return NO_VERSION


def _answer(side: Side, reply: ReadReply, *, stale: bool) -> Answer:
    match reply:
        case Found(record):
            return Answer(record, side, stale=stale)
        case _:
            return Answer(None, stale=stale)


def _describe(reply: ReadReply) -> str:
    match reply:
        case Failed():
            return str(reply)
        case Missing():
            return "misses a version that was written"
        case Found():
            return "holds only an older version"
        case Glimpsed():
            return "was not read to its end"
