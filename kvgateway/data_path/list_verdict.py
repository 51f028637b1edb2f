"""What becomes of one name of a listing, from what the homes list and what this machine wrote.

A listing on S3 shows digests and sizes alone, and the embedded file's shows neither expiration nor
metadata, so a name can be in doubt; then only a read decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kvgateway.state.ports import Known
from tandem.core.envelope import TOMBSTONE_BYTES
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Kind, Record, is_live
from tandem.core.request import ListedName
from tandem.core.scan_diff import Entry
from tandem.core.version import NO_VERSION, Version


@dataclass(frozen=True, slots=True)
class Dead:
    """No reader sees a value under the name."""

    name: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """Only a read that finds nothing older than `wanted` can tell."""

    name: str
    wanted: Version
    digest: bytes | None
    """Of the one copy that the homes list; with it, a record in hand is known to be current."""
    size: int
    """The length of what would be read, at most, in bytes."""


Verdict = ListedName | Dead | Doubt


def judge(name: str, listed: Sequence[Entry], pinned: Known | None, now_s: float) -> Verdict:
    """The verdict on a name that the homes list so, and that this machine may have written lately.

    Entries with a version are compared by it. One that has none says nothing unless its digest is
    that of the newest, or its size that of a tombstone and nothing else is known.
    """
    if pinned is None and len(listed) == 1 and _tells_all(listed[0]):
        return verdict_on(listed[0], now_s)  # nearly every name, so it comes first
    wanted = NO_VERSION if pinned is None else pinned.version
    known = [entry for entry in listed if entry.version is not None]
    if pinned is not None and pinned.record is not None:
        known.append(entry_of(name, pinned.record))
    newest = max(known, key=_rank, default=None)
    digests = {entry.digest for entry in listed if entry.version is None}
    if newest is not None and _rank(newest)[0] >= wanted and digests <= {newest.digest}:
        if _tells_all(newest):
            return verdict_on(newest, now_s)
        return Doubt(name, _rank(newest)[0], newest.digest, newest.size)
    sizes = [entry.size for entry in listed]
    listed_only = not known and wanted == NO_VERSION
    if listed_only and all(size == TOMBSTONE_BYTES for size in sizes):
        return Dead(name)
    digest = digests.pop() if listed_only and len(digests) == 1 else None
    return Doubt(name, wanted, digest, max(sizes, default=VALUE_BYTES_MAX))


def verdict_on(entry: Entry, now_s: float) -> ListedName | Dead:
    """The verdict on an entry that has every field."""
    assert entry.kind is not None
    expires_at_s = entry.expires_at_s or 0
    if is_live(entry.kind, expires_at_s, now_s):
        return ListedName(entry.name, expires_at_s, entry.metadata or b"")
    return Dead(entry.name)


def entry_of(name: str, record: Record) -> Entry:
    """The record as a home with every field would list it."""
    return Entry(
        name,
        record.digest,
        len(record.envelope),
        record.version,
        record.kind,
        record.expires_at_s,
        record.metadata,
    )


def _tells_all(entry: Entry) -> bool:
    """Whether the entry alone says what a listing shows of the name."""
    if entry.version is None:
        return False
    return entry.kind is Kind.TOMBSTONE or entry.metadata is not None


def _rank(entry: Entry) -> tuple[Version, bytes, bool]:
    assert entry.version is not None
    return entry.version, entry.digest, _tells_all(entry)
