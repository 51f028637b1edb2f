"""The machine's memory for several worker processes: LMDB in shared memory.

LMDB's one writer at a time is the lock of all that is decided here, and a robust one: when a
process dies inside a transaction, the next one goes on without what it had not committed. Nothing
is synced: the memory is made afresh at each start of the gateway.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kvgateway.state import layout
from kvgateway.state.decoded import Decoded, decode, known_of
from kvgateway.state.entry import PAYLOAD_BYTES_MAX, Head, filled, installed, missed, pin_end
from kvgateway.state.minting import GATEWAY_ID_BYTES, RANDOM_BYTES, minted
from kvgateway.state.ports import Intent, Known, Seen
from kvgateway.state.space import Space, Transaction
from kvgateway.state.unsynced import open_reserved, reserve
from kvgateway.state.words import Word, Words
from kvgateway.state.writing import Writing
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, Version

_MAP_BYTES_MIN: Final = 1024 * 1024


def create(directory: Path, map_bytes: int) -> None:
    """Makes the memory in an empty directory and reserves its space, so that it cannot run out.

    Raises OSError when there is less.
    """
    assert map_bytes >= _MAP_BYTES_MIN
    Words.create(directory / "words")
    reserve(directory, map_bytes)


class SharedMachine:
    """One process's view of the memory that `create` has made; see `ports.Machine`."""

    def __init__(
        self,
        directory: Path,
        *,
        gateway_id: bytes,
        random: Callable[[int], bytes],
        payload_bytes_max: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        assert len(gateway_id) == GATEWAY_ID_BYTES
        self._gateway_id = gateway_id
        self._random = random
        self._payload_bytes_max = payload_bytes_max
        self._now_us = 0
        self._decoded = Decoded()
        self._words = Words(directory / "words")
        self._environment = open_reserved(directory)
        self._environment.reader_check()
        self._space = Space(self._environment, self._words)
        self._writing = Writing(self._environment, self._space, self._words)
        self._entries = self._space.entries

    def mint(self, wanted: Sequence[tuple[Key, Version]], now_us: int) -> list[Version]:
        """See `ports.Machine`."""
        places = [layout.found_under(key) for key, _ in wanted]
        random = self._random(RANDOM_BYTES * len(wanted))
        with self._environment.begin(self._entries, write=True) as txn:
            entries = [txn.get(where) for where in places]
            versions = minted(
                self._words[Word.LAST_HLC],
                [
                    (NO_VERSION if entry is None else layout.version_of(entry), given)
                    for entry, (_, given) in zip(entries, wanted, strict=True)
                ],
                now_us,
                bound_us=self._words[Word.CLOCK_BOUND_US],
                gateway_id=self._gateway_id,
                random=random,
            )
            if versions:
                self._words[Word.LAST_HLC] = versions[-1].hlc
        return versions

    def recall(self, key: Key, now_us: int) -> Known | None:
        """See `ports.Machine`."""
        if self._writing.behind:
            return None
        where = layout.found_under(key)
        with self._environment.begin(self._entries) as txn:
            entry = txn.get(where)
        return None if entry is None else self._decoded.known(where, entry, now_us)

    def lookup(self, keys: Sequence[Key], now_us: int) -> list[Known | None]:
        """See `ports.Machine`."""
        if self._writing.behind:
            return [None] * len(keys)
        known = self._decoded.known
        found: list[Known | None] = []
        with self._environment.begin(self._entries) as txn:
            for key in keys:
                where = layout.found_under(key)
                entry = txn.get(where)
                found.append(None if entry is None else known(where, entry, now_us))
        return found

    def install(self, writes: Sequence[tuple[Key, Record]], now_us: int) -> None:
        """See `ports.Machine`."""
        self._now_us = max(now_us, self._now_us)
        size = sum([len(record.envelope) for _, record in writes])
        self._writing.run(partial(self._install, writes, now_us), len(writes), size, self._now_us)

    def _install(
        self,
        writes: Sequence[tuple[Key, Record]],
        now_us: int,
        txn: Transaction,
        payloads: bool,
    ) -> None:
        for (key, record), kept in zip(
            writes, self._kept([record for _, record in writes], payloads), strict=True
        ):
            where, entry, old = self._find(txn, key)
            digest = b"" if kept is None else kept.digest
            head = installed(old, record.version, digest, now_us)
            self._enter(txn, key, where, entry, old, head, kept)

    def pin(self, intents: Sequence[Intent]) -> None:
        """See `ports.Machine`."""
        self._writing.run(partial(self._pin, intents), len(intents), 0, self._now_us)

    def _pin(self, intents: Sequence[Intent], txn: Transaction, _: bool) -> None:
        for intent in intents:
            where, entry, old = self._find(txn, intent.key)
            head = installed(old, intent.version, b"", intent.version.time_us)
            self._enter(txn, intent.key, where, entry, old, head, None)

    def unpin(self, writes: Sequence[tuple[Key, Version]], until_us: int) -> None:
        """See `ports.Machine`."""
        unpin = partial(self._unpin, writes, until_us)
        self._writing.run(unpin, len(writes), 0, self._now_us)

    def _unpin(
        self, writes: Sequence[tuple[Key, Version]], until_us: int, txn: Transaction, _: bool
    ) -> None:
        ending = []
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

    def fill(self, seen: Sequence[Seen], now_us: int) -> Sequence[Known | None]:
        """See `ports.Machine`."""
        self._now_us = max(now_us, self._now_us)
        size = sum([len(record.envelope) for _, record, _ in seen if record is not None])
        fill = partial(self._fill, seen, now_us)
        filled = self._writing.run(fill, len(seen), size, self._now_us)
        return [None] * len(seen) if filled is None else filled

    def _fill(
        self, seen: Sequence[Seen], now_us: int, txn: Transaction, payloads: bool
    ) -> list[Known | None]:
        return [
            self._fill_one(txn, one, kept, now_us)
            for one, kept in zip(
                seen, self._kept([one.record for one in seen], payloads), strict=True
            )
        ]

    def _fill_one(self, txn: Transaction, seen: Seen, kept: Record | None, now_us: int) -> Known:
        key, record, began_us = seen
        where, entry, old = self._find(txn, key)
        if record is None:
            head = missed(old, began_us)
        else:
            head = filled(old, record.version, b"" if kept is None else kept.digest, began_us)
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

    def recent(
        self, namespace: str, after: str, prefix: str, limit: int, now_us: int
    ) -> list[tuple[str, Known]]:
        """See `ports.Machine`."""
        if self._writing.behind:
            return []
        start = max(after, prefix).encode()[: layout.NAME_BYTES_KEPT]
        within = layout.namespace_bytes(namespace) + prefix.encode()[: layout.NAME_BYTES_KEPT]
        same = len(layout.namespace_bytes(namespace)) + layout.NAME_BYTES_KEPT
        found: list[tuple[str, Known]] = []
        last = b""
        with (
            self._environment.begin(self._entries) as txn,
            txn.cursor(db=self._space.pinned) as cursor,
        ):
            more = cursor.set_range(layout.namespace_bytes(namespace) + start)
            while more:
                where = cursor.key()
                if not where.startswith(within) or (len(found) >= limit and where[:same] != last):
                    break
                entry = txn.get(where)
                assert entry is not None
                name = layout.name_of(where, entry)
                known = decode(entry, now_us)
                if known.pinned and name > after and name.startswith(prefix):
                    found.append((name, known))
                    last = where[:same]
                more = cursor.next()
        return sorted(found, key=lambda item: item[0])[:limit]

    def spilled(self) -> bool:
        """See `ports.Machine`."""
        return self._words[Word.SPILLS] > self._words[Word.SPILLS_SETTLED]

    def misses_news(self) -> bool:
        """See `ports.Machine`."""
        return self._writing.behind

    def spills(self) -> int:
        """See `ports.Machine`."""
        return self._words[Word.SPILLS]

    def note_spill(self) -> None:
        """See `ports.Machine`."""
        self._words.add(Word.SPILLS)

    def settle_spills(self, spills: int) -> None:
        """See `ports.Machine`."""
        self._words[Word.SPILLS_SETTLED] = max(spills, self._words[Word.SPILLS_SETTLED])

    def left_over(self) -> int:
        """See `ports.Machine`."""
        return self._words[Word.LEFT_OVER]

    def note_left_over(self, intents: int) -> None:
        """What `left_over` says from now on."""
        self._words[Word.LEFT_OVER] = intents

    def extend_clock(self, bound_us: int) -> None:
        """Versions may be minted below this time: it is on stable storage."""
        self._words[Word.CLOCK_BOUND_US] = max(bound_us, self._words[Word.CLOCK_BOUND_US])

    def last_minted_us(self) -> int:
        """The time of the last version minted on this machine; 0 for none."""
        return Version.of(self._words[Word.LAST_HLC], bytes(8)).time_us

    def forget_dead_readers(self) -> int:
        """Frees what processes held that died while reading; to be called now and then."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Lets go of the memory, which others may go on using."""
        self._environment.close()
        self._words.close()

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
