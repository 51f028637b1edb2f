"""A home in memory: deterministic, without threads or time of its own; what the simulator runs on.

It answers at once, with futures that are done, so it also works on a loop in virtual time.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Final, TypeVar

from tandem.backends.port import Heal, ScanPage
from tandem.backends.timeliness import untimely
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Record
from tandem.core.reply import (
    Failed,
    Found,
    Missing,
    ReadReply,
    Reason,
    Refusal,
    Refused,
    Side,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.scan_diff import Entry
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import Clock

_CLOSED: Final = Failed(Reason.UNREACHABLE, "closed")
T = TypeVar("T")


class MemoryHome:
    """Either home. On the KVSP side it has floors and lists whole entries, as KVSP does."""

    def __init__(self, side: Side, clock: Clock) -> None:
        self._side = side
        self._clock = clock
        self._namespaces: dict[str, _Namespace] = {}
        self._closed = False

    @property
    def side(self) -> Side:
        return self._side

    @property
    def clock_skew_max_us(self) -> int:
        return CLOCK_SKEW_MAX_US

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> asyncio.Future[ReadReply]:
        return _done(_CLOSED if self._closed else self._get(key))

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> asyncio.Future[WriteReply]:
        return _done(_CLOSED if self._closed else self._put(key, record, heal))

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        if self._closed:
            return _CLOSED
        held = self._namespace(namespace)
        names = held.names_after(after, prefix, limit)
        next_after = names[-1] if len(names) == limit else None
        entries = tuple(self._entry(name, held.records[name]) for name in names)
        return ScanPage(entries, next_after, self._clock.now_us())

    async def aclose(self) -> None:
        self._closed = True

    def raise_floor(self, namespace: str, start: str, floor: Version) -> None:
        """Raises the floor of the names from `start` up to where the next range starts; a `start`
        inside a range splits it."""
        assert self._side is Side.KVSP
        self._namespace(namespace).raise_floor(start, floor)

    def remove(self, key: Key, version: Version) -> bool:
        """Removes the record for good if it still has this version: compare-and-delete."""
        held = self._namespace(key.namespace)
        record = held.records.get(key.name)
        if record is None or record.version != version:
            return False
        held.remove(key.name)
        return True

    def _get(self, key: Key) -> ReadReply:
        held = self._namespace(key.namespace)
        record = held.records.get(key.name)
        if record is None:
            return Missing(self._clock.now_us(), held.floor_of(key.name))
        return Found(record, self._clock.now_us())

    def _put(self, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        now_us = self._clock.now_us()
        refusal = untimely(record.version, heal, now_us, self.clock_skew_max_us)
        if refusal is not None:
            return Refused(refusal, now_us)
        held = self._namespace(key.namespace)
        holds = held.records.get(key.name)
        if holds is None and record.version <= held.floor_of(key.name):
            return Refused(Refusal.FLOOR, now_us)
        if holds is not None and not _replaces(record, holds, heal):
            return Superseded(holds.version, now_us)
        held.store(key.name, record)
        return Stored(now_us)

    def _namespace(self, namespace: str) -> "_Namespace":
        return self._namespaces.setdefault(namespace, _Namespace())

    def _entry(self, name: str, record: Record) -> Entry:
        digest, size = record.digest, len(record.envelope)
        if self._side is Side.S3:
            return Entry(name, digest, size)
        return Entry(
            name, digest, size, record.version, record.kind, record.expires_at_s, record.metadata
        )


class _Namespace:
    """The records of one namespace in the order of their names, and the floors of its ranges."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._names: list[str] = []
        self._starts: list[str] = [""]
        self._floors: dict[str, Version] = {"": NO_VERSION}

    def store(self, name: str, record: Record) -> None:
        if name not in self.records:
            insort(self._names, name)
        self.records[name] = record

    def remove(self, name: str) -> None:
        del self.records[name]
        del self._names[bisect_left(self._names, name)]

    def names_after(self, after: str, prefix: str, limit: int) -> list[str]:
        """At most `limit` names; those with one prefix stand side by side."""
        start = max(bisect_right(self._names, after), bisect_left(self._names, prefix))
        found = self._names[start : start + limit]
        return [name for name in found if name.startswith(prefix)]

    def floor_of(self, name: str) -> Version:
        return self._floors[self._starts[bisect_right(self._starts, name) - 1]]

    def raise_floor(self, start: str, floor: Version) -> None:
        inherited = self.floor_of(start)
        if start not in self._floors:
            insort(self._starts, start)
        self._floors[start] = max(inherited, floor)


def _replaces(record: Record, holds: Record, heal: Heal | None) -> bool:
    """Whether `record` may take the place of `holds`; the same record may."""
    if heal is not None and heal.over_corrupt and record.version == holds.version:
        return True
    return (record.version, record.digest) >= (holds.version, holds.digest)


def _done(reply: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(reply)
    return future
