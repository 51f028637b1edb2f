"""The machine's memory as plain dictionaries, for one process and for the simulator.

Same rules as in shared memory: `entry` decides on both. Its bound counts bytes roughly.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvgateway.state.entry import (
    DROPPED_BYTES,
    PAYLOAD_BYTES_MAX,
    VISITS_BEFORE_DROP,
    Head,
    Verdict,
    crowded,
    filled,
    installed,
    just_emptied,
    missed,
    pin_end,
    seen_us,
    verdict,
    visits_max,
)
from kvgateway.state.minting import GATEWAY_ID_BYTES, RANDOM_BYTES, minted
from kvgateway.state.ports import Intent, Known, Seen
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import Clock, SystemClock

_ENTRY_BYTES = 256
_SYSTEM_CLOCK = SystemClock()


@dataclass(slots=True)
class _Entry:
    head: Head
    record: Record | None
    queued_seen_at_us: int
    visits: int = 0

    def size(self) -> int:
        return _ENTRY_BYTES + (0 if self.record is None else len(self.record.envelope))


class MemoryMachine:
    """See `ports.Machine`."""

    def __init__(
        self,
        *,
        gateway_id: bytes,
        random: Callable[[int], bytes],
        clock_bound_us: int = 0,
        bytes_max: int = 256 * 1024 * 1024,
        payload_bytes_max: int = PAYLOAD_BYTES_MAX,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        assert len(gateway_id) == GATEWAY_ID_BYTES
        self._gateway_id = gateway_id
        self._random = random
        self._clock_bound_us = clock_bound_us
        self._bytes_max = bytes_max
        self._payload_bytes_max = payload_bytes_max
        self._clock = clock
        self._last_hlc = 0
        self._now_us = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        """In the order of the queue."""
        self._bytes = 0
        self._spills = 0
        self._spills_settled = 0
        self._left_over = 0
        self._emptied_us = self._emptied_at_us = 0
        self.no_room = False
        """Set: news are missed, as where a reader that hangs keeps all pages."""

    def mint(self, wanted: Sequence[tuple[Key, Version]], now_us: int) -> list[Version]:
        """See `ports.Machine`."""
        versions = minted(
            self._last_hlc,
            ((self._version(key), given) for key, given in wanted),
            now_us,
            bound_us=self._clock_bound_us,
            gateway_id=self._gateway_id,
            random=self._random(RANDOM_BYTES * len(wanted)),
        )
        if versions:
            self._last_hlc = versions[-1].hlc
        return versions

    def recall(self, key: Key, now_us: int) -> Known | None:
        """See `ports.Machine`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        head = entry.head
        return Known(Version(head.version), head.until_us > now_us, entry.record, head.seen_at_us)

    def lookup(self, keys: Sequence[Key], now_us: int) -> list[Known | None]:
        """See `ports.Machine`."""
        return [self.recall(key, now_us) for key in keys]

    def install(self, writes: Sequence[tuple[Key, Record]], now_us: int) -> None:
        """See `ports.Machine`."""
        self._now_us = max(now_us, self._now_us)
        for key, record in writes:
            kept = record if len(record.envelope) <= self._payload_bytes_max else None
            digest = b"" if kept is None else kept.digest
            seen_at_us = seen_us(record.version.time_us, now_us, self._emptied_us)
            head = installed(self._head(key), record.version, digest, seen_at_us)
            self._enter(key, head, kept)

    def pin(self, intents: Sequence[Intent]) -> None:
        """See `ports.Machine`."""
        for intent in intents:
            stamped_us = intent.version.time_us
            seen_at_us = seen_us(stamped_us, stamped_us, self._emptied_us)
            head = installed(self._head(intent.key), intent.version, b"", seen_at_us)
            self._enter(intent.key, head, None)

    def unpin(self, writes: Sequence[tuple[Key, Version]], until_us: int) -> None:
        """See `ports.Machine`."""
        for key, version in writes:
            old = self._head(key)
            if old is not None:
                ends_us = pin_end(old.pinned, old.until_us, version, until_us)
                self._enter(key, old._replace(until_us=ends_us), None)

    def fill(self, seen: Sequence[Seen], now_us: int) -> Sequence[Known | None]:
        """See `ports.Machine`."""
        self._now_us = max(now_us, self._now_us)
        known = []
        for key, record, asked_us in seen:
            began_us = seen_us(asked_us, asked_us, self._emptied_us)
            if record is None:
                self._enter(key, missed(self._head(key), began_us), None)
            else:
                kept = record if len(record.envelope) <= self._payload_bytes_max else None
                digest = b"" if kept is None else kept.digest
                self._enter(key, filled(self._head(key), record.version, digest, began_us), kept)
            known.append(self.recall(key, now_us))
        return known

    def recent(
        self, namespace: str, after: str, prefix: str, limit: int, now_us: int
    ) -> list[tuple[str, Known]]:
        """See `ports.Machine`."""
        names = sorted(
            key.name
            for key, entry in self._entries.items()
            if key.namespace == namespace
            and entry.head.until_us > now_us
            and key.name > after
            and key.name.startswith(prefix)
        )
        found = ((name, self.recall(Key(namespace, name), now_us)) for name in names[:limit])
        return [(name, known) for name, known in found if known is not None]

    def spilled(self) -> bool:
        """See `ports.Machine`."""
        return self._spills > self._spills_settled

    def misses_news(self) -> bool:
        """See `ports.Machine`."""
        at_us = self._emptied_at_us
        return self.no_room or (at_us > 0 and just_emptied(at_us, self._clock.monotonic_us()))

    def empty(self, now_us: int) -> None:
        """All is forgotten, recent writes, too: see `kvgateway.state.space.Space.wipe`."""
        self._entries.clear()
        self._bytes = 0
        self._spills += 1
        self._emptied_us = max(now_us, self.last_minted_us())
        self._emptied_at_us = self._clock.monotonic_us()

    def spills(self) -> int:
        """See `shared.SharedMachine`."""
        return self._spills

    def note_spill(self) -> None:
        """See `shared.SharedMachine`."""
        self._spills += 1

    def settle_spills(self, spills: int) -> None:
        """See `shared.SharedMachine`."""
        self._spills_settled = max(spills, self._spills_settled)

    def left_over(self) -> int:
        """See `ports.Machine`."""
        return self._left_over

    def note_left_over(self, intents: int) -> None:
        """See `shared.SharedMachine`."""
        self._left_over = intents

    def extend_clock(self, bound_us: int) -> None:
        """See `shared.SharedMachine`."""
        self._clock_bound_us = max(bound_us, self._clock_bound_us)

    def last_minted_us(self) -> int:
        """See `shared.SharedMachine`."""
        return Version.of(self._last_hlc, bytes(8)).time_us

    def _head(self, key: Key) -> Head | None:
        entry = self._entries.get(key)
        return None if entry is None else entry.head

    def _version(self, key: Key) -> bytes:
        entry = self._entries.get(key)
        return NO_VERSION if entry is None else entry.head.version

    def _enter(self, key: Key, head: Head, record: Record | None) -> None:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(head, record, head.seen_at_us)
        else:
            self._bytes -= entry.size()
            entry.head = head
            if record is not None and head.digest == record.digest:
                entry.record = record
            elif not head.digest:
                entry.record = None
        self._bytes += entry.size()
        if self._bytes > self._bytes_max:
            self._make_room(key)

    def _make_room(self, entered: Key) -> None:
        """Forgets entries, but never the one that was just entered; it may lose its payload."""
        if self._evict(self._bytes_max, visits_max(1), entered):
            return
        entry = self._entries[entered]
        self._bytes -= entry.size()
        self._strip(entry)
        self._bytes += entry.size()
        if not self._evict(self._bytes_max, VISITS_BEFORE_DROP, entered):
            pinned = sum(entry.head.until_us > self._now_us for entry in self._entries.values())
            may_drop = crowded(pinned, len(self._entries))
            self._evict(self._bytes_max - DROPPED_BYTES, VISITS_BEFORE_DROP, entered, may_drop)

    def _evict(self, down_to: int, visits: int, entered: Key, may_drop: bool = False) -> bool:
        for _ in range(visits):
            if self._bytes <= down_to:
                return True
            key, entry = self._entries.popitem(last=False)
            self._bytes -= entry.size()
            if key == entered or self._stays(entry, may_drop):
                self._entries[key] = entry
                self._bytes += entry.size()
        return self._bytes <= down_to

    def _strip(self, entry: _Entry) -> None:
        entry.head = entry.head._replace(digest=b"")
        entry.record = None

    def _stays(self, entry: _Entry, may_drop: bool) -> bool:
        decided = verdict(
            entry.head,
            self._now_us,
            queued_seen_at_us=entry.queued_seen_at_us,
            visits=entry.visits,
            may_drop=may_drop,
        )
        entry.visits += 1
        entry.queued_seen_at_us = entry.head.seen_at_us
        match decided:
            case Verdict.ROTATE:
                return True
            case Verdict.STRIP:
                self._strip(entry)
                return True
            case Verdict.EVICT:
                return False
            case Verdict.DROP:
                self._spills += 1
                return False
