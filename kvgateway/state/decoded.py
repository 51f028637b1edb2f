"""What a process has decoded lately, so that a hot entry costs a comparison and not a decoding."""

from typing import Final

from kvgateway.state import layout
from kvgateway.state.entry import UNTIL_CONFIRMED_US, Head
from kvgateway.state.ports import Known
from tandem.core.record import Record
from tandem.core.version import Version
from tandem.runtime.latest import Latest

_ENTRIES_MAX: Final = 8192
_BYTES_MAX: Final = 32 * 1024 * 1024


class Decoded:
    """The entries that were asked for lately."""

    def __init__(self) -> None:
        self._known = Latest[bytes, tuple[bytes, int, Known]](_ENTRIES_MAX, _BYTES_MAX)
        """By place: the head that was decoded, until when that holds, and what it says."""

    def known(self, where: bytes, entry: bytes, now_us: int) -> Known:
        """What `entry`, found under `where` just now, says."""
        cached = self._known.get(where)
        if cached is not None and entry.startswith(cached[0]) and now_us < cached[1]:
            return cached[2]
        known = decode(entry, now_us)
        valid_until_us = layout.head_of(entry).until_us if known.pinned else UNTIL_CONFIRMED_US
        decoded = layout.head_bytes(entry), valid_until_us, known
        self._known.keep(where, decoded, len(entry))
        return known


def decode(entry: bytes, now_us: int) -> Known:
    """What `entry` says."""
    head = layout.head_of(entry)
    return known_of(head, layout.record_of(entry, head), now_us)


def known_of(head: Head, record: Record | None, now_us: int) -> Known:
    """What an entry with this head says, and the record that is kept with it."""
    return Known(Version(head.version), head.until_us > now_us, record, head.seen_at_us)
