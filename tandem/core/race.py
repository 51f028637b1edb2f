"""The two races as accumulators: fed with replies, they say when to answer and when to repair.

The process only sends, feeds and obeys (the shape of Riak's get and put cores). Nothing here waits
or knows the time; a reply in hand is never taken back, and the same object that answers the client
later says what to repair, because it saw every reply.

Reading ("wanted" is the highest version that the session or the machine's recent writes demand):

    first reply                   second reply              client sees                    repair
    record at or above wanted     (later) different         the first                      yes
    tombstone, expired: likewise  (later) different         not found                      yes
    missing                       record at/above wanted    the record                     yes
    missing                       missing                   not found                      no
    missing                       failed                    not found, unconfirmed; with
                                                            something wanted: give up      no
    below wanted                  at or above wanted        the second                     yes
    below wanted                  below, missing, failed    give up                        yes
    failed                        failed                    give up                        no

A miss is not an answer; a tombstone is. With something wanted, a miss is below it, except that a
miss in KVSP whose floor is at or above wanted counts as a tombstone at the floor. A home that is
*behind* never gives the first answer: its reply is looked at once the other home has failed, or is
itself below wanted; then the answer is marked stale.

Writing: a leg confirms when the home stored the record or holds a newer one, and, by that home's
clock, the version was neither too old nor too far ahead (`ACK_WINDOW_US`, the home's skew).

    policy            acknowledged when
    first             one leg has confirmed
    first+intent      one leg has confirmed and the intent is durable, or all legs have confirmed
    both              all legs have confirmed

An intent that cannot be made durable turns `first+intent` into `both`.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tandem.core.limits import ACK_WINDOW_US
from tandem.core.record import Kind, Record
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    ReadReply,
    Reason,
    Refused,
    Side,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import NO_VERSION, Version

BOTH_SIDES = (Side.KVSP, Side.S3)


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


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing can be answered; says what each home replied."""

    reasons: tuple[str, ...]


class ReadRace:
    """One read of one key over the homes in `sides`; `behind` is the home not to be trusted."""

    __slots__ = ("_behind", "_replies", "_sides", "_wanted", "answered")

    def __init__(
        self,
        wanted: Version = NO_VERSION,
        sides: tuple[Side, ...] = BOTH_SIDES,
        behind: Side | None = None,
    ) -> None:
        self._wanted = wanted
        self._sides = sides
        self._behind = behind
        self._replies: dict[Side, ReadReply] = {}
        self.answered = False

    def on_reply(self, side: Side, reply: ReadReply) -> Answer | GiveUp | None:
        """Takes one home's reply; returns what to tell the client, once, or None to wait on."""
        assert side not in self._replies
        self._replies[side] = reply
        if self.answered:
            return None
        outcome = self._decide()
        self.answered = outcome is not None
        return outcome

    def complete(self) -> bool:
        """Whether every home has replied."""
        return len(self._replies) == len(self._sides)

    def reply_of(self, side: Side) -> ReadReply | None:
        """What this home replied, if it has."""
        return self._replies.get(side)

    def _decide(self) -> Answer | GiveUp | None:
        trusted = [side for side in self._sides if side is not self._behind] or list(self._sides)
        for side, reply in self._replies.items():
            if side in trusted and self._satisfies(side, reply):
                return _answer(side, reply, stale=False)
        if any(side not in self._replies for side in trusted):
            return None
        if self._behind in self._sides and self._behind not in trusted:
            if not self._wanted and all(isinstance(self._replies[s], Missing) for s in trusted):
                return Answer(None)
            if self._behind not in self._replies:
                return None
            if self._satisfies(self._behind, self._replies[self._behind]):
                failed = any(isinstance(self._replies[s], Failed) for s in trusted)
                return _answer(self._behind, self._replies[self._behind], stale=failed)
        return self._settle()

    def _settle(self) -> Answer | GiveUp:
        """Every reply is in, and none of them has a record that will do."""
        replies = self._replies.values()
        if self._wanted == NO_VERSION and any(isinstance(r, Missing) for r in replies):
            failed = any(isinstance(r, Failed) for r in replies)
            return Answer(None, unconfirmed=failed, stale=failed and self._only_behind_missed())
        return GiveUp(tuple(f"{s.value}: {_describe(r)}" for s, r in self._replies.items()))

    def _only_behind_missed(self) -> bool:
        return all(s is self._behind for s, r in self._replies.items() if isinstance(r, Missing))

    def _satisfies(self, side: Side, reply: ReadReply) -> bool:
        match reply:
            case Found(record):
                return record.version >= self._wanted
            case Missing(_, floor):
                return side is Side.KVSP and NO_VERSION < self._wanted <= floor
            case Glimpsed() | Failed():
                return False

    def needs_repair(self) -> bool:
        """Whether the replies so far prove that the homes differ."""
        replies = self._replies
        if any(isinstance(r, Failed) and r.reason is Reason.CORRUPT for r in replies.values()):
            return True
        if any(self._below_wanted(side, reply) for side, reply in replies.items()):
            return True
        kvsp, s3 = replies.get(Side.KVSP), replies.get(Side.S3)
        if kvsp is None or s3 is None or isinstance(kvsp, Failed) or isinstance(s3, Failed):
            return False
        return not in_sync(kvsp, s3)

    def _below_wanted(self, side: Side, reply: ReadReply) -> bool:
        match reply:
            case Found(Record(version=version)) | Glimpsed(version):
                return version < self._wanted
            case Missing():
                return self._wanted > NO_VERSION and not self._satisfies(side, reply)
            case Failed():
                return False

    def corrupt(self) -> bool:
        """Whether both homes hold the same version with different bytes."""
        stamps = [_stamp(reply) for reply in self._replies.values()]
        if len(stamps) < 2 or None in stamps:
            return False
        (version_a, digest_a), (version_b, digest_b) = (s for s in stamps if s is not None)
        return version_a == version_b and digest_a != digest_b


def in_sync(kvsp: Found | Glimpsed | Missing, s3: Found | Glimpsed | Missing) -> bool:
    """Whether two replies show equal homes.

    A tombstone on S3 at or below the floor that SQL has dropped is retired, not drift (a store
    without conditional DELETE keeps it for ever).
    """
    if isinstance(kvsp, Missing) and isinstance(s3, Found):
        return s3.record.kind is Kind.TOMBSTONE and s3.record.version <= kvsp.floor
    return _stamp(kvsp) == _stamp(s3)


def _stamp(reply: ReadReply) -> tuple[Version, bytes] | None:
    match reply:
        case Found(record):
            return record.version, record.digest
        case Glimpsed(version, digest):
            return version, digest
        case Missing() | Failed():
            return None


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
        case Found() | Glimpsed():
            return "holds only an older version"


class AckPolicy(enum.Enum):
    """What must have happened before a write is acknowledged."""

    FIRST = "first"
    FIRST_INTENT = "first+intent"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Ack:
    """The write is acknowledged; `newest` is the version that overwrote it, if one did."""

    first: Side
    newest: Version | None = None


class WriteRace:
    """One write over the homes in `skew_max_us`, which says how far ahead of each home's clock
    a version may be for its confirmation to count."""

    __slots__ = ("_first", "_intent", "_newest", "_policy", "_replies", "_skew_max_us", "_version",
                 "answered")  # fmt: skip

    def __init__(
        self, version: Version, policy: AckPolicy, skew_max_us: Mapping[Side, int]
    ) -> None:
        self._version = version
        self._policy = policy
        self._skew_max_us = skew_max_us
        self._replies: dict[Side, WriteReply] = {}
        self._intent: bool | None = None
        self._first: Side | None = None
        self._newest: Version | None = None
        self.answered = False

    def on_leg(self, side: Side, reply: WriteReply) -> Ack | GiveUp | None:
        """Takes one home's reply; returns what to tell the client, once, or None to wait on."""
        assert side not in self._replies
        self._replies[side] = reply
        if self._first is None and self._counts(side, reply):
            self._first = side
        if isinstance(reply, Superseded) and (self._newest is None or reply.newest > self._newest):
            self._newest = reply.newest
        return self._outcome()

    def on_intent(self, durable: bool) -> Ack | GiveUp | None:
        """Takes the journal's answer: whether the intent is on stable storage."""
        assert self._intent is None
        self._intent = durable
        return self._outcome()

    def complete(self) -> bool:
        """Whether every leg has replied."""
        return len(self._replies) == len(self._skew_max_us)

    def unconfirmed(self) -> tuple[Side, ...]:
        """The homes that are not known to hold this version or a newer one."""
        return tuple(
            side
            for side in self._skew_max_us
            if not isinstance(self._replies.get(side), Stored | Superseded)
        )

    def _outcome(self) -> Ack | GiveUp | None:
        if self.answered:
            return None
        outcome = self._decide()
        self.answered = outcome is not None
        return outcome

    def _decide(self) -> Ack | GiveUp | None:
        confirmed = sum(self._counts(side, reply) for side, reply in self._replies.items())
        if self._first is not None:
            if confirmed == len(self._skew_max_us):
                return Ack(self._first, self._newest)
            if self._policy is AckPolicy.FIRST:
                return Ack(self._first, self._newest)
            if self._policy is AckPolicy.FIRST_INTENT and self._intent:
                return Ack(self._first, self._newest)
        if not self.complete():
            return None
        if self._first is not None and self._policy is AckPolicy.FIRST_INTENT:
            if self._intent is None:
                return None
            return GiveUp((*self._reasons(), "journal: the intent is not durable"))
        return GiveUp(self._reasons())

    def _reasons(self) -> tuple[str, ...]:
        return tuple(
            f"{side.value}: {self._why(side, reply)}" for side, reply in self._replies.items()
        )

    def _why(self, side: Side, reply: WriteReply) -> str:
        match reply:
            case Failed():
                return str(reply)
            case Refused(refusal):
                return f"refused: {refusal.value}"
            case Stored() | Superseded():
                return "confirmed" if self._counts(side, reply) else "confirmed out of time"

    def _counts(self, side: Side, reply: WriteReply) -> bool:
        if not isinstance(reply, Stored | Superseded):
            return False
        age_us = reply.home_time_us - self._version.time_us
        return -self._skew_max_us[side] <= age_us <= ACK_WINDOW_US
