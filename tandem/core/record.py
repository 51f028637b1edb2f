"""What is stored under a key, and which of two records wins.

A record is always handled together with its envelope (`tandem.core.envelope`): the one byte form
that the writing gateway built and that both homes hold verbatim.
"""

import enum
from typing import NamedTuple

from tandem.core.version import Version


class Kind(enum.IntEnum):
    """What a record says of its key."""

    VALUE = 1
    TOMBSTONE = 2


class RecordHead(NamedTuple):
    """What is known of a record without its envelope; a field means what it means there."""

    version: Version
    kind: Kind
    expires_at_s: int
    metadata: bytes
    digest: bytes
    size: int
    """Of the envelope, in bytes."""


class Record(NamedTuple):
    """One version of one key. Two records are the same exactly if their envelopes are."""

    version: Version
    kind: Kind
    expires_at_s: int
    """Absolute time in seconds since the epoch; 0 for never."""
    metadata: bytes
    """JSON text as it was given; empty for none."""
    envelope: bytes
    digest: bytes
    """MD5 of the envelope: what an S3 listing shows as the ETag of a single PUT."""
    value_size: int
    """The value's length in bytes; it stands at the beginning of its envelope."""

    @property
    def value(self) -> bytes:
        """The value's bytes (a copy: send large ones from `envelope` and `value_size`)."""
        return self.envelope[: self.value_size]

    @property
    def head(self) -> RecordHead:
        """All but the envelope."""
        size = len(self.envelope)
        return RecordHead(
            self.version, self.kind, self.expires_at_s, self.metadata, self.digest, size
        )

    def live_at(self, now_s: float) -> bool:
        """Whether a reader at `now_s` sees a value."""
        return is_live(self.kind, self.expires_at_s, now_s)


class Stamp(NamedTuple):
    """Exactly one record: no two writes share it."""

    version: Version
    digest: bytes


def is_live(kind: Kind, expires_at_s: int, now_s: float) -> bool:
    """Whether a record is a value that has not expired; an expired one acts as a tombstone."""
    return kind is Kind.VALUE and (expires_at_s == 0 or now_s < expires_at_s)


def merge(a: Record, b: Record) -> Record:
    """The newer record; commutative, associative, idempotent.

    Equal versions with different bodies should not exist. The greater digest wins then, as it does
    for the crawler, which sees digests only, and counts it as corruption.
    """
    return a if (a.version, a.digest) >= (b.version, b.digest) else b
