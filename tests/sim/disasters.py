"""Disasters of homes and disks, each at a moment at which the promises outlive it.

A home may be lost once the other one has all that it holds. Whoever loses it earlier loses what was
acknowledged by it alone, and no promise says otherwise.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvgateway.homes.keeper import LOOK_DEADLINE_S, LOOK_S
from kvgateway.homes.trust import Trust
from kvgateway.state.switches import HomeSwitch
from tandem.core.cluster_life import life_of
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.reply import Failed, Side
from tandem.core.version import NO_VERSION
from tests.memory.home import MemoryHome
from tests.memory.stripes import MemoryStripes
from tests.sim.ledger import version_of
from tests.sim.plan_crawl import Disaster, Misfortune
from tests.sim.sites import Site, at_once
from tests.sim.worker import POLICIES

if TYPE_CHECKING:
    from tests.sim.universe import Universe

_SWITCHED_S: Final = 4.0
"""By then every worker that is not dead has seen a switch."""
_NOTICED_S: Final = LOOK_S + 4 * LOOK_DEADLINE_S
"""By then it has seen that a home was emptied."""
_TRY_EACH_S: Final = 0.5
_REGISTRY: Final = tuple(Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{name}") for name in POLICIES)
"""Without these nobody crawls what is left."""
_LOOKED_AT_MAX_S: Final = 300.0
"""In calm weather: in a storm every mirror may be out of reach for as long as it lasts."""


class Disasters:
    """Brings them about; each is a task of the universe."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._images: dict[Misfortune, object] = {}
        self._busy = False
        self._wipes_at_raise = universe.plan.crawl.wiped_at_raise
        kvsp = universe.sites[Side.KVSP]
        assert isinstance(kvsp, Site)
        kvsp.on_raise = self._wipe_at_raise
        self.struck = 0
        self._wiped_s = float("-inf")
        self._wiped = Side.KVSP
        self.disks_lost = 0
        self.kvsp_forgot = 0
        """How often KVSP, or a cluster of it, was wiped or restored."""

    def prepare(self, misfortune: Misfortune) -> None:
        """Copies what is to be restored later, in its time."""
        if misfortune.what is Disaster.RESTORE:
            at_s = misfortune.at_s - misfortune.copied_s
            self._universe.loop.call_at(max(at_s, 0.1), self._copy, misfortune)

    async def strike(self, misfortune: Misfortune, until_s: float) -> None:
        """Lets it happen, if a moment for it comes before `until_s`."""
        match misfortune.what:
            case Disaster.WIPE_KVSP:
                if await self._moment([*self.keys, *_REGISTRY], Side.KVSP, until_s):
                    self.wipe(Side.KVSP)
            case Disaster.WIPE_S3:
                if await self._moment([*self.keys, *_REGISTRY], Side.S3, until_s):
                    self.wipe(Side.S3)
            case Disaster.RESTORE:
                await self._restore(misfortune, until_s)
            case Disaster.DISK:
                self.lose_disk(misfortune.which)

    def _wipe_at_raise(self) -> None:
        """KVSP is wiped just before floors rise for the first time, unless it alone has something:
        no mirror knows yet what it was."""
        due, self._wipes_at_raise = self._wipes_at_raise, False
        if due and all(self._is_elsewhere(key, Side.KVSP) for key in self.keys):
            self.wipe(Side.KVSP)

    @property
    def keys(self) -> list[Key]:
        """All keys that were ever written."""
        return sorted(self._universe.oracles.by_key)

    def wipe(self, side: Side) -> None:
        """A home loses everything at once."""
        self._universe.history.note("disaster", f"{side.value} is wiped")
        self._universe.sites[side].wipe()
        self._universe.ledger.forgot(side, self.keys)
        self.struck += 1
        self.kvsp_forgot += side is Side.KVSP
        self._wiped_s, self._wiped = self._universe.loop.time(), side

    def is_unnoticed(self, trust: Trust, namespace: str, since_s: float) -> bool:
        """Whether a home was emptied since then, or lately and whoever has this trust does not know
        it yet."""
        lately = self._universe.loop.time() - self._wiped_s < _NOTICED_S
        unknown = lately and self._wiped not in trust.behind(namespace)
        return unknown or self._wiped_s >= since_s

    def explain_lives(self) -> None:
        """A cluster begins a new life only when it has forgotten something."""
        kvsp = self._universe.sites[Side.KVSP]
        assert isinstance(kvsp, Site)
        lives = at_once(kvsp.rows.clusters(1.0))
        assert not isinstance(lives, Failed)
        for life in lives:
            if life_of(life.incarnation) > self.kvsp_forgot:
                self._universe.oracles.fail(f"{life.name} has begun a new life for nothing")

    async def _moment(self, keys: Sequence[Key], side: Side, until_s: float) -> bool:
        """Waits until all that `side` holds of the keys, and of the registry, is in the other home
        too."""
        while self._universe.loop.time() < until_s:
            if all(self._is_elsewhere(key, side) for key in (*_REGISTRY, *keys)):
                return True
            await asyncio.sleep(_TRY_EACH_S)
        return False

    def _is_elsewhere(self, key: Key, side: Side) -> bool:
        sites = self._universe.sites
        here, there = version_of(sites[side].held(key)), version_of(sites[side.other].held(key))
        if there >= here:
            return there == NO_VERSION or not sites[side.other].is_corrupt(key)
        return side is Side.S3 and here <= self._universe.floor(key)

    async def _restore(self, misfortune: Misfortune, until_s: float) -> None:
        """As `docs/operations.md` tells: KVSP is switched off on every gateway meanwhile."""
        cluster, keys = self._cluster(misfortune)
        if misfortune not in self._images or self._busy:
            return
        self._busy = True
        self._switch(HomeSwitch(reads=False, writes=False))
        await asyncio.sleep(_SWITCHED_S)
        if await self._moment([*keys, *_REGISTRY], Side.KVSP, until_s):
            self._universe.history.note("disaster", f"cluster {misfortune.which} is restored")
            cluster.restore(self._images[misfortune])
            self._universe.ledger.forgot(Side.KVSP, keys)
            self.struck += 1
            self.kvsp_forgot += 1
            await self._looked_at()
        self._switch(HomeSwitch())
        self._busy = False

    async def _looked_at(self) -> None:
        """Waits until a crawler has compared the clusters with their mirrors, or nothing is left of
        what was restored: KVSP is given its store id only where it is used."""
        crawlers = self._universe.crawlers
        seen = [(one.renewing, one.renewing.looks + 1 if one.renewing else 0) for one in crawlers]
        since_s = self._universe.loop.time()
        until_s = max(since_s, self._universe.plan.storm_s) + _LOOKED_AT_MAX_S
        while self._universe.loop.time() < until_s:
            if self._wiped is Side.KVSP and self._wiped_s >= since_s:
                return
            for crawler, (renewing, looks) in zip(crawlers, seen, strict=True):
                now = crawler.renewing
                if now is not None and now.looks > (looks if now is renewing else 0):
                    return
            await asyncio.sleep(_TRY_EACH_S)
        self._universe.oracles.fail("liveness: no crawler has looked at the restored cluster")

    def _switch(self, switch: HomeSwitch) -> None:
        self._universe.history.note("operator", f"kvsp: {switch}")
        for host in self._universe.hosts:
            host.switch(Side.KVSP, switch)

    def _copy(self, misfortune: Misfortune) -> None:
        self._images[misfortune] = self._cluster(misfortune)[0].image()

    def _cluster(self, misfortune: Misfortune) -> tuple[MemoryHome, list[Key]]:
        site = self._universe.sites[Side.KVSP]
        assert isinstance(site, Site)
        home = site.home
        assert isinstance(home, MemoryStripes)
        cluster = home.all[misfortune.which % len(home.all)]
        return cluster, [key for key in self.keys if home.cluster_of(key) is cluster]

    def lose_disk(self, which: int) -> None:
        """A machine comes back without its disk: journal, queue, trust and clock bound are gone."""
        host = self._universe.hosts[which % len(self._universe.hosts)]
        host.crash()
        host.lose_disk()
        self._universe.machines[host.name].forget_all()
        self.struck += 1
        self.disks_lost += 1
        self._universe.loop.call_later(1.0, host.boot)
