"""What kind of difference a key shows, by what both homes answer when it is looked at again.

    KVSP              S3                    it is
    same bytes        same bytes            no drift
    corrupt, or       other bytes of        OTHER_BYTES: loud, somebody changed what was stored
      same version      the same version
    a record          nothing, or older     MISSING_IN_S3, OLDER_IN_S3
    nothing, or older a record above        MISSING_IN_KVSP, OLDER_IN_KVSP
                        the floor
    nothing           value at or below     ZOMBIE: deleted for good, and shown again
    nothing           tombstone at or below RETIRED: it has served and waits for the store
                        the floor
    an object that Tandem did not write     FOREIGN: reported, never touched
    no answer                               UNKNOWN: proves nothing, counts as no drift

A difference whose newest version is younger than `settle_us` by the homes' own clocks, and younger
than the crawl, is IN_FLIGHT.
EXPIRED is no difference: both homes hold what nobody can read any more.
"""

import enum
from typing import Final, NamedTuple

from tandem.core.record import Kind, Record
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side, is_unknown


class Drift(enum.Enum):
    """One class of difference between the homes."""

    MISSING_IN_S3 = "missing in s3"
    MISSING_IN_KVSP = "missing in kvsp"
    OLDER_IN_S3 = "older in s3"
    OLDER_IN_KVSP = "older in kvsp"
    OTHER_BYTES = "other bytes"
    ZOMBIE = "zombie"
    RETIRED = "retired tombstone"
    EXPIRED = "expired, not removed"
    IN_FLIGHT = "in flight"
    FOREIGN = "foreign object"
    UNKNOWN = "not known"

    __hash__ = object.__hash__


HEALABLE: Final = frozenset(
    {Drift.MISSING_IN_S3, Drift.MISSING_IN_KVSP, Drift.OLDER_IN_S3, Drift.OLDER_IN_KVSP,
     Drift.OTHER_BYTES}
)  # fmt: skip
"""What a heal makes equal again."""

REAL: Final = HEALABLE | {Drift.ZOMBIE}
"""What makes the homes differ for a reader: this is what counts as drift."""

LACKED: Final = {
    Side.KVSP: frozenset({Drift.MISSING_IN_KVSP, Drift.OLDER_IN_KVSP}),
    Side.S3: frozenset({Drift.MISSING_IN_S3, Drift.OLDER_IN_S3}),
}
"""What a home shows that has lost records, and what a copy to it repairs."""

_SETTLING: Final = HEALABLE - {Drift.OTHER_BYTES}
"""What a write in flight looks like."""


class Sighting(NamedTuple):
    """One key that is not the same in both homes."""

    drift: Drift
    bytes: int = 0
    """The length of the newest envelope: what a repair has to carry."""
    since_us: int = 0
    """The time of the newest version: the difference is at most as old."""
    seen_us: int = 0
    """The homes' time when it was seen."""
    why: str = ""
    """What the homes said instead of an answer, where that is all that there is to see."""


def sighting(kvsp: ReadReply, s3: ReadReply, *, settle_us: int, began_us: int) -> Sighting | None:
    """What both replies show; None when the homes hold the same.

    Args:
        began_us: the homes' time from which on writes are none of this crawl's.
    """
    for reply in (kvsp, s3):
        if isinstance(reply, Failed) and reply.reason is Reason.FOREIGN:
            return Sighting(Drift.FOREIGN, why=_said(kvsp, s3))
    if is_unknown(kvsp) or is_unknown(s3):
        return Sighting(Drift.UNKNOWN, why=_said(kvsp, s3))
    found = [reply.record for reply in (kvsp, s3) if isinstance(reply, Found)]
    now_us = min(kvsp.home_time_us, s3.home_time_us)
    if isinstance(kvsp, Failed) or isinstance(s3, Failed):
        return _seen(Drift.OTHER_BYTES, found, now_us)
    drift = _difference(kvsp, s3)
    if drift is None:
        return None
    seen = _seen(drift, found, now_us)
    young = now_us - seen.since_us < settle_us and seen.since_us > began_us
    return seen._replace(drift=Drift.IN_FLIGHT) if young and drift in _SETTLING else seen


def _difference(kvsp: ReadReply, s3: ReadReply) -> Drift | None:
    match kvsp, s3:
        case Found(one), Found(other):
            if one.digest == other.digest:
                return None
            if one.version == other.version:
                return Drift.OTHER_BYTES
            return Drift.OLDER_IN_S3 if one.version > other.version else Drift.OLDER_IN_KVSP
        case Found(), Missing():
            return Drift.MISSING_IN_S3
        case Missing(_, floor), Found(record):
            if record.version > floor:
                return Drift.MISSING_IN_KVSP
            return Drift.RETIRED if record.kind is Kind.TOMBSTONE else Drift.ZOMBIE
        case _:
            return None


def _seen(drift: Drift, found: list[Record], now_us: int) -> Sighting:
    if not found:
        return Sighting(drift, seen_us=now_us)
    newest = max(found, key=lambda record: record.version)
    return Sighting(drift, len(newest.envelope), newest.version.time_us, now_us)


def _said(kvsp: ReadReply, s3: ReadReply) -> str:
    replies = {Side.KVSP: kvsp, Side.S3: s3}
    failed = [f"{side.value}: {r}" for side, r in replies.items() if isinstance(r, Failed)]
    return "; ".join(failed) or "not read to its end"
