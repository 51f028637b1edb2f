"""One universe: machines, homes and clients through a storm, then calm, then the checks."""

import asyncio
import contextlib
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tandem.backends.port import Backend
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.envelope import seal
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.mode import Mode
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.request import Read, Write
from tandem.core.version import NO_VERSION, Version
from tandem.core.write_race import AckPolicy
from tests.memory.home import MemoryHome
from tests.memory.stripes import MemoryStripes
from tests.sim import loop as virtual
from tests.sim.calm import Calm
from tests.sim.clients import Client
from tests.sim.crawlers import CALM_PAUSE_S, Crawler, CrawlerGround, NearGateways
from tests.sim.disasters import Disasters
from tests.sim.draw import draw
from tests.sim.faults import Link, Weather
from tests.sim.history import Crashed, History
from tests.sim.host import Host
from tests.sim.journey import Journey
from tests.sim.ledger import version_of
from tests.sim.loop import VirtualClock, VirtualLoop
from tests.sim.moves import Moves
from tests.sim.oracles import Oracles
from tests.sim.plan import DAWN_S, MOVED, Plan, Sort
from tests.sim.rebuilding import Rebuilding
from tests.sim.s3_store import ObjectStore, s3_home
from tests.sim.scenes import Scenes
from tests.sim.scope import Scope
from tests.sim.sites import FaultyObjects, FaultyRows, Site
from tests.sim.storm import Storm
from tests.sim.told import Told
from tests.sim.worker import (
    POLICIES,
    READ_BOUNDS,
    READ_DEADLINE_S,
    STORE_ID,
    Ground,
    Worker,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one universe."""

    seed: int
    violations: Sequence[str]
    operations: int
    virtual_s: float
    digest: str
    lines: Sequence[str]


def plan_of(seed: int, sort: Sort | None = None) -> Plan:
    """What the universe of a seed is like."""
    return draw(Random(seed), sort)


def simulate(
    seed: int, plan: Plan, *, tracing: bool = False, until_broken: bool = False
) -> Outcome:
    """Runs a universe from beginning to end: the one of the seed, if the plan is the seed's.
    Raises Violation at the first one, if that is to end it."""

    async def main() -> Outcome:
        universe = Universe(seed, plan, tracing=tracing)
        universe.oracles.ends_at_once = until_broken
        await universe.run()
        return universe.outcome()

    bounds = plan.crawl.bounds
    with bounds.in_force() if bounds else contextlib.nullcontext():
        return virtual.run(main())


class Universe:
    """Everything there is, and what befalls it."""

    def __init__(self, seed: int, plan: Plan, *, tracing: bool) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan
        self.loop: VirtualLoop = virtual.current()
        self.history = History(self.loop, tracing=tracing)
        self.oracles = Oracles(self.loop, self.history)
        if self.plan.real_s3_client:
            self.oracles.list_lag_s = self.plan.crawl.profile.list_lag_s
        remembers = self.plan.crawl.bounds or READ_BOUNDS
        self.oracles.remembered_s = remembers.remembered_s - READ_DEADLINE_S
        self.ledger = self.oracles.ledger
        self.weather = {
            side: Weather(
                self.plan.rates[side],
                self.plan.windows[side],
                self.plan.late_s,
                self.plan.verbs.get(side, {}),
            )
            for side in Side
        }
        self.crawl_weather = self._crawl_weather()
        self.fine = Weather((), ())
        self.home_clocks = {side: self._clock(0.2) for side in Side}
        self.sites: dict[Side, Site | ObjectStore] = {side: self._site(side) for side in Side}
        ground = Ground(
            self.loop, self.history, Random(self.random.getrandbits(64)), self.home_of,
            self.link_of, self.plan.queue_s, self.read_mode_of, self.mode_of, bool(self.plan.steps),
        )  # fmt: skip
        self.hosts = [
            Host(ground, f"m{n}", n + 1, self._clock(24 * 3600), self.plan.workers)
            for n in range(self.plan.hosts)
        ]
        self.machines = {host.name: Scope(host.name) for host in self.hosts}
        self.told = Told(self)
        self.ledger.on_change = self.told.touches.touched
        self.oracles.s3_changed_s = self.told.touches.s3_changed_s
        self.disasters = Disasters(self)
        self.oracles.home_was_lost = lambda: self.disasters.struck > 0
        self.moves = Moves(self)
        self.journey = Journey(self)
        self.crawlers = self._crawlers()
        self.storm = Storm(self)
        self.rebuilding = Rebuilding(self)
        self.is_calm = False

    def outcome(self) -> Outcome:
        """What came of it."""
        return Outcome(
            self.seed,
            self.oracles.violations,
            len(self.oracles.operations) + self.oracles.reads,
            self.loop.time(),
            self.history.digest(),
            self.history.lines,
        )

    async def run(self) -> None:
        """Storm, calm, checks."""
        self.history.note("plan", str(self.plan))
        self.storm.begin()
        for host in self.hosts:
            host.boot()
        clients = [
            Client(f"c{n}", self, Random(self.random.getrandbits(64)), self.plan)
            for n in range(self.plan.clients)
        ]
        await asyncio.sleep(DAWN_S)
        storm = [self.loop.create_task(client.run()) for client in clients]
        storm += Scenes(self).begin(self.plan.scenes)
        self.journey.begin(self.plan.steps)
        self.rebuilding.begin(self.plan.rebuild)
        await asyncio.sleep(self.plan.storm_s)
        await Calm(self).run(storm)
        self.disasters.explain_lives()
        for error in self.loop.errors:
            if not isinstance(error, Crashed | CancelledError):
                self.oracles.fail(f"a callback raised {error!r}")

    def read_mode_of(self, namespace: str) -> ReadMode:
        """How a namespace is read in this universe."""
        return self.plan.read_modes[sorted(POLICIES).index(namespace)]

    def mode_of(self, namespace: str) -> Mode:
        """Which homes a namespace is written to and read from in this universe."""
        if self.plan.moves and namespace == MOVED:
            return self.moves.mode
        return self.plan.modes[sorted(POLICIES).index(namespace)]

    def link_of(self, worker: str, machine: str, side: Side) -> Link:
        """A way from a worker to a home."""
        return self._link(worker, machine, side, self.weather[side])

    def _link(self, process: str, machine: str, side: Side, weather: Weather) -> Link:
        random = Random(self.random.getrandbits(64))
        name = f"{process}>{side.value}"
        return Link(self.loop, name, machine, weather, random, self.history)

    def ways(self, name: str) -> tuple[Mapping[Side, Link], Mapping[Side, Backend]]:
        """A crawler's ways to both homes, and the homes at their ends."""
        links = {side: self._link(name, "", side, self.crawl_weather[side]) for side in Side}
        return links, {side: self.home_of(link, side) for side, link in links.items()}

    def fine_ways(self, name: str) -> tuple[Mapping[Side, Link], Mapping[Side, Backend]]:
        """The same without weather."""
        links = {
            side: Link(self.loop, f"{name}>{side.value}", "", self.fine, self.random, self.history)
            for side in Side
        }
        return links, {side: self.home_of(link, side) for side, link in links.items()}

    def home_of(self, link: Link, side: Side) -> Backend:
        """The home at the end of a way."""
        site = self.sites[side]
        if isinstance(site, ObjectStore):
            return s3_home(site, link, self._clock(3600))
        return FaultyRows(site, link) if side is Side.KVSP else FaultyObjects(site, link)

    def floor(self, key: Key) -> Version:
        """At or below which version KVSP inserts nothing under `key`."""
        kvsp = self.sites[Side.KVSP]
        assert isinstance(kvsp, Site)
        return kvsp.floor(key)

    def read_may_fail(self, worker: Worker, read: Read) -> bool:
        """See `clients.Surroundings`: where both homes have faults, where only the sick home has
        what is wanted, or while the worker does not know how it is kept."""
        if self.plan.sick is None or not worker.knows_modes:
            return True
        return self._out_of_reach(worker, read.key, read.min_version)

    def write_may_fail(self, worker: Worker, write: Write) -> bool:
        """See `clients.Surroundings`: where both homes have faults or must have the write."""
        if self.plan.sick is None or not worker.knows_modes:
            return True
        return POLICIES[write.key.namespace] is AckPolicy.BOTH

    def list_may_fail(self, worker: Worker, namespace: str) -> bool:
        """See `clients.Surroundings`: where a read of one of its names may."""
        keys = [key for key in self.oracles.by_key if key.namespace == namespace]
        if self.plan.sick is None or not worker.knows_modes:
            return True
        return any(self._out_of_reach(worker, key, NO_VERSION) for key in keys)

    def loss_is_unnoticed(self, worker: Worker, namespace: str, since_s: float) -> bool:
        """See `clients.Surroundings`."""
        return self.disasters.is_unnoticed(worker.trust, namespace, since_s)

    def _out_of_reach(self, worker: Worker, key: Key, wanted: Version) -> bool:
        assert self.plan.sick is not None
        known = worker.host.memory.lookup([key], 0)[0]
        if known is not None and known.pinned and known.record is None:
            wanted = max(known.version, wanted)
        return version_of(self.sites[self.plan.sick.other].held(key)) < wanted

    def _crawl_weather(self) -> Mapping[Side, Weather]:
        verbs = self.plan.crawl.verbs
        if verbs is None:
            return self.weather
        return {side: Weather((), (), self.plan.late_s, verbs[side]) for side in Side}

    @property
    def all_weather(self) -> Sequence[Weather]:
        """Of all ways between processes and homes."""
        return *self.weather.values(), *self.crawl_weather.values()

    def _site(self, side: Side) -> Site | ObjectStore:
        clock, crawl = self.home_clocks[side], self.plan.crawl
        site: Site | ObjectStore
        if side is Side.KVSP:
            site = Site(MemoryStripes(clock, crawl.clusters), self.ledger)
        elif self.plan.real_s3_client:
            site = ObjectStore(clock, crawl.profile, self.ledger)
        else:
            site = Site(MemoryHome(side, clock, removes=crawl.removes), self.ledger)
        site.place(STORE_ID_KEY, seal(Version.at(1), STORE_ID.encode()))
        for namespace in POLICIES:
            policy, read_mode = POLICIES[namespace], self.read_mode_of(namespace)
            settings = Settings(ack_policy=policy, read_mode=read_mode)
            value = encode_namespace(Namespace(namespace, f"title of {namespace[0]}", settings))
            key = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{namespace}")
            site.place(key, seal(Version.at(1), value))
        return site

    def _crawlers(self) -> list[Crawler]:
        plan = self.plan.crawl
        calm_pause_s = max(plan.pause_s, CALM_PAUSE_S) if plan.grave else CALM_PAUSE_S
        ground = CrawlerGround(
            self.loop, self.history, Random(self.random.getrandbits(64)),
            NearGateways(self.hosts), self.ways, plan.collects, plan.pause_s, calm_pause_s,
            plan.page_names, plan.rest_s, lambda: self.told, deep=bool(self.plan.corruptions),
        )  # fmt: skip
        ids = ["crawler" if plan.same_id else f"crawler{n}" for n in range(2)]
        return [Crawler(ground, f"w{n}", one) for n, one in enumerate(ids)]

    def _clock(self, apart_s: float) -> VirtualClock:
        return VirtualClock(
            self.loop,
            offset_us=round(self.random.uniform(-apart_s, apart_s) * 1e6),
            drift_ppm=self.random.randint(-100, 100),
            booted_us=self.random.randrange(10**12),
        )
