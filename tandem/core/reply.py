"""What a home can answer. A home that fails answers too: an outage is a value, not an exception.

Every reply of a living home carries its time (`home_time_us`, microseconds since the epoch, read
after the read or the commit), since only a home's own clock decides whether a write is in time.
"""

import enum
from dataclasses import dataclass

from tandem.core.record import Record, Stamp
from tandem.core.version import NO_VERSION, Version


class Side(enum.Enum):
    """One of the two homes; the embedded file home stands on the S3 side."""

    KVSP = "kvsp"
    S3 = "s3"

    # Enum's own hash is a Python function, and a write looks homes up some twenty times.
    __hash__ = object.__hash__

    @property
    def other(self) -> "Side":
        return Side.S3 if self is Side.KVSP else Side.KVSP


BOTH_SIDES = (Side.KVSP, Side.S3)


class Reason(enum.Enum):
    """Why a home gave no answer."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    ERROR = "error"
    CORRUPT = "corrupt"
    FOREIGN = "foreign"
    SWITCHED_OFF = "switched off"
    BREAKER_OPEN = "breaker open"
    OVERLOADED = "overloaded"
    NOT_STARTED = "not started"
    CONTENDED = "contended"


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer. A write that failed is ambiguous: it may have landed, or may land later."""

    reason: Reason
    detail: str = ""
    home_time_us: int = 0
    """The home's time where it did speak, as with a corrupt copy."""

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value


@dataclass(frozen=True, slots=True)
class Found:
    """The record that the home holds; it may be a tombstone or expired."""

    record: Record
    home_time_us: int


@dataclass(frozen=True, slots=True)
class Glimpsed:
    """What the headers say of a record whose body nobody needed any more."""

    version: Version
    digest: bytes
    home_time_us: int


@dataclass(frozen=True, slots=True)
class Missing:
    """The home holds nothing under the key; it accepts no insert at or below `floor`."""

    home_time_us: int
    floor: Version = NO_VERSION


ReadReply = Found | Glimpsed | Missing | Failed


def is_unknown(reply: ReadReply) -> bool:
    """Whether what the home holds is still not known; a corrupt copy is known to be one."""
    match reply:
        case Failed(reason):
            return reason is not Reason.CORRUPT
        case Glimpsed():
            return True
        case Found() | Missing():
            return False


def stamp_of(reply: ReadReply) -> Stamp | None:
    """Which record a home has shown; None without one."""
    match reply:
        case Found(record):
            return Stamp(record.version, record.digest)
        case Glimpsed(version, digest):
            return Stamp(version, digest)
        case Missing() | Failed():
            return None


@dataclass(frozen=True, slots=True)
class Stored:
    """The home now holds exactly this record (also when it did before: retries are harmless)."""

    home_time_us: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """The home holds a newer version: a success, as if overwritten at once."""

    newest: Version
    home_time_us: int


class Refusal(enum.Enum):
    """Why a home will never take this write."""

    FLOOR = "at or below the floor of its range"
    LATE = "older than the home accepts"
    FUTURE = "ahead of the home's clock"
    DELETED_NAMESPACE = "the namespace is deleted"


@dataclass(frozen=True, slots=True)
class Refused:
    """The home did not and will not take this write."""

    refusal: Refusal
    home_time_us: int
    """0 where the home was not asked: the write was too late, or too early, by its time as it was
    known."""

    def __str__(self) -> str:
        return f"refused: {self.refusal.value}"


WriteReply = Stored | Superseded | Refused | Failed


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing can be answered; says what each home replied."""

    reasons: tuple[str, ...]
