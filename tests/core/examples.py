"""Records by number, and every reply that a home can give about them.

Number 0 stands for NO_VERSION, a greater number for a later version. What a home says is kept apart
from the reply that carries it, so that an oracle can reason about it in numbers and words.
"""

import enum
from collections.abc import Iterator
from typing import NamedTuple

from tandem.core.envelope import seal, seal_tombstone
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply, Reason
from tandem.core.version import NO_VERSION, Version

HOME_TIME_US = 1_700_000_000_000_000


class Said(enum.Enum):
    """What a reply says of a key."""

    VALUE = "value"
    OTHER_VALUE = "value with other bytes"
    EXPIRED = "expired value"
    TOMBSTONE = "tombstone"
    GLIMPSED_VALUE = "glimpse of a value"
    GLIMPSED_TOMBSTONE = "glimpse of a tombstone"
    MISSING = "missing, floor at"
    FAILED = "failed"
    CORRUPT = "corrupt"


VALUES = (Said.VALUE, Said.OTHER_VALUE, Said.EXPIRED)
GLIMPSES = (Said.GLIMPSED_VALUE, Said.GLIMPSED_TOMBSTONE)


class Saying(NamedTuple):
    """What a home says, and the number of the version, or of the floor, that it speaks of."""

    said: Said
    number: int = 0

    def reply(self) -> ReadReply:
        """The reply that says it."""
        match self.said:
            case Said.VALUE | Said.OTHER_VALUE | Said.EXPIRED | Said.TOMBSTONE:
                return Found(record(self), HOME_TIME_US)
            case Said.GLIMPSED_VALUE:
                return _glimpse(Saying(Said.VALUE, self.number))
            case Said.GLIMPSED_TOMBSTONE:
                return _glimpse(Saying(Said.TOMBSTONE, self.number))
            case Said.MISSING:
                return Missing(HOME_TIME_US, version(self.number))
            case Said.FAILED:
                return Failed(Reason.TIMEOUT)
            case Said.CORRUPT:
                return Failed(Reason.CORRUPT, home_time_us=HOME_TIME_US)

    def __str__(self) -> str:
        return f"{self.said.value} {self.number}" if self.number else self.said.value


def version(number: int) -> Version:
    """The version with this number."""
    return Version.at(HOME_TIME_US + number) if number else NO_VERSION


def record(saying: Saying) -> Record:
    """The record that the saying speaks of."""
    at = version(saying.number)
    match saying.said:
        case Said.VALUE:
            return seal(at, b"value", metadata=b"{}")
        case Said.OTHER_VALUE:
            return seal(at, b"other", metadata=b"{}")
        case Said.EXPIRED:
            return seal(at, b"value", expires_at_s=1)
        case Said.TOMBSTONE:
            return seal_tombstone(at)
        case _:
            raise ValueError(f"{saying} has no record")


def sayings(*, floors: bool, numbers: tuple[int, ...] = (1, 2, 3)) -> Iterator[Saying]:
    """Everything that a home can say about versions with these numbers; only KVSP has floors."""
    for number in numbers:
        for said in (*VALUES, Said.TOMBSTONE, *GLIMPSES):
            yield Saying(said, number)
        if floors:
            yield Saying(Said.MISSING, number)
    yield Saying(Said.MISSING)
    yield Saying(Said.FAILED)
    yield Saying(Said.CORRUPT)


def _glimpse(saying: Saying) -> Glimpsed:
    whole = record(saying)
    return Glimpsed(whole.version, whole.digest, HOME_TIME_US)
