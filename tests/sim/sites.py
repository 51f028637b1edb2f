"""A home where it stands, and the same home as a process reaches it: over a link."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from kvgateway.homes.legs import one_by_one
from tandem.backends.port import Heal, Puts, Replied, ScanPage
from tandem.core.cluster_life import ClusterLife
from tandem.core.key import Key
from tandem.core.record import Record, Stamp
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import Failed, Found, ReadReply, Reason, Side, Stored, WriteReply
from tandem.core.version import Version
from tests.memory.home import MemoryHome
from tests.memory.stripes import MemoryStripes
from tests.sim.faults import REASONS, Link, Loss
from tests.sim.ledger import Ledger, version_of

T = TypeVar("T")


class Site:
    """A home in memory where it stands: its records, and which copies have gone bad."""

    def __init__(self, home: MemoryHome | MemoryStripes, ledger: Ledger) -> None:
        self.home = home
        self._ledger = ledger
        self._corrupt: dict[Key, bytes] = {}
        self.on_raise: Callable[[], None] = lambda: None
        """Called just before floors rise."""

    def corrupt(self, key: Key) -> None:
        """The stored bytes of `key` go bad."""
        held = self.held(key)
        if held is not None:
            self._corrupt[key] = held.digest

    def is_corrupt(self, key: Key) -> bool:
        """Whether its bytes have gone bad."""
        return key in self._corrupt

    def held(self, key: Key) -> Record | None:
        """The record under `key`, read by nobody's leave."""
        reply = self.home.get(key, 1.0).result()
        return reply.record if isinstance(reply, Found) else None

    def floor(self, key: Key) -> Version:
        """At or below which version KVSP inserts nothing under `key`."""
        cluster = self._cluster(key)
        return cluster.floor_of(key)

    def place(self, key: Key, record: Record) -> None:
        """Puts a record there by nobody's leave."""
        self._cluster(key).place(key, record)

    def drop(self, key: Key) -> None:
        """Takes a record away by nobody's leave."""
        self._cluster(key).drop(key)

    def _cluster(self, key: Key) -> MemoryHome:
        return self.home.cluster_of(key) if isinstance(self.home, MemoryStripes) else self.home

    def wipe(self) -> None:
        """It loses all that it holds."""
        self._corrupt.clear()
        clusters = [self.home] if isinstance(self.home, MemoryHome) else self.home.all
        for cluster in clusters:
            cluster.wipe()

    def get(self, key: Key) -> ReadReply:
        reply = self.home.get(key, 1.0).result()
        if isinstance(reply, Found) and self._corrupt.get(key) == reply.record.digest:
            return Failed(Reason.CORRUPT, "bytes do not match their digest", reply.home_time_us)
        return reply

    def put(self, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        reply = self.home.put_if_newer(key, record, 1.0, heal).result()
        if isinstance(reply, Stored):
            self._ledger.stored(self.home.side, key, record.version)
            rewritten = heal is not None and heal.over_corrupt
            if rewritten or self._corrupt.get(key) != record.digest:
                self._corrupt.pop(key, None)
        return reply

    def scan(self, namespace: str, after: str, prefix: str, limit: int) -> ScanPage | Failed:
        return at_once(
            self.home.scan(namespace, after=after, prefix=prefix, limit=limit, deadline_s=1.0)
        )

    def raise_floor(self, raising: FloorRaise) -> Mapping[str, FloorReply | Failed] | Failed:
        self.on_raise()
        return at_once(self.rows.raise_floor(raising, 1.0))

    def purge(self, purge: RowPurge) -> Sequence[Removal | Failed]:
        keys = [Key(purge.namespace, row.raw_name.decode()) for row in purge.rows]
        before = [self.held(key) for key in keys]
        outcomes = at_once(self.rows.purge(purge, 1.0))
        for key, held, outcome in zip(keys, before, outcomes, strict=True):
            if outcome is Removal.DONE and held is not None:
                self._ledger.purged(key, held.version, self.floor(key))
        return outcomes

    def remove(self, key: Key, seen: Stamp) -> Removal | Failed:
        held = self.held(key)
        outcome = at_once(self._objects.remove(key, seen, 1.0))
        if outcome is Removal.DONE and held is not None:
            self._corrupt.pop(key, None)
            self._ledger.removed(Side.S3, key, held.version)
        return outcome

    def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int
    ) -> Removal | Failed:
        held = self.held(key)
        outcome = at_once(self._objects.replace(key, seen, record, read_at_us, 1.0))
        if outcome is Removal.DONE:
            self._corrupt.pop(key, None)
            self._ledger.replaced(key, version_of(held), record.version)
        return outcome

    @property
    def rows(self) -> MemoryHome | MemoryStripes:
        """The home as KVSP is asked."""
        return self.home

    @property
    def _objects(self) -> MemoryHome:
        assert isinstance(self.home, MemoryHome)
        return self.home

    @property
    def removes(self) -> bool:
        """Whether objects can be removed for good."""
        return self._objects.removes


class FaultyHome:
    """A home behind a link; see `tandem.backends.port`."""

    def __init__(self, site: Site, link: Link) -> None:
        self._site = site
        self._link = link

    @property
    def side(self) -> Side:
        return self._site.home.side

    @property
    def clock_skew_max_us(self) -> int:
        return self._site.home.clock_skew_max_us

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> "asyncio.Future[ReadReply]":
        return self._link.carry(
            ("get", _place(key), None), lambda: self._site.get(key), _lost, deadline_s
        )

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> "asyncio.Future[WriteReply]":
        return self._link.carry(
            ("heal" if heal else "put", _place(key), record.version),
            lambda: self._site.put(key, record, heal),
            _lost,
            deadline_s,
        )

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        one_by_one(self.put_if_newer, puts, deadline_s, replied)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        return await self._link.carry(
            ("scan", repr(after), None),
            lambda: self._site.scan(namespace, after, prefix, limit),
            _lost,
            deadline_s,
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self._site.home.incarnation(deadline_s)

    async def aclose(self) -> None:
        self._link.cut = True


class FaultyRows(FaultyHome):
    """KVSP behind a link; see `tandem.backends.port.CollectableRows`."""

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        rows = self._site.rows
        return await self._carry(
            "clusters", lambda: at_once(rows.clusters(1.0, floors=floors)), deadline_s
        )

    async def raise_floor(
        self, raising: FloorRaise, deadline_s: float
    ) -> Mapping[str, FloorReply | Failed] | Failed:
        return await self._carry("raise floor", lambda: self._site.raise_floor(raising), deadline_s)

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        done = await self._carry("purge", lambda: self._site.purge(purge), deadline_s)
        return [done] * len(purge.rows) if isinstance(done, Failed) else done

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        rows = self._site.rows
        return await self._carry("renew", lambda: at_once(rows.renew(renewal, 1.0)), deadline_s)

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        rows = self._site.rows
        return await self._carry(
            "purge namespace",
            lambda: at_once(rows.purge_namespace(namespace, limit, 1.0)),
            deadline_s,
        )

    async def _carry(self, verb: str, apply: Callable[[], T], deadline_s: float) -> T | Failed:
        return await self._link.carry((verb, "", None), apply, _lost, deadline_s)


class FaultyObjects(FaultyHome):
    """S3 behind a link; see `tandem.backends.port.CollectableObjects`."""

    @property
    def removes(self) -> bool:
        return self._site.removes

    async def remove(self, key: Key, seen: Stamp, deadline_s: float) -> Removal | Failed:
        return await self._link.carry(
            ("remove", _place(key), seen.version),
            lambda: self._site.remove(key, seen),
            _lost,
            deadline_s,
        )

    async def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int, deadline_s: float
    ) -> Removal | Failed:
        return await self._link.carry(
            ("replace", _place(key), record.version),
            lambda: self._site.replace(key, seen, record, read_at_us),
            _lost,
            deadline_s,
        )

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        objects = self._site.home
        return await self._link.carry(
            ("purge namespace", namespace[:1], None),
            lambda: at_once(objects.purge_namespace(namespace, limit, 1.0)),
            _lost,
            deadline_s,
        )


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a home in memory answers: it waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer
    raise AssertionError("a home in memory does not wait")


def _lost(loss: Loss) -> Failed:
    return Failed(REASONS[loss], loss.value)


def _place(key: Key) -> str:
    return f"{key.namespace[0]}/{key.name}"
