"""What this machine remembers of a key: when it answers by itself, and when against the homes.

A machine never goes back behind what it has told: its memory overrules homes that show less. Only
for a while, though. A record that was deleted for good is missing in both homes, and memory that
outlived the shortest grace would bring it back.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kvgateway.data_path.lifetime import fresh
from kvgateway.state.ports import Known, Machine, Seen
from tandem.core.key import Key
from tandem.core.read_race import Answer
from tandem.core.record import Record, is_live
from tandem.core.request import Read, ReadResult
from tandem.core.version import NO_VERSION, Version


class Answered(NamedTuple):
    """What the homes, asked at `asked_us`, have answered of a key."""

    key: Key
    answer: Answer
    asked_us: int

    @property
    def is_news(self) -> bool:
        """A miss in doubt is none."""
        answer = self.answer
        return answer.record is not None or not (answer.unconfirmed or answer.stale)


class Remembered:
    """Judges and feeds the machine's memory for the reads of one process."""

    def __init__(
        self, machine: Machine, *, cache_ttl_s: int, miss_ttl_us: int, remembered_s: int
    ) -> None:
        self._machine = machine
        self._cache_ttl_s = cache_ttl_s
        self._miss_ttl_us = miss_ttl_us
        self._remembered_us = remembered_s * 1_000_000

    def serves(self, read: Read, known: Known, now_us: int) -> bool:
        """Whether a read is answered by what is known, without asking any home."""
        if known.version < read.min_version:
            return False
        ttl_s = self._cache_ttl_s if read.cache_ttl_s is None else read.cache_ttl_s
        ttl_us = ttl_s * 1_000_000
        if known.record is None:
            if known.version != NO_VERSION:
                return False
            ttl_us = min(ttl_us, self._miss_ttl_us)
        return fresh(read.key, known.version, now_us - known.seen_at_us, ttl_us)

    def told(self, answered: Sequence[Answered], now_us: int) -> list[ReadResult]:
        """What readers are told when the homes have answered so. All of it is entered first."""
        known = iter(self._machine.fill([_seen(one) for one in answered if one.is_news], now_us))
        return [
            self._result(
                next(known) if one.is_news else self._machine.recall(one.key, now_us),
                one.answer,
                now_us,
            )
            for one in answered
        ]

    def instead(self, key: Key, wanted: Version, now_us: int) -> ReadResult | None:
        """What is told when no home can answer; None when nothing can. This machine's own recent
        write is still the truth, where memory knows of all; anything else is stale, and is said to
        be."""
        known = self._machine.recall(key, now_us)
        if known is None or known.record is None:
            return None
        if known.version < wanted or self._is_past(known, now_us):
            return None
        stale = not known.pinned or self._machine.misses_news()
        return result_of(known.record, now_us, version=known.version, cached=True, stale=stale)

    def _result(self, known: Known | None, answer: Answer, now_us: int) -> ReadResult:
        if known is not None and self._overrules(known, answer.record, now_us):
            assert known.record is not None
            doubtful = (answer.unconfirmed or answer.stale) and not known.pinned
            return result_of(known.record, now_us, version=known.version, stale=doubtful)
        return result_of(answer.record, now_us, unconfirmed=answer.unconfirmed, stale=answer.stale)

    def _overrules(self, known: Known, record: Record | None, now_us: int) -> bool:
        """Whether what the machine remembers is told instead of what the homes show."""
        if known.record is None or (record is not None and known.version <= record.version):
            return False
        return not self._is_past(known, now_us)

    def _is_past(self, known: Known, now_us: int) -> bool:
        """Whether nothing can be said by it any more: it may have been deleted for good since."""
        heard_us = max(known.seen_at_us, known.version.time_us)
        return not known.pinned and now_us - heard_us > self._remembered_us


def _seen(answered: Answered) -> Seen:
    """A stale record is remembered as if read long ago: nobody here may go back behind it, and no
    cache serves it."""
    key, answer, asked_us = answered
    return Seen(key, answer.record, 0 if answer.stale else asked_us)


def hit_of(known: Known, now_us: int) -> ReadResult:
    """What a reader is told of what is known, where that answers by itself."""
    record = known.record
    if record is not None and not is_live(record.kind, record.expires_at_s, now_us / 1_000_000):
        record = None
    return ReadResult(record, known.version, True)


def result_of(
    record: Record | None,
    now_us: int,
    version: Version = NO_VERSION,
    *,
    cached: bool = False,
    unconfirmed: bool = False,
    stale: bool = False,
) -> ReadResult:
    """What a reader is told of a record, which may be dead by now."""
    if record is None:
        return ReadResult(None, version, cached, unconfirmed, stale)
    live = is_live(record.kind, record.expires_at_s, now_us / 1_000_000)
    return ReadResult(record if live else None, record.version, cached, unconfirmed, stale)
