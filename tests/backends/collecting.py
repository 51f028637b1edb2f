"""Two homes in memory, a small crawl of them, and disasters: what tests of the collector share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from tandem.backends.clusters import Clusters, look_at_clusters, renew_behind
from tandem.backends.collect import (
    Allowance,
    Collected,
    CollectedHomes,
    Stopped,
    collect,
    sweep,
)
from tandem.backends.heal import heal
from tandem.backends.port import Backend, CollectableObjects, CollectableRows
from tandem.core.collect import Collection, CollectRule, CrawlSeen, DeadRecord, collection, remains
from tandem.core.key import Key
from tandem.core.mass_change import NeedsPerson
from tandem.core.read_race import Answer, ReadRace, in_sync
from tandem.core.record import Record
from tandem.core.removal import Renewed, Span
from tandem.core.reply import Failed, Found, Missing, Side
from tandem.core.version import Version
from tandem.runtime.randomness import SystemEntropy
from tests.memory.home import MemoryHome

NAMESPACE: Final = "ab" * 16
DEADLINE_S: Final = 5.0
NOW_US: Final = 1_800_000_000_000_000
HOUR_US: Final = 3_600_000_000
RULE: Final = CollectRule()
PLENTY: Final = Allowance(1_000_000)
ABOVE_ALL: Final = Version(b"\xff" * 16)


@dataclass
class SetClock:
    us: int = NOW_US

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class Slow:
    """A home whose every call gives way before it does anything and after it has done it."""

    def __init__(self, home: MemoryHome) -> None:
        self._home = home
        self.calls: list[str] = []
        self.fails: Callable[[str], object | None] = lambda call: None
        """What a call answers instead, by its name."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands in for every method
        what = getattr(self._home, name)
        if not callable(what):
            return what

        async def call(*arguments: object, **named: object) -> object:
            self.calls.append(name)
            await asyncio.sleep(0)
            failed = self.fails(name)
            if failed is not None:
                return failed
            done = await what(*arguments, **named)
            await asyncio.sleep(0)
            return done

        return call


@dataclass
class World:
    """Both homes and what may be done to them."""

    removes: bool = True
    clock: SetClock = field(default_factory=SetClock)

    def __post_init__(self) -> None:
        self.sql = MemoryHome(Side.KVSP, self.clock)
        self.s3 = MemoryHome(Side.S3, self.clock, removes=self.removes)
        self.slow_sql, self.slow_s3 = Slow(self.sql), Slow(self.s3)
        self.homes = CollectedHomes(
            cast(CollectableRows, self.slow_sql), cast(CollectableObjects, self.slow_s3),
            SystemEntropy(), DEADLINE_S,
        )  # fmt: skip

    @property
    def by_side(self) -> Mapping[Side, Backend]:
        return {Side.KVSP: self.sql, Side.S3: self.s3}

    def place(self, name: str, record: Record, *homes: MemoryHome) -> None:
        """Puts a record into both homes, or those given, as if written long ago."""
        for home in homes or (self.sql, self.s3):
            home.place(Key(NAMESPACE, name), record)

    async def held(self, home: MemoryHome, name: str) -> Record | None:
        reply = await home.get(Key(NAMESPACE, name), DEADLINE_S)
        return reply.record if isinstance(reply, Found) else None

    async def floor(self, name: str = "no such name") -> Version:
        reply = await self.sql.get(Key(NAMESPACE, name), DEADLINE_S)
        assert isinstance(reply, Missing)
        return reply.floor

    async def read(self, name: str, first: Side = Side.KVSP) -> Record | None:
        """What a gateway answers, the homes replying in this order."""
        race = ReadRace()
        for side in (first, first.other):
            reply = await self.by_side[side].get(Key(NAMESPACE, name), DEADLINE_S)
            outcome = race.on_reply(side, reply)
            if isinstance(outcome, Answer):
                record = outcome.record
                return record if record and record.live_at(self.clock.us / 1e6) else None
        raise AssertionError("both homes answer")

    async def clusters(self) -> Clusters:
        found = await look_at_clusters(self.sql, self.s3, DEADLINE_S)
        assert isinstance(found, Clusters), found
        return found

    async def crawl(self) -> "Crawled":
        """Looks at every key in both homes, without healing."""
        began = await self.clusters()
        names: dict[str, None] = {}
        for home in (self.sql, self.s3):
            page = await home.scan(
                NAMESPACE, after="", prefix="", limit=1000, deadline_s=DEADLINE_S
            )
            assert not isinstance(page, Failed)
            names |= dict.fromkeys(entry.name for entry in page.entries)
        crawled = Crawled(began, self.clock.us)
        for name in names:
            await self._look(name, crawled)
        return crawled

    async def _look(self, name: str, crawled: "Crawled") -> None:
        key = Key(NAMESPACE, name)
        kvsp, s3 = [await home.get(key, DEADLINE_S) for home in (self.sql, self.s3)]
        assert isinstance(kvsp, Found | Missing)
        assert isinstance(s3, Found | Missing)
        if isinstance(kvsp, Found) and not kvsp.record.live_at(self.clock.us / 1e6):
            record = kvsp.record
            crawled.dead.append(
                DeadRecord(name, record.version, record.digest, record.expires_at_s)
            )
        if not in_sync(kvsp, s3):
            crawled.unequal[name] = min(
                reply.record.version for reply in (kvsp, s3) if isinstance(reply, Found)
            )
        if isinstance(kvsp, Missing) and remains(kvsp, s3) is not None:
            crawled.remains.append(name)

    async def round(self) -> "Round":
        """What a crawler does: renew, crawl, heal, crawl, collect, sweep."""
        clusters = await self.clusters()
        renewed = await renew_behind(self.sql, self.s3, clusters, SystemEntropy(), DEADLINE_S)
        assert all(isinstance(outcome, Renewed) for outcome in renewed.values())
        for name in (await self.crawl()).unequal:
            await heal(self.by_side, Key(NAMESPACE, name), DEADLINE_S)
        seen = await self.crawl()
        swept = await sweep(self.homes, NAMESPACE, seen.remains, seen.clusters.incarnations, PLENTY)
        plan = seen.plan()
        collected = await collect(self.homes, plan, PLENTY)
        return Round(len(renewed), swept, collected)


@dataclass
class Crawled:
    """What a crawl found."""

    clusters: Clusters
    began_us: int
    dead: list[DeadRecord] = field(default_factory=list)
    unequal: dict[str, Version] = field(default_factory=dict)
    remains: list[str] = field(default_factory=list)

    def plan(self) -> Collection:
        through = min(self.unequal.values(), default=ABOVE_ALL)
        if self.unequal:
            through = Version((int.from_bytes(through, "big") - 1).to_bytes(16, "big"))
        named = self.clusters.incarnations
        seen = CrawlSeen(
            Span(NAMESPACE), self.began_us, self.began_us, True, through, dirty=False,
            healthy=True, incarnations_begun=named, incarnations_ended=named,
        )  # fmt: skip
        plan = collection(seen, self.dead, RULE)
        assert isinstance(plan, Collection), plan
        return plan


@dataclass(frozen=True)
class Round:
    renewed: int
    swept: Collected | Stopped | NeedsPerson
    collected: Collected | Stopped | NeedsPerson


async def settled(world: World, rounds_max: int = 8) -> None:
    """Runs rounds until one finds nothing to do."""
    for _ in range(rounds_max):
        done = await world.round()
        crawl = await world.crawl()
        nothing = Collected()
        if done == Round(0, nothing, nothing) and not crawl.unequal:
            return
    raise AssertionError(f"no end after {rounds_max} rounds: {done}")
