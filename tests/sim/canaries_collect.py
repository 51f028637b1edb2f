"""Broken rules of crawling, of deleting for good and of losing a home: see `canaries`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Final
from unittest.mock import patch

from crawler.evidence import StoreEvidence
from crawler.kill_switches import SwitchedHome
from crawler.renewing import Renewing
from crawler.report import CrawlReport
from crawler.second_look import SecondLook
from kvgateway.data_path.remembered import Remembered
from kvgateway.homes.trust import Trust
from tandem.backends.clusters import Clusters
from tandem.backends.port import Backend, Heal
from tandem.core import collect
from tandem.core.collect import CollectRule, CrawlSeen, DeadRecord, Homes
from tandem.core.drift import Drift, Sighting
from tandem.core.floors import RangeFloors
from tandem.core.key import Key
from tandem.core.record import Record, Stamp
from tandem.core.removal import FloorRaise, FloorReply, PurgeRow, Removal, Renewal
from tandem.core.reply import Refusal, Refused, Side, WriteReply
from tests.memory.home import MemoryHome
from tests.sim.plan import Sort
from tests.sim.sites import FaultyHome

Broken = AbstractContextManager[object]


def both_sides_only() -> Broken:
    """A tombstone goes once both homes have it, whatever else may be under way."""
    return patch.object(collect, "_may_go", lambda one, seen, rule, homes: True)


def no_floor() -> Broken:
    """Rows go without any floor: nothing tells a late copy from a new key."""

    def purge(self: MemoryHome, namespace: str, row: PurgeRow, named: str | None) -> Removal:
        held, name = self._namespace(namespace), row.raw_name.decode()
        if name not in held.records:
            return Removal.ABSENT
        if held.records[name].version != row.version:
            return Removal.DIFFERENT
        held.remove(name)
        return Removal.DONE

    both = ExitStack()
    both.enter_context(patch.object(RangeFloors, "raised", lambda self, start, end, floor: self))
    both.enter_context(patch.object(MemoryHome, "_purge", purge))
    return both


def removed_unseen() -> Broken:
    """Whatever has the name goes, not only the record that the crawl saw."""

    def purge(self: MemoryHome, namespace: str, row: PurgeRow, named: str | None) -> Removal:
        held, name = self._namespace(namespace), row.raw_name.decode()
        if name not in held.records:
            return Removal.ABSENT
        held.remove(name)
        return Removal.DONE

    return patch.object(MemoryHome, "_purge", purge)


def floor_refuses_updates() -> Broken:
    """KVSP takes nothing at or below its floors, not even over an older row."""
    put = MemoryHome._put

    def fenced(self: MemoryHome, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        if record.version <= self.floor_of(key):
            return Refused(Refusal.FLOOR, self._clock.now_us())
        return put(self, key, record, heal)

    return patch.object(MemoryHome, "_put", fenced)


def late_for(side: Side) -> Broken:
    """One home takes requests of any age."""
    put = MemoryHome._put

    def patient(self: MemoryHome, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        if self.side is side:
            heal = Heal(self._clock.now_us(), over_corrupt=heal is not None and heal.over_corrupt)
        return put(self, key, record, heal)

    return patch.object(MemoryHome, "_put", patient)


def old_mirror_ignored() -> Broken:
    """A cluster that is behind its mirror goes on as it is."""
    return patch.object(Clusters, "behind", property(lambda self: []))


def floors_outlive_a_wipe() -> Broken:
    """A cluster that begins a new life keeps its floors, so that what S3 alone has is swept."""
    renew = MemoryHome.renew

    async def keeping(self: MemoryHome, renewal: Renewal, deadline_s: float) -> object:
        outcome = await renew(self, renewal, deadline_s)
        for name, ranges in renewal.past.floors.items():
            self._namespace(name).floors = ranges
        return outcome

    return patch.object(MemoryHome, "renew", keeping)


def symmetric_sweep() -> Broken:
    """What KVSP has below its floor and S3 has not is taken for deleted."""
    heal = SecondLook._heal

    async def swept(self: SecondLook, name: str, seen: Sighting) -> None:
        key, kvsp = Key(self._report.namespace, name), _home(self._homes[Side.KVSP])
        if seen.drift is Drift.MISSING_IN_S3:
            held = kvsp._site.held(key)
            if held is not None and held.version <= kvsp._site.floor(key):
                kvsp._site.drop(key)
        await heal(self, name, seen)

    return patch.object(SecondLook, "_heal", swept)


def _home(home: Backend) -> FaultyHome:
    while isinstance(home, SwitchedHome):
        home = home._home
    assert isinstance(home, FaultyHome)
    return home


def behind_answers_first() -> Broken:
    """A home that misses writes is trusted like the other one."""
    return patch.object(Trust, "behind", lambda self, namespace: ())


def memory_outlives_deletion() -> Broken:
    """What a machine remembers is told however long ago it heard of it."""
    return patch.object(Remembered, "_is_past", lambda self, known, now_us: False)


def renewed_only_in_name() -> Broken:
    """A cluster that was restored keeps what was deleted since the copy was made."""
    return patch(
        "tests.memory.home_namespace.MemoryNamespace.remove_below",
        lambda self, floors: 0,
    )


def restored_used_at_once() -> Broken:
    """A restored cluster is used again before it was compared with its mirror."""

    async def look(self: Renewing) -> None:
        self.looks += 1

    return patch.object(Renewing, "look", look)


def sweep_waits_for_trust() -> Broken:
    """Nothing is swept while a home is behind."""
    return patch.object(StoreEvidence, "in_use", _all_is_well)


def crawl_began_too_early() -> Broken:
    """A tombstone may go after a crawl that began whenever."""
    may_go = collect._may_go

    def early(one: DeadRecord, seen: CrawlSeen, rule: CollectRule, homes: Homes) -> bool:
        return may_go(one, replace(seen, began_us=seen.ended_us), rule, homes)

    return patch.object(collect, "_may_go", early)


def always_equal() -> Broken:
    """A crawl calls equal what it could not see or mend."""
    return patch.object(CrawlReport, "equal", property(lambda self: True))


def unnamed_incarnation() -> Broken:
    """Floors rise in whatever cluster is there, and its rows go."""
    rise, purge = MemoryHome._raise, MemoryHome._purge

    def raised(self: MemoryHome, raising: FloorRaise, named: str) -> FloorReply:
        return rise(self, raising, self._life({}).named)

    def purged(self: MemoryHome, namespace: str, row: PurgeRow, named: str | None) -> Removal:
        return purge(self, namespace, row, self._life({}).named)

    both = ExitStack()
    both.enter_context(patch.object(MemoryHome, "_raise", raised))
    both.enter_context(patch.object(MemoryHome, "_purge", purged))
    return both


def objects_removed_unseen() -> Broken:
    """Whatever object has the name goes, not only the one that the crawl saw."""

    async def remove(self: MemoryHome, key: Key, seen: Stamp, deadline_s: float) -> Removal:
        held = self._namespace(key.namespace)
        if key.name not in held.records:
            return Removal.ABSENT
        held.remove(key.name)
        return Removal.DONE

    return patch.object(MemoryHome, "remove", remove)


async def _all_is_well(self: StoreEvidence, homes: Homes) -> bool:
    return not await self.is_dirty("a" * 32, homes)


COLLECT_CANARIES: Final[Mapping[str, tuple[Callable[[], Broken], Sort]]] = {
    "tombstones go once both homes have them": (both_sides_only, Sort.BRINK),
    "a floor refuses updates": (floor_refuses_updates, Sort.STAGED),
    "symmetric sweep": (symmetric_sweep, Sort.GRAVES),
    "old mirror ignored": (old_mirror_ignored, Sort.RUINS),
    "a new life keeps what was deleted": (renewed_only_in_name, Sort.RESTORED),
    "a restored cluster used at once": (restored_used_at_once, Sort.RESTORED),
    "floors outlive a wipe": (floors_outlive_a_wipe, Sort.RUINS),
    "a home that is behind answers first": (behind_answers_first, Sort.RUINS),
    "no lateness bound on S3": (partial(late_for, Side.S3), Sort.RUINS),
    "memory outlives deletion": (memory_outlives_deletion, Sort.RUINS),
    "the sweep waits for trust": (sweep_waits_for_trust, Sort.ALONE),
    "no lateness bound on KVSP": (partial(late_for, Side.KVSP), Sort.LATE),
    "no floor": (no_floor, Sort.BRINK),
    "rows removed without comparing": (removed_unseen, Sort.STAGED),
    "objects removed without comparing": (objects_removed_unseen, Sort.STAGED),
    "a crawl that began too early": (crawl_began_too_early, Sort.STAGED),
    "a crawl calls equal what it could not mend": (always_equal, Sort.STAGED),
    "an incarnation that is not named": (unnamed_incarnation, Sort.STAGED),
}
"""By name: what breaks the rule, and what the universes are about that show it."""
