"""Where the entries of shared memory lie, and who leaves when the space is used up.

    entries   key -> entry
    queue     place -> when seen, visits, key: exactly one for each entry; who leaves is at its head
    pinned    key -> nothing, for each pinned entry: the overlay of listings
    ending    until when, place -> keys: pins that end by themselves, those of one moment together

Five eighths of the map are filled; the rest is for pages that LMDB copies on write, and for those
that a reader still holds.
"""

import math
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

import lmdb

from kvgateway.state import layout
from kvgateway.state.entry import (
    DROPPED_BYTES,
    VISITS_BEFORE_DROP,
    Head,
    Verdict,
    crowded,
    verdict,
    visits_max,
)
from kvgateway.state.words import Word, Words

Transaction: TypeAlias = "lmdb.Transaction[bytes]"
_PLACE: Final = struct.Struct(">Q")
_ENDING: Final = struct.Struct(">QQ")
_QUEUED: Final = struct.Struct("=qB")
_VISITS_COUNTED: Final = 255
_FILLED: Final = 0.625
_PAGE_BYTES: Final = 4096
_ENTRY_BYTES: Final = 256
"""About what a write takes beside its payload."""
_UNCHECKED_BYTES_MAX: Final = 16 << 10
"""Room is looked for as often as this much is written: to forget 40 small entries takes a quarter
of a millisecond, while nobody is served."""
_ENDED_PER_TXN: Final = 8
_ENDING_TOGETHER: Final = 16
_LENGTH_BYTES: Final = 2


class Space:
    """The four tables. Every method is a part of the write transaction that it is given, which is
    about `entries` where no table is named."""

    def __init__(self, environment: lmdb.Environment, words: Words) -> None:
        self.entries = environment.open_db(b"entries")
        self.pinned = environment.open_db(b"pinned")
        self._queue = environment.open_db(b"queue")
        self._ending = environment.open_db(b"ending")
        self._words = words
        map_bytes = environment.info()["map_size"]
        self._bytes_max = int(map_bytes * _FILLED)
        self._unchecked_bytes_max = min(map_bytes // 256, _UNCHECKED_BYTES_MAX)
        self._unchecked_bytes = 0
        self._unchecked_writes = 0
        self.payload_bytes_max = map_bytes // 8
        """Of one transaction."""

    def put(self, txn: Transaction, where: bytes, entry: bytes, head: Head) -> None:
        """Writes the entry of a key that has none."""
        txn.put(where, entry)
        self._enqueue(txn, where, head.seen_at_us, 0)
        if head.until_us:
            txn.put(where, b"", db=self.pinned)

    def replace(self, txn: Transaction, where: bytes, entry: bytes, *, lasts_longer: bool) -> None:
        """Writes the entry of a key that has one, whose pin now ends later than before or not."""
        txn.put(where, entry)
        if lasts_longer:
            txn.put(where, b"", db=self.pinned)

    def end_pins_at(self, txn: Transaction, places: Sequence[bytes], until_us: int) -> None:
        """Has `end_pins` look at the pins of these keys when that time has come."""
        for at in range(0, len(places), _ENDING_TOGETHER):
            ending = _ENDING.pack(until_us, self._words.add(Word.NEXT_PLACE))
            txn.put(ending, _joined(places[at : at + _ENDING_TOGETHER]), db=self._ending)

    def end_pins(self, txn: Transaction, writes: int, now_us: int) -> None:
        """Takes pins that have ended out of the overlay, more at a time than are added."""
        left = _ENDED_PER_TXN + 2 * writes
        with txn.cursor(db=self._ending) as cursor:
            while left > 0 and cursor.first() and _ENDING.unpack(cursor.key())[0] <= now_us:
                places = _parted(cursor.value())
                cursor.delete()
                left -= len(places)
                for where in places:
                    entry = txn.get(where)
                    if entry is None or layout.pin_of(entry)[1] <= now_us:
                        txn.delete(where, db=self.pinned)

    def make_room(self, txn: Transaction, writes: int, size: int, now_us: int) -> bool:
        """Forgets entries until `size` bytes more may be written; False if some must do without."""
        self._unchecked_bytes += size + writes * _ENTRY_BYTES
        self._unchecked_writes += writes
        if self._unchecked_bytes < self._unchecked_bytes_max:
            return True
        visits = visits_max(self._unchecked_writes)
        excess = self._used_bytes(txn) + self._unchecked_bytes - self._bytes_max
        self._unchecked_bytes = self._unchecked_writes = 0
        if excess <= 0 or self._evict(txn, excess, visits, now_us):
            return True
        self._unchecked_bytes = self._unchecked_bytes_max
        excess = self._used_bytes(txn) + writes * _ENTRY_BYTES - self._bytes_max
        if excess > 0 and not self._evict(txn, excess, VISITS_BEFORE_DROP, now_us):
            may_drop = self._crowded(txn)
            self._evict(txn, DROPPED_BYTES, VISITS_BEFORE_DROP, now_us, may_drop=may_drop)
        return False

    def make_much_room(self, txn: Transaction, now_us: int) -> None:
        """Forgets an eighth: LMDB says that it is full, though it should not be."""
        entries = txn.stat(self.entries)["entries"]
        self._evict(txn, self._bytes_max // 8, entries, now_us, may_drop=self._crowded(txn))

    def wipe(self, txn: Transaction) -> None:
        """Forgets everything, writes that are under way, too."""
        for table in (self.entries, self._queue, self.pinned, self._ending):
            txn.drop(table, delete=False)
        self._words.add(Word.SPILLS)

    def _used_bytes(self, txn: Transaction) -> int:
        pages = 0
        for table in (self.entries, self._queue, self.pinned, self._ending):
            stat = txn.stat(table)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return pages * _PAGE_BYTES

    def _enqueue(self, txn: Transaction, where: bytes, seen_at_us: int, visits: int) -> None:
        place = _PLACE.pack(self._words.add(Word.NEXT_PLACE))
        queued = _QUEUED.pack(seen_at_us, min(visits, _VISITS_COUNTED)) + where
        txn.put(place, queued, db=self._queue, append=True)

    def _crowded(self, txn: Transaction) -> bool:
        return crowded(txn.stat(self.pinned)["entries"], txn.stat(self.entries)["entries"])

    def _evict(
        self, txn: Transaction, size: int, visits: int, now_us: int, *, may_drop: bool = False
    ) -> bool:
        """Whether `size` bytes were freed in so many visits."""
        freed = 0
        with txn.cursor(db=self._queue) as cursor:
            for _ in range(visits):
                if freed >= size or not cursor.first():
                    return freed >= size
                queued = cursor.value()
                cursor.delete()
                freed += self._visit(txn, queued, now_us, may_drop)
        return freed >= size

    def _visit(self, txn: Transaction, queued: bytes, now_us: int, may_drop: bool) -> int:
        """Decides on one entry that was taken from the queue; returns the bytes that it frees."""
        seen_at_us, visits = _QUEUED.unpack_from(queued)
        where = queued[_QUEUED.size :]
        entry = txn.get(where)
        assert entry is not None
        head = layout.head_of(entry)
        decided = verdict(
            head, now_us, queued_seen_at_us=seen_at_us, visits=visits, may_drop=may_drop
        )
        match decided:
            case Verdict.ROTATE:
                self._enqueue(txn, where, head.seen_at_us, visits + 1)
                return 0
            case Verdict.STRIP:
                bare = layout.stripped(entry)
                txn.put(where, bare)
                self._enqueue(txn, where, head.seen_at_us, visits + 1)
                return _stored_bytes(where, entry) - _stored_bytes(where, bare)
            case Verdict.EVICT | Verdict.DROP:
                txn.delete(where)
                if head.until_us:
                    txn.delete(where, db=self.pinned)
                if decided is Verdict.DROP:
                    self._words.add(Word.SPILLS)
                return _stored_bytes(where, entry)


def _joined(places: Sequence[bytes]) -> bytes:
    return b"".join([len(where).to_bytes(_LENGTH_BYTES) + where for where in places])


def _parted(joined: bytes) -> list[bytes]:
    places, at = list[bytes](), 0
    while at < len(joined):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(joined[at:start])
        places.append(joined[start:at])
    return places


def _stored_bytes(where: bytes, entry: bytes) -> int:
    """What an entry takes: a page's share when it is small, whole pages when it is large."""
    size = len(where) + len(entry)
    if size > _PAGE_BYTES // 2:
        return math.ceil((len(entry) + 16) / _PAGE_BYTES) * _PAGE_BYTES + 2 * len(where)
    return size + len(where) + 32
