"""What every engine's clusters decide in the same way: which write wins, what may go for good.

An engine brings what it holds and obeys the outcome. Where it decides in SQL, for speed, `IF_NEWER`
is the text, and the tests of both engines hold it against `verdict`.
"""

import enum
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from tandem.core.cluster_life import Floors
from tandem.core.envelope import digest_of, tells
from tandem.core.floors import RANGES_MAX, RangeFloors
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, is_namespace_id
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Kind, Record, is_live
from tandem.core.removal import PurgeRow, Removal, Span
from tandem.core.reply import Failed, Reason, Refusal, Refused, Stored, Superseded, WriteReply
from tandem.core.timeliness import untimely
from tandem.core.version import NO_VERSION, Version
from tandem.wire.storage_codec import LargePut, Put

STORED: Final = Stored(0)
ABOVE_ALL_NAMES: Final = b"\xff"
UNUSED_BLOB_LIFE_US: Final = 3_600_000_000
"""How long a blob is kept that no row names: a writer may still come, or a reader hold its name."""
REPLACED_BLOB_LIFE_FULL_US: Final = 120_000_000
"""How long one that was replaced is kept on a full disk: twice as long as a read may last."""
COLUMNS: Final = (
    "namespace, name, version, kind, expires_at_s, size, digest, blob, metadata, envelope"
)
REPLACE: Final = """
    version = excluded.version, kind = excluded.kind, expires_at_s = excluded.expires_at_s,
    size = excluded.size, digest = excluded.digest, blob = excluded.blob,
    metadata = excluded.metadata, envelope = excluded.envelope
"""
"""The columns of a row that another takes the place of, in SQL."""
IF_NEWER: Final = "(excluded.version, excluded.digest) > (record.version, record.digest)"
"""Which record wins, in SQL."""
_NO_FLOORS: Final = RangeFloors()


class LargeRow(NamedTuple):
    """A put whose envelope lies in `blob`, under a name entered into blob_pending before."""

    put: LargePut
    blob: str


class Held(NamedTuple):
    """The row that a write meets."""

    version: bytes
    digest: bytes
    whole: bool = True
    """False when its blob is gone, which makes it a missing record."""


class ReadRow(NamedTuple):
    """The columns of a row that is read."""

    envelope: bytes
    digest: bytes
    version: bytes
    size: int
    kind: int
    expires_at_s: int
    metadata: bytes


class Write(enum.Enum):
    """The row is to be written; whatever stands in its place goes."""

    ROW = "row"


def refusal(put: Put | LargePut, now_us: int, *, deleted: bool) -> Refusal | None:
    """Why this home will never take the write at its own time `now_us`; `deleted` tells whether
    its namespace is."""
    if deleted:
        return Refusal.DELETED_NAMESPACE
    read_at_us = put.heal_read_at_us or None
    return untimely(put.record.version, read_at_us, now_us, CLOCK_SKEW_MAX_US)


def verdict(put: Put | LargePut, held: Held | None, floor: Version) -> Write | WriteReply:
    """What becomes of a write that is not refused, where `held` stands and `floor` is in force.

    A row without its blob is a missing record: the put takes its place. The floor has no say then:
    it speaks of keys that have no row.
    """
    if held is None:
        return Write.ROW if put.record.version > floor else Refused(Refusal.FLOOR, 0)
    if not held.whole:
        return Write.ROW
    version, digest = put.record.version, put.record.digest
    if (version, digest) > (held.version, held.digest):
        return Write.ROW
    if put.over_corrupt and version == held.version:
        return Write.ROW
    if (version, digest) == (held.version, held.digest):
        return STORED
    return Superseded(Version.parse(held.version), 0)


def row_of(put: Put | LargePut, blob: str | None) -> tuple[bytes | str | int | None, ...]:
    """The values of `COLUMNS`."""
    record = put.record
    envelope, size = (
        (record.envelope, len(record.envelope))
        if isinstance(record, Record)
        else (None, record.size)
    )
    return (
        put.key.namespace, put.raw_name, record.version, record.kind, record.expires_at_s,
        size, record.digest, blob, record.metadata, envelope,
    )  # fmt: skip


def deleted_namespace(put: Put | LargePut) -> str | None:
    """The namespace that is deleted for ever once this put is stored, if any."""
    if put.key.namespace != SYSTEM_NAMESPACE or put.record.kind is not Kind.TOMBSTONE:
        return None
    namespace = put.key.name.removeprefix(NAMESPACE_RECORD)
    is_record = put.key.name.startswith(NAMESPACE_RECORD) and is_namespace_id(namespace)
    return namespace if is_record else None


def checked(envelope: bytes, digest: bytes) -> bytes | Failed:
    """The bytes, if they are those that were stored."""
    if digest_of(envelope) == digest:
        return envelope
    return Failed(Reason.CORRUPT, "the bytes do not match their digest")


def checked_row(row: ReadRow) -> bytes | Failed:
    """The bytes of a row, if they are those that were stored and the columns beside them say the
    same: listings and later writes go by the columns."""
    envelope, digest, version, size, kind, expires_at_s, metadata = row
    if len(envelope) == size and tells(envelope, version, kind, expires_at_s, metadata):
        return checked(envelope, digest)
    return Failed(Reason.CORRUPT, "the row is not what its envelope says")


def end_of(prefix: bytes) -> bytes:
    """The first name above every name that begins with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else ABOVE_ALL_NAMES


def floor_of(floors: Floors, namespace: str, name: bytes) -> Version:
    """The floor of the range that `name` lies in."""
    ranges = floors.get(namespace)
    return NO_VERSION if ranges is None else ranges.of(name)


class Raised(NamedTuple):
    """The floors of a namespace after a rise."""

    ranges: RangeFloors
    new: Sequence[tuple[bytes, Version]]
    """Starts and floors of the ranges that were not there before, or had another floor."""


def raised_floors(floors: Floors, span: Span, floor: Version) -> Raised | None:
    """The floors of the span's namespace, raised to `floor` within the span; None when a cluster
    that holds `floors` would have too many ranges then."""
    held = floors.get(span.namespace, _NO_FLOORS)
    raised = held.raised(span.raw_start, span.raw_end, floor)
    if sum(map(len, floors.values())) - len(held) + len(raised) > RANGES_MAX:
        return None
    return Raised(raised, sorted(set(raised) - set(held)))


def forgotten_ranges(held: Floors, past: Floors) -> Iterator[tuple[str, bytes, bytes, Version]]:
    """Namespace, start, end and floor of every range whose rows at or below the floor must go when
    a cluster that holds the floors `held` begins a life after one that had `past`."""
    for namespace, known in past.items():
        ranges = held.get(namespace, _NO_FLOORS).forgotten(known)
        ends = [*(start for start, _ in ranges), ABOVE_ALL_NAMES][1:]
        for (start, floor), end in zip(ranges, ends, strict=False):
            if floor > NO_VERSION:
                yield namespace, start, end, floor


class HeldRow(NamedTuple):
    """The row that is asked to go."""

    version: bytes
    digest: bytes
    kind: int
    expires_at_s: int


def purge_verdict(row: PurgeRow, held: HeldRow | None, floor: Version, now_us: int) -> Removal:
    """Whether the row may go for good: DONE when it may."""
    if held is None:
        return Removal.ABSENT
    if (held.version, held.digest) != (row.version, row.digest):
        return Removal.DIFFERENT
    if is_live(Kind(held.kind), held.expires_at_s, now_us / 1_000_000):
        return Removal.LIVE
    return Removal.ABOVE_FLOOR if row.version > floor else Removal.DONE
