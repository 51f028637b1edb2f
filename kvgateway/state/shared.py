"""The machine's memory for several worker processes: LMDB in shared memory.

LMDB's one writer at a time is the lock of all that is decided here, and a robust one: when a
process dies inside a transaction, the next one goes on without what it had not committed. Nothing
is synced: the memory is made afresh at each start of the gateway.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from kvgateway.state import layout
from kvgateway.state.decoded import Decoded, decode
from kvgateway.state.entries import Entries
from kvgateway.state.entry import PAYLOAD_BYTES_MAX
from kvgateway.state.minting import GATEWAY_ID_BYTES, RANDOM_BYTES, minted
from kvgateway.state.ports import Intent, Known, Seen
from kvgateway.state.space import Space
from kvgateway.state.unsynced import open_reserved, reserve
from kvgateway.state.words import Word, Words, last_minted_us
from kvgateway.state.writing import Writing
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import Clock, SystemClock

_MAP_BYTES_MIN: Final = 1024 * 1024
_SYSTEM_CLOCK: Final = SystemClock()


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
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        assert len(gateway_id) == GATEWAY_ID_BYTES
        self._gateway_id = gateway_id
        self._random = random
        self._now_us = 0
        self._decoded = Decoded()
        self._words = Words(directory / "words")
        self._environment = open_reserved(directory)
        self._environment.reader_check()
        self._space = Space(self._environment, self._words)
        self._writing = Writing(self._environment, self._space, self._words, clock)
        self._keys = Entries(self._space, self._words, payload_bytes_max)
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
        install = partial(self._keys.install, writes, now_us)
        self._writing.run(install, len(writes), size, self._now_us)

    def pin(self, intents: Sequence[Intent]) -> None:
        """See `ports.Machine`."""
        self._writing.run(partial(self._keys.pin, intents), len(intents), 0, self._now_us)

    def unpin(self, writes: Sequence[tuple[Key, Version]], until_us: int) -> None:
        """See `ports.Machine`."""
        unpin = partial(self._keys.unpin, writes, until_us)
        self._writing.run(unpin, len(writes), 0, self._now_us)

    def fill(self, seen: Sequence[Seen], now_us: int) -> Sequence[Known | None]:
        """See `ports.Machine`."""
        self._now_us = max(now_us, self._now_us)
        size = sum([len(record.envelope) for _, record, _ in seen if record is not None])
        fill = partial(self._keys.fill, seen, now_us)
        filled = self._writing.run(fill, len(seen), size, self._now_us)
        return [None] * len(seen) if filled is None else filled

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
        return self._writing.misses_news

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
        return last_minted_us(self._words)

    def forget_dead_readers(self) -> int:
        """Frees what processes held that died while reading; to be called now and then."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Lets go of the memory, which others may go on using."""
        self._environment.close()
        self._words.close()
