"""A home in memory: deterministic, without threads or time of its own; what the simulator runs on.

It answers at once, with futures that are done, so it also works on a loop in virtual time.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Final, TypeVar, cast

from tandem.backends.port import Heal, ScanPage, basis_of
from tandem.core.cluster_life import ClusterLife, next_incarnation, shown_lives
from tandem.core.floors import RangeFloors
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Kind, Record, Stamp
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import (
    Failed,
    Found,
    Missing,
    ReadReply,
    Reason,
    Refused,
    Side,
    Stored,
    WriteReply,
)
from tandem.core.scan_diff import Entry
from tandem.core.timeliness import untimely
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tandem.runtime.done import done
from tests.memory.home_namespace import MemoryNamespace

CLUSTER: Final = "memory"
"""What the one cluster of the SQL side is called, unless it is one of several."""
_CLOSED: Final = Failed(Reason.UNREACHABLE, "closed")
T = TypeVar("T")
_Image = tuple[dict[str, MemoryNamespace], str, int]


class MemoryHome:
    """Either home. On the KVSP side it has floors and lists whole entries, as KVSP does."""

    def __init__(
        self, side: Side, clock: Clock, *, removes: bool = True, cluster: str = CLUSTER
    ) -> None:
        """`removes` is what the S3 side says of itself."""
        self._cluster = cluster
        self._side = side
        self._clock = clock
        self._removes = removes
        self._incarnation = next_incarnation(f"first{cluster}")
        self._commits = 0
        self._opening = 0
        self._namespaces: dict[str, MemoryNamespace] = {}
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
        return done(_CLOSED if self._closed else self._get(key))

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> asyncio.Future[WriteReply]:
        return done(_CLOSED if self._closed else self._put(key, record, heal))

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

    async def incarnation(self, deadline_s: float) -> str | Failed:
        if self._closed:
            return _CLOSED
        return shown_lives([self._life({})]) if self._side is Side.KVSP else ""

    @property
    def removes(self) -> bool:
        return self._removes

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        if self._closed:
            return _CLOSED
        known = {n: held.floors for n, held in self._namespaces.items() if len(held.floors)}
        shown = known if floors else {}
        return (self._life(shown),)

    def _life(self, floors: Mapping[str, RangeFloors]) -> ClusterLife:
        return ClusterLife(
            self._cluster, self._incarnation, self._commits, floors, opening=str(self._opening)
        )

    async def raise_floor(
        self, raising: FloorRaise, deadline_s: float
    ) -> Mapping[str, FloorReply | Failed] | Failed:
        if self._closed:
            return _CLOSED
        named = raising.incarnations.get(self._cluster)
        return {} if named is None else {self._cluster: self._raise(raising, named)}

    def _raise(self, raising: FloorRaise, named: str) -> FloorReply:
        if named != self._life({}).named:
            return FloorReply.OTHER_INCARNATION
        start, end = raising.span.raw_start, raising.span.raw_end
        held = self._namespace(raising.span.namespace)
        held.floors = held.floors.raised(start, end, raising.floor)
        self._commits += 1
        return FloorReply.RAISED

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        if self._closed:
            return [_CLOSED] * len(purge.rows)
        named = purge.incarnations.get(self._cluster)
        self._commits += 1
        return [self._purge(purge.namespace, row, named) for row in purge.rows]

    def _purge(self, namespace: str, row: PurgeRow, named: str | None) -> Removal:
        if named != self._life({}).named:
            return Removal.OTHER_INCARNATION
        return self._namespace(namespace).purge(row, self._clock.now_us())

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        if self._closed:
            return _CLOSED
        if renewal.cluster != self._cluster:
            return Removal.ABSENT
        if renewal.incarnation != self._life({}).named:
            return Removal.OTHER_INCARNATION
        removed = 0
        for namespace, known in renewal.past.floors.items():
            held = self._namespace(namespace)
            removed += held.remove_below(held.floors.forgotten(known))
            held.floors = held.floors.upheld(known)
        past = renewal.past.incarnation
        self._incarnation = next_incarnation("later", self._clock.now_us(), self._incarnation, past)
        self._commits += 1
        return Renewed(self._incarnation, removed)

    async def remove(self, key: Key, seen: Stamp, deadline_s: float) -> Removal | Failed:
        if not self._removes:
            return Failed(Reason.ERROR, "objects must stay")
        if self._closed:
            return _CLOSED
        return self._namespace(key.namespace).change(key.name, seen, None)

    async def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int, deadline_s: float
    ) -> Removal | Failed:
        now_us = self._clock.now_us()
        refusal = untimely(record.version, read_at_us, now_us, self.clock_skew_max_us)
        if refusal is not None:
            return Failed(Reason.ERROR, refusal.value, now_us)
        if self._closed:
            return _CLOSED
        return self._namespace(key.namespace).change(key.name, seen, record)

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        if self._closed:
            return _CLOSED
        if self._side is Side.KVSP and not self._is_deleted(namespace):
            return Removal.LIVE
        return self.drop_names(namespace, limit)

    def drop_names(self, namespace: str, limit: int) -> NamespacePurge:
        """Takes at most `limit` records of a namespace away by nobody's leave."""
        held = self._namespace(namespace)
        gone = held.names_after("", "", limit)
        for name in gone:
            held.remove(name)
        return NamespacePurge(len(gone), more=len(gone) == limit)

    def _is_deleted(self, namespace: str) -> bool:
        name = f"{NAMESPACE_RECORD}{namespace}"
        record = self._namespace(SYSTEM_NAMESPACE).records.get(name)
        return record is not None and record.kind is Kind.TOMBSTONE

    def image(self) -> object:
        """A copy of all that it holds, to be restored later."""
        return deepcopy((self._namespaces, self._incarnation, self._commits))

    def restore(self, image: object) -> None:
        """Exchanges all that it holds for an old copy, as one who copies files does."""
        self._namespaces, self._incarnation, self._commits = deepcopy(cast(_Image, image))
        self._opening += 1

    def wipe(self) -> None:
        """Exchanges all that it holds for nothing."""
        self._namespaces, self._commits = {}, 0
        self._opening += 1
        self._incarnation = next_incarnation(f"wiped{self._opening}")

    def place(self, key: Key, record: Record) -> None:
        """Puts a record there by nobody's leave."""
        self._namespace(key.namespace).store(key.name, record)

    def drop(self, key: Key) -> None:
        """Takes the record away by nobody's leave."""
        self._namespace(key.namespace).remove(key.name)

    def set_floor(
        self, namespace: str, floor: Version, start: bytes = b"", end: bytes = b""
    ) -> None:
        """Raises a floor by nobody's leave."""
        held = self._namespace(namespace)
        held.floors = held.floors.raised(start, end, floor)

    def floor_of(self, key: Key) -> Version:
        """At or below which version nothing is inserted under `key`."""
        return self._namespace(key.namespace).floor_of(key.name)

    def _get(self, key: Key) -> ReadReply:
        held = self._namespace(key.namespace)
        record = held.records.get(key.name)
        if record is None:
            return Missing(self._clock.now_us(), held.floor_of(key.name))
        return Found(record, self._clock.now_us())

    def _put(self, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        now_us = self._clock.now_us()
        refusal = untimely(record.version, basis_of(heal), now_us, self.clock_skew_max_us)
        if refusal is not None:
            return Refused(refusal, now_us)
        outcome = self._namespace(key.namespace).put_if_newer(key.name, record, heal, now_us)
        self._commits += isinstance(outcome, Stored)
        return outcome

    def _namespace(self, namespace: str) -> MemoryNamespace:
        held = self._namespaces.get(namespace)
        if held is None:
            held = self._namespaces[namespace] = MemoryNamespace()
        return held

    def _entry(self, name: str, record: Record) -> Entry:
        digest, size = record.digest, len(record.envelope)
        if self._side is Side.S3:
            return Entry(name, digest, size)
        return Entry(
            name, digest, size, record.version, record.kind, record.expires_at_s, record.metadata
        )
