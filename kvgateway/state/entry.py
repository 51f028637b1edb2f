"""How an entry of the machine's memory changes, whatever keeps it, and who has to leave.

An entry never goes back in version. Its pin has a version of its own: a write that finds a newer
version of another gateway still pins the entry, and its own confirmation is what ends the pin.
"""

import enum
from typing import Final, NamedTuple

from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.version import NO_VERSION, Version

UNTIL_CONFIRMED_US: Final = 2**63 - 1
PAYLOAD_BYTES_MAX: Final = 64 * 1024
"""Records with longer envelopes are remembered by version only."""

VISITS_BEFORE_DROP: Final = 1024
"""So many entries are searched for something else that may leave before pinned ones are dropped."""
DROPPED_BYTES: Final = 64 * 1024
"""About so much is dropped at once, so that the search is rare."""
_LANDED_US: Final = int(LEG_DEADLINE_S * 1e6)
_APART_US: Final = 2_000_000
"""By so much two processes of a machine may differ in what they take for the homes' time."""


class Head(NamedTuple):
    """An entry without its payload; versions are as they are stored, and compare so."""

    version: bytes
    """The highest version known; NO_VERSION for a miss."""
    pinned: bytes
    """The highest version entered by a write that `until_us` speaks of."""
    until_us: int
    """The entry is pinned until then; 0 when it never was."""
    seen_at_us: int
    digest: bytes
    """Of the payload that is kept with the entry; empty when none is."""


def installed(old: Head | None, version: Version, digest: bytes, now_us: int) -> Head:
    """The entry after a write; `digest` is empty when its payload is not to be kept."""
    if old is None or version > old.version:
        return Head(version, version, UNTIL_CONFIRMED_US, now_us, digest)
    waiting = old.until_us == UNTIL_CONFIRMED_US
    return Head(
        old.version,
        max(version, old.pinned) if waiting else version,
        UNTIL_CONFIRMED_US,
        max(now_us, old.seen_at_us) if version == old.version else old.seen_at_us,
        max(digest, old.digest) if version == old.version else old.digest,
    )


def pin_end(pinned: bytes, pinned_until_us: int, version: Version, until_us: int) -> int:
    """Until when an entry is pinned once both homes have confirmed `version`, given which version
    it was pinned by and until when. An end that is set stays: were it put off, reads that find the
    version nowhere, each of which has the key repaired, would keep it pinned for ever."""
    ends = version >= pinned and pinned_until_us == UNTIL_CONFIRMED_US
    return until_us if ends else pinned_until_us


def filled(old: Head | None, version: Version, digest: bytes, began_us: int) -> Head:
    """The entry after a read that began at `began_us` and found `version`."""
    if old is None:
        return Head(version, NO_VERSION, 0, began_us, digest)
    if version > old.version:
        return Head(version, old.pinned, old.until_us, began_us, digest)
    if version < old.version:
        return old
    return old._replace(seen_at_us=max(began_us, old.seen_at_us), digest=max(digest, old.digest))


def missed(old: Head | None, began_us: int) -> Head:
    """The entry after a read that found a miss in both homes; any known version voids that."""
    if old is None:
        return Head(NO_VERSION, NO_VERSION, 0, began_us, b"")
    if old.version > NO_VERSION:
        return old
    return old._replace(seen_at_us=max(began_us, old.seen_at_us))


def just_emptied(emptied_at_us: int, monotonic_us: int) -> bool:
    """Whether writes that were under way when memory was emptied, which nothing in it tells of any
    more, may still be: a leg that has ended by its deadline is confirmed, or in the queue. Both are
    times of the monotonic clock."""
    return monotonic_us - emptied_at_us < _LANDED_US


def seen_us(at_us: int, seen_at_us: int, emptied_us: int) -> int:
    """When what a read has found that began at `at_us`, or a write that was stamped then, counts as
    seen. It may be older than what memory knew until it was emptied: then long ago, so that nobody
    is answered by it alone."""
    return 0 if -_LANDED_US < at_us - emptied_us <= _APART_US else seen_at_us


class Verdict(enum.Enum):
    """What happens to the entry at the head of the queue when space is needed."""

    ROTATE = "to the tail"
    EVICT = "forgotten"
    STRIP = "loses its payload, then to the tail"
    DROP = "a pinned entry is forgotten"


def verdict(
    head: Head, now_us: int, *, queued_seen_at_us: int, visits: int, may_drop: bool
) -> Verdict:
    """First in, first out with a second chance for what was seen again since it was queued.

    Args:
        visits: how often it was met at the head before.
        may_drop: whether nothing else can leave.
    """
    if head.until_us <= now_us:
        return Verdict.ROTATE if head.seen_at_us != queued_seen_at_us else Verdict.EVICT
    if visits == 0:
        return Verdict.ROTATE
    if head.digest:
        return Verdict.STRIP
    return Verdict.DROP if may_drop else Verdict.ROTATE


def crowded(pinned: int, entries: int) -> bool:
    """Whether more than seven eighths of all entries are pinned."""
    return pinned * 8 > entries * 7


def visits_max(writes: int) -> int:
    """How many entries one transaction of so many writes may meet to make room."""
    return 32 + 16 * writes
