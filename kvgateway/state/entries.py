"""What a write transaction on shared memory does with the entries of keys; `entry` rules."""

from collections.abc import Iterable, Sequence
from typing import Final

from kvgateway.state import layout
from kvgateway.state.decoded import known_of
from kvgateway.state.entry import Head, filled, installed, missed, pin_end, seen_us
from kvgateway.state.ports import Intent, Known, Seen
from kvgateway.state.space import Space, Transaction
from kvgateway.state.words import Word, Words
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import Version


class Entries:
    """Every method is a part of the write transaction that it is given; see `ports.Machine`.

    Args:
        payload_bytes_max: of one entry.
    """

    def __init__(self, space: Space, words: Words, payload_bytes_max: int) -> None:
        self._space: Final = space
        self._words: Final = words
        self._payload_bytes_max: Final = payload_bytes_max

    def install(
        self,
        writes: Sequence[tuple[Key, Record]],
        now_us: int,
        txn: Transaction,
        payloads: bool,
    ) -> None:
        """Enters writes, pinned; with their payloads or without."""
        for (key, record), kept in zip(
            writes, self._kept([record for _, record in writes], payloads), strict=True
        ):
            where, entry, old = self._find(txn, key)
            digest = b"" if kept is None else kept.digest
            seen_at_us = self._seen_us(record.version.time_us, now_us)
            head = installed(old, record.version, digest, seen_at_us)
            self._enter(txn, key, where, entry, old, head, kept)

    def pin(self, intents: Sequence[Intent], txn: Transaction, _: bool) -> None:
        """Enters versions that are wanted."""
        for intent in intents:
            where, entry, old = self._find(txn, intent.key)
            stamped_us = intent.version.time_us
            head = installed(old, intent.version, b"", self._seen_us(stamped_us, stamped_us))
            self._enter(txn, intent.key, where, entry, old, head, None)

    def unpin(
        self, writes: Sequence[tuple[Key, Version]], until_us: int, txn: Transaction, _: bool
    ) -> None:
        """Has pins end then that both homes have confirmed."""
        ending = list[bytes]()
        for key, version in writes:
            where = layout.found_under(key)
            entry = txn.get(where)
            if entry is None:
                continue
            pinned, pinned_until_us = layout.pin_of(entry)
            ends_us = pin_end(pinned, pinned_until_us, version, until_us)
            if ends_us != pinned_until_us:
                entry = layout.pinned_until(entry, ends_us)
                self._space.replace(txn, where, entry, lasts_longer=False)
                ending.append(where)
        self._space.end_pins_at(txn, ending, until_us)

    def fill(
        self, seen: Sequence[Seen], now_us: int, txn: Transaction, payloads: bool
    ) -> list[Known | None]:
        """Caches what reads found; what is known of each key then."""
        return [
            self._fill_one(txn, one, kept, now_us)
            for one, kept in zip(
                seen, self._kept([one.record for one in seen], payloads), strict=True
            )
        ]

    def _fill_one(self, txn: Transaction, seen: Seen, kept: Record | None, now_us: int) -> Known:
        key, record, began_us = seen
        where, entry, old = self._find(txn, key)
        seen_at_us = self._seen_us(began_us, began_us)
        if record is None:
            head = missed(old, seen_at_us)
        else:
            head = filled(old, record.version, b"" if kept is None else kept.digest, seen_at_us)
        entry = self._enter(txn, key, where, entry, old, head, kept)
        mine = kept is not None and kept.digest == head.digest
        return known_of(head, kept if mine else layout.record_of(entry, head), now_us)

    def _kept(self, records: Iterable[Record | None], payloads: bool) -> list[Record | None]:
        """Each record whose payload one transaction has room for, in its place."""
        room = self._space.payload_bytes_max if payloads else 0
        kept: list[Record | None] = []
        for record in records:
            if record is None or len(record.envelope) > min(room, self._payload_bytes_max):
                kept.append(None)
            else:
                room -= len(record.envelope)
                kept.append(record)
        return kept

    def _seen_us(self, at_us: int, seen_at_us: int) -> int:
        return seen_us(at_us, seen_at_us, self._words[Word.EMPTIED_US])

    def _find(self, txn: Transaction, key: Key) -> tuple[bytes, bytes | None, Head | None]:
        where = layout.found_under(key)
        entry = txn.get(where)
        return where, entry, None if entry is None else layout.head_of(entry)

    def _enter(
        self,
        txn: Transaction,
        key: Key,
        where: bytes,
        entry: bytes | None,
        old: Head | None,
        head: Head,
        kept: Record | None,
    ) -> bytes:
        """Writes an entry if it has changed; returns it. The digest tells whose payload it has."""
        if entry is None or old is None:
            new = layout.pack(key, where, head, b"" if kept is None else kept.envelope)
            self._space.put(txn, where, new, head)
            return new
        if head == old:
            return entry
        if kept is not None and head.digest == kept.digest:
            payload = kept.envelope
        else:
            payload = layout.payload_of(entry) if head.digest else b""
        new = layout.pack(key, where, head, payload)
        lasts_longer = head.until_us > old.until_us
        self._space.replace(txn, where, new, lasts_longer=lasts_longer)
        return new
