"""The ring over the clusters: who answers which key, and one ordered listing of all of them."""

import asyncio
from asyncio import Future
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Final, TypeVar

from kvsp.answers import Absent, InBlob, ReadAnswer, ScanPart
from kvsp.cluster import Cluster
from tandem.core.cluster_life import ClusterLife
from tandem.core.key import Key
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import Failed, WriteReply
from tandem.core.ring import Ring
from tandem.wire.large_codec import LargeGet
from tandem.wire.scan_codec import Row, Scan
from tandem.wire.storage_codec import Get, LargePut, Put

_T = TypeVar("_T", Get, Put)

_SCAN_SPARE: Final = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """One page over all clusters."""

    rows: list[Row]
    ended: bool
    complete: bool
    """False when a cluster could not be listed."""


class Store:
    """Routes batches to `clusters`, which the ring knows in this order."""

    def __init__(self, clusters: Sequence[Cluster], large_value_bytes: int) -> None:
        self._clusters = clusters
        self._ring = Ring([cluster.name for cluster in clusters])
        self._large_value_bytes = large_value_bytes

    def read(self, gets: Sequence[Get]) -> list[tuple[list[Get], Future[list[ReadAnswer]]]]:
        """One part for each cluster that owns some of the keys, answered on its own."""
        parts = self._by_owner(gets)
        return [(part, self._clusters[owner].read(part)) for owner, part in parts.items()]

    def write(self, puts: Sequence[Put]) -> list[tuple[list[Put], Future[list[WriteReply]]]]:
        """One part for each cluster that owns some of the keys; none of them may be large."""
        parts = self._by_owner(puts)
        return [(part, self._clusters[owner].write(part)) for owner, part in parts.items()]

    def is_large(self, put: Put) -> bool:
        """Whether the put's envelope does not belong into a row."""
        return len(put.record.envelope) > self._large_value_bytes

    async def load(self, get: Get, large: InBlob) -> bytes | Absent | Failed:
        """The envelope of a large record."""
        return await self._owner(get).large.load(large)

    async def holds(self, get: Get, large: InBlob) -> bool:
        """Whether the blob of a large record is there."""
        return await self._owner(get).large.holds(large.blob)

    def pieces(self, get: LargeGet) -> AsyncGenerator[bytes, None]:
        """The envelope of a large record, unchecked. Raises OSError."""
        return self._owner(get).large.pieces(get.blob)

    async def write_large(
        self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]
    ) -> WriteReply:
        """Stores a put that `is_large`; see `LargeValues.write`."""
        return await self._owner(put).large.write(put, pieces)

    async def scan(self, scan: Scan) -> Listing | Failed:
        """The first `scan.limit` names over all clusters.

        Each cluster is asked for a little more than its share. What was listed is one sorted run a
        cluster, which `sort` merges; it holds up to where the cluster that came least far has come.
        """
        share = scan.limit * 5 // (4 * len(self._clusters)) + _SCAN_SPARE
        sources = [_Source(cluster, scan, share) for cluster in self._clusters]
        await asyncio.gather(*(source.list_on() for source in sources))
        failures = [source.failed for source in sources if source.failed is not None]
        if len(failures) == len(sources):
            return failures[0]
        while True:
            rows = [row for source in sources for row in source.rows]
            rows.sort(key=_NAME)
            behind = min((s for s in sources if not s.ended), key=_REACHED, default=None)
            sure = len(rows) if behind is None else bisect_right(rows, behind.reached, key=_NAME)
            if sure >= scan.limit or behind is None:
                break
            await behind.list_on()
        ended = behind is None and len(rows) <= scan.limit
        complete = not any(source.failed for source in sources)
        return Listing(rows[: scan.limit], ended, complete)

    def failure(self) -> str:
        """Why no cluster serves at the moment; empty when one does: it answers for its keys."""
        failures = [cluster.failure for cluster in self._clusters]
        return "" if None in failures else str(failures[0])

    async def lives(self, *, floors: bool = True) -> list[ClusterLife]:
        """Which life each cluster is in, with its floors where they are wanted."""
        return await asyncio.gather(*(one.life(floors=floors) for one in self._clusters))

    async def raise_floor(self, raising: FloorRaise) -> dict[str, FloorReply | Failed]:
        """What each cluster that is named, and that there is, answers for itself."""
        named = [c for c in self._clusters if c.name in raising.incarnations]
        replies = await asyncio.gather(
            *(
                cluster.raise_floor(raising.incarnations[cluster.name], raising.span, raising.floor)
                for cluster in named
            )
        )
        return {cluster.name: reply for cluster, reply in zip(named, replies, strict=True)}

    async def purge(self, purge: RowPurge) -> list[Removal | Failed]:
        """What became of each row; a row of a cluster that is not named stays."""
        outcomes: list[Removal | Failed] = [Removal.OTHER_INCARNATION] * len(purge.rows)
        parts: dict[int, list[int]] = {}
        for number, row in enumerate(purge.rows):
            owner = self._ring.owner(Key(purge.namespace, row.raw_name.decode()))
            parts.setdefault(owner, []).append(number)

        async def part(owner: int, numbers: list[int]) -> None:
            cluster = self._clusters[owner]
            incarnation = purge.incarnations.get(cluster.name)
            if incarnation is not None:
                rows = [purge.rows[number] for number in numbers]
                replies = await cluster.purge(incarnation, purge.namespace, rows)
                for number, reply in zip(numbers, replies, strict=True):
                    outcomes[number] = reply

        await asyncio.gather(*(part(owner, numbers) for owner, numbers in parts.items()))
        return outcomes

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """Begins a new life of one cluster; `Removal.ABSENT` when there is no such cluster."""
        for cluster in self._clusters:
            if cluster.name == renewal.cluster:
                return await cluster.renew(renewal)
        return Removal.ABSENT

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """Removes up to `limit` rows from each cluster."""
        outcomes = await asyncio.gather(
            *(cluster.purge_namespace(namespace, limit) for cluster in self._clusters)
        )
        removed = 0
        for outcome in outcomes:
            if not isinstance(outcome, NamespacePurge):
                return outcome
            removed += outcome.removed
        more = any(isinstance(outcome, NamespacePurge) and outcome.more for outcome in outcomes)
        return NamespacePurge(removed, more)

    async def aclose(self) -> None:
        """Finishes the writes that wait and closes the clusters."""
        for cluster in self._clusters:
            await cluster.aclose()

    def _owner(self, operation: Get | LargeGet | LargePut) -> Cluster:
        return self._clusters[self._ring.owner(operation.key)]

    def _by_owner(self, operations: Sequence[_T]) -> dict[int, list[_T]]:
        if len(self._clusters) == 1 and operations:
            return {0: list(operations)}
        parts: dict[int, list[_T]] = {}
        owner = self._ring.owner
        for operation in operations:
            parts.setdefault(owner(operation.key), []).append(operation)
        return parts


class _Source:
    """What was listed of one cluster so far."""

    def __init__(self, cluster: Cluster, scan: Scan, share: int) -> None:
        self._cluster = cluster
        self._next = scan._replace(limit=share)
        self.rows: list[Row] = []
        self.ended = False
        self.failed: Failed | None = None

    @property
    def reached(self) -> bytes:
        """No name up to this one is missing."""
        return self._next.after

    async def list_on(self) -> None:
        """Lists the next names, if there are any and the cluster does not fail."""
        match await self._cluster.scan(self._next):
            case Failed() as failed:
                self.failed, self.ended = failed, True
            case ScanPart(rows, ended, last):
                self.rows += rows
                self.ended = ended
                self._next = self._next._replace(after=last)


_NAME: Final = itemgetter(0)
_REACHED: Final = attrgetter("reached")
