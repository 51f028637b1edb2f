"""A SQL home of several clusters in memory: names are striped over them as KVSP stripes them.

Every cluster has its own incarnation, commit number and floors, and can be lost or restored alone.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tandem.backends.port import Heal, ScanPage
from tandem.core.cluster_life import ClusterLife, shown_lives
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.limits import CLOCK_SKEW_MAX_US
from tandem.core.record import Kind, Record
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import Failed, Found, ReadReply, Side, WriteReply
from tandem.core.ring import Ring
from tandem.core.scan_diff import Entry
from tandem.runtime.clock import Clock
from tests.memory.home import MemoryHome


class MemoryStripes:
    """The SQL side in several clusters."""

    def __init__(self, clock: Clock, clusters: int) -> None:
        names = [f"c{number}" for number in range(clusters)]
        self._ring = Ring(names)
        self._clock = clock
        self.all = [MemoryHome(Side.KVSP, clock, cluster=name) for name in names]
        """One for each cluster."""
        self._by_name = dict(zip(names, self.all, strict=True))
        self._owners: dict[Key, MemoryHome] = {}

    @property
    def side(self) -> Side:
        return Side.KVSP

    @property
    def clock_skew_max_us(self) -> int:
        return CLOCK_SKEW_MAX_US

    def cluster_of(self, key: Key) -> MemoryHome:
        """The one that owns `key`."""
        owner = self._owners.get(key)
        if owner is None:
            owner = self._owners[key] = self.all[self._ring.owner(key)]
        return owner

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> asyncio.Future[ReadReply]:
        return self.cluster_of(key).get(key, deadline_s, needed)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> asyncio.Future[WriteReply]:
        return self.cluster_of(key).put_if_newer(key, record, deadline_s, heal)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        entries: list[Entry] = []
        for cluster in self.all:
            page = await cluster.scan(
                namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
            )
            if isinstance(page, Failed):
                return page
            entries += page.entries
        entries.sort()
        first = tuple(entries[:limit])
        next_after = first[-1].name if len(first) == limit else None
        return ScanPage(first, next_after, self._clock.now_us())

    async def incarnation(self, deadline_s: float) -> str | Failed:
        lives = await self.clusters(deadline_s)
        return lives if isinstance(lives, Failed) else shown_lives(lives)

    async def aclose(self) -> None:
        for cluster in self.all:
            await cluster.aclose()

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        lives: list[ClusterLife] = []
        for cluster in self.all:
            shown = await cluster.clusters(deadline_s, floors=floors)
            if isinstance(shown, Failed):
                return shown
            lives += shown
        return tuple(lives)

    async def raise_floor(
        self, raising: FloorRaise, deadline_s: float
    ) -> Mapping[str, FloorReply | Failed] | Failed:
        replies: dict[str, FloorReply | Failed] = {}
        for cluster in self.all:
            raised = await cluster.raise_floor(raising, deadline_s)
            if isinstance(raised, Failed):
                return raised
            replies.update(raised)
        return replies

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        outcomes: list[Removal | Failed] = []
        for row in purge.rows:
            owner = self.cluster_of(Key(purge.namespace, row.raw_name.decode()))
            outcomes += await owner.purge(purge._replace(rows=[row]), deadline_s)
        return outcomes

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        cluster = self._by_name.get(renewal.cluster)
        return Removal.ABSENT if cluster is None else await cluster.renew(renewal, deadline_s)

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        reply = await self.get(Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{namespace}"), deadline_s)
        if isinstance(reply, Failed):
            return reply
        if not isinstance(reply, Found) or reply.record.kind is not Kind.TOMBSTONE:
            return Removal.LIVE
        removed, more = 0, False
        for cluster in self.all:
            step = cluster.drop_names(namespace, limit - removed)
            removed, more = removed + step.removed, more or step.more
        return NamespacePurge(removed, more)
