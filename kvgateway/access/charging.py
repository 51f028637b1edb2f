"""Charges requests of one namespace to whoever pays for them: the namespace, the token, or both.

What there is no room for now comes back by the request's place in its group: as a moment at which
it may begin, where that is near, or else as a refusal. A request that one payer refuses costs the
other nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from kvgateway.access.meter import Meter
from kvgateway.access.quotas import Allowance, Limit, Quotas
from tandem.core.request import Put, ReadResult, Write
from tandem.errors import QuotaExceeded

Payers: TypeAlias = Sequence[Allowance]
Refused: TypeAlias = dict[int, QuotaExceeded]


@dataclass(slots=True)
class Verdict:
    """What became of a group, by places; those in neither may begin at once, and who is in both is
    refused."""

    refused: Refused = field(default_factory=dict)
    booked: dict[int, int] = field(default_factory=dict)
    """When each may begin, in microseconds of the machine's monotonic clock."""

    def add(self, other: "Verdict") -> None:
        """What became of other places."""
        self.refused |= other.refused
        self.booked |= other.booked


def metered(payers: Payers) -> bool:
    """Whether anybody pays for bytes."""
    return any(one.payload is not None for one in payers)


class Charging:
    """Charges what one worker is asked for."""

    def __init__(self, quotas: Quotas) -> None:
        self._memory = quotas.memory
        self._now_us = quotas.monotonic_us
        self._counts = quotas.counts

    def reads(self, namespace: str, payers: Payers, places: Sequence[int]) -> Verdict:
        """Charges operations; what they answer is charged by `answer`."""
        now_us = self._now_us()
        broke = _out_of_bytes(payers, now_us)
        if broke is None:
            return self._operations(namespace, payers, places, now_us)
        self._counts.refused(namespace, Limit.BYTES, len(places))
        return Verdict(dict.fromkeys(places, broke.over_bytes(now_us)))

    def writes(
        self,
        namespace: str,
        payers: Payers,
        writes: Sequence[Write],
        places: Sequence[int],
        *,
        key_write_interval: bool,
    ) -> Verdict:
        """Charges those of the writes that stand at `places`."""
        now_us = self._now_us()
        verdict = self._operations(namespace, payers, places, now_us)
        refused = verdict.refused
        if metered(payers):
            refused |= self._bytes(namespace, payers, writes, _but(places, refused), now_us)
        if key_write_interval:
            often = self._too_often(namespace, writes, _but(places, refused), now_us)
            for place in often:
                _give_back(payers, _size_of(writes[place]), 1, now_us)
            refused |= often
        return verdict

    def answer(self, payers: Payers, answer: ReadResult) -> None:
        """Charges what a read has found."""
        if answer.record is not None:
            self.answered(payers, answer.record.value_size + len(answer.record.metadata))

    def answered(self, payers: Payers, size: int) -> None:
        """Charges bytes that have been answered already."""
        _charge(payers, size, self._now_us())

    @contextmanager
    def body(self, namespace: str, payers: Payers) -> Iterator[None]:
        """Counts a large body for as long as it is received; QuotaExceeded when it may not be."""
        now_us = self._now_us()
        entered: list[bytes] = []
        try:
            if (broke := _out_of_bytes(payers, now_us)) is not None:
                self._counts.refused(namespace, Limit.BYTES, 1)
                raise broke.over_bytes(now_us)
            for one in payers:
                most = one.quota.large_bodies_max
                if most and not self._memory.enter(one.bodies, most):
                    self._counts.refused(namespace, Limit.BODIES, 1)
                    raise one.over_bodies()
                if most:
                    entered.append(one.bodies)
            yield
        finally:
            for name in entered:
                self._memory.leave(name)

    def _operations(
        self, namespace: str, payers: Payers, places: Sequence[int], now_us: int
    ) -> Verdict:
        begun = _granted(payers, len(places), now_us)
        if begun == len(places):
            return Verdict()
        moments = _booked(payers, len(places) - begun, now_us)
        if moments:
            self._counts.waited(namespace, len(moments))
        over = places[begun + len(moments) :]
        if over:
            self._counts.refused(namespace, Limit.OPERATIONS, len(over))
        return Verdict(
            {place: _slowest(payers, now_us) for place in over},
            dict(zip(places[begun:], moments, strict=False)),
        )

    def _bytes(
        self,
        namespace: str,
        payers: Payers,
        writes: Sequence[Write],
        places: Sequence[int],
        now_us: int,
    ) -> Refused:
        for at, place in enumerate(places):
            if (broke := _out_of_bytes(payers, now_us)) is not None:
                over = places[at:]
                self._counts.refused(namespace, Limit.BYTES, len(over))
                _give_back(payers, 0, len(over), now_us)
                return dict.fromkeys(over, broke.over_bytes(now_us))
            _charge(payers, _size_of(writes[place]), now_us)
        return {}

    def _too_often(
        self, namespace: str, writes: Sequence[Write], places: Sequence[int], now_us: int
    ) -> Refused:
        waits_us = self._memory.write_keys([writes[place].key for place in places], now_us)
        often = {
            place: QuotaExceeded("Too Many Requests", wait_us / 1e6)
            for place, wait_us in zip(places, waits_us, strict=True)
            if wait_us
        }
        if often:
            self._counts.refused(namespace, Limit.KEY_WRITES, len(often))
        return often


def _but(places: Sequence[int], refused: Refused) -> Sequence[int]:
    return [place for place in places if place not in refused] if refused else places


def _granted(payers: Payers, wanted: int, now_us: int) -> int:
    """Charges up to `wanted` operations to all of them; how many all have room for."""
    most = wanted
    taken: list[tuple[Meter, int]] = []
    for one in payers:
        if one.operations is not None and most:
            most = one.operations.take(most, now_us)
            taken.append((one.operations, most))
    for meter, units in taken:
        meter.give_back(units - most)
    return most


def _booked(payers: Payers, wanted: int, now_us: int) -> Sequence[int]:
    """Charges up to `wanted` operations to all of them: the moments from which each may begin."""
    meters = [one.operations for one in payers if one.operations is not None]
    moments: list[Sequence[int]] = []
    most = wanted
    for meter in meters:
        moments.append(meter.book(most, now_us))
        most = len(moments[-1])
    for meter, theirs in zip(meters, moments, strict=True):
        meter.cancel(len(theirs) - most, now_us)
    return [max(each) for each in zip(*moments, strict=False)]


def _out_of_bytes(payers: Payers, now_us: int) -> Allowance | None:
    for one in payers:
        if one.payload is not None and not one.payload.has_room(now_us):
            return one
    return None


def _charge(payers: Payers, size: int, now_us: int) -> None:
    for one in payers:
        if one.payload is not None:
            one.payload.charge(size, now_us)


def _give_back(payers: Payers, size: int, operations: int, now_us: int) -> None:
    for one in payers:
        if one.operations is not None:
            one.operations.cancel(operations, now_us)
        if one.payload is not None:
            one.payload.give_back(size)


def _slowest(payers: Payers, now_us: int) -> QuotaExceeded:
    """The refusal that asks for the longest patience."""
    refusals = (one.over_operations(now_us) for one in payers if one.operations is not None)
    return max(refusals, key=lambda refusal: refusal.retry_after_s)


def _size_of(write: Write) -> int:
    return len(write.value) + len(write.metadata) if isinstance(write, Put) else 0
