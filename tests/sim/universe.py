"""One universe: machines, homes and clients through a storm, then calm, then the checks."""

import asyncio
from asyncio import CancelledError
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from crawler.crawl import Crawl
from crawler.report import CrawlRule
from kvgateway.state.switches import HomeSwitch
from tandem.backends.memory import MemoryHome
from tandem.backends.port import Backend, Heal
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.race import AckPolicy
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.request import Read, Write
from tandem.core.version import NO_VERSION, Version
from tests.sim import loop as virtual
from tests.sim.calm import Calm
from tests.sim.clients import Client
from tests.sim.faults import FaultyHome, Link, Site, Weather
from tests.sim.history import Crashed, History
from tests.sim.host import POLICIES, STORE_ID, Ground, Host, Worker
from tests.sim.loop import VirtualClock, VirtualLoop
from tests.sim.oracles import Operation, Oracles, Scope
from tests.sim.plan import DAWN_S, Blow, Plan, draw
from tests.sim.s3_store import ObjectStore, s3_home

CRAWL = CrawlRule(page_names=7, settle_s=0.5)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one universe."""

    seed: int
    violations: Sequence[str]
    operations: int
    virtual_s: float
    digest: str
    lines: Sequence[str]


def simulate(seed: int, *, tracing: bool = False) -> Outcome:
    """Runs the universe of a seed from beginning to end."""

    async def main() -> Outcome:
        universe = Universe(seed, tracing=tracing)
        await universe.run()
        return universe.outcome()

    return virtual.run(main())


class Universe:
    """Everything there is, and what befalls it."""

    def __init__(self, seed: int, *, tracing: bool) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan: Plan = draw(Random(self.random.getrandbits(64)))
        self.loop: VirtualLoop = virtual.current()
        self.history = History(self.loop, tracing=tracing)
        self.oracles = Oracles(self.loop, self.history)
        self.weather = {
            side: Weather(self.plan.rates[side], self.plan.windows[side]) for side in Side
        }
        self.fine = Weather((), ())
        self.sites: dict[Side, Site | ObjectStore] = {side: self._site(side) for side in Side}
        ground = Ground(
            self.loop, self.history, Random(self.random.getrandbits(64)), self.home_of,
            self.link_of, self.plan.queue_s, self.read_mode_of, self.mode_of,
        )  # fmt: skip
        self.hosts = [
            Host(ground, f"m{n}", n + 1, self._clock(24 * 3600), self.plan.workers)
            for n in range(self.plan.hosts)
        ]
        self.machines = {host.name: Scope(host.name) for host in self.hosts}

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
        self._befall()
        for host in self.hosts:
            host.boot()
        clients = [
            Client(f"c{n}", self, Random(self.random.getrandbits(64)), self.plan)
            for n in range(self.plan.clients)
        ]
        await asyncio.sleep(DAWN_S)
        storm = [self.loop.create_task(client.run()) for client in clients]
        await asyncio.sleep(self.plan.storm_s)
        await Calm(self).run(storm)
        for error in self.loop.errors:
            if not (self.plan.blows and isinstance(error, Crashed | CancelledError)):
                self.oracles.fail(f"a callback raised {error!r}")

    def read_mode_of(self, namespace: str) -> ReadMode:
        """How a namespace is read in this universe."""
        return self.plan.read_modes[sorted(POLICIES).index(namespace)]

    def mode_of(self, namespace: str) -> Mode:
        """Which homes a namespace is written to and read from in this universe."""
        return self.plan.modes[sorted(POLICIES).index(namespace)]

    def link_of(self, worker: str, machine: str, side: Side) -> Link:
        """A way from a worker to a home."""
        random = Random(self.random.getrandbits(64))
        name = f"{worker}>{side.value}"
        return Link(self.loop, name, machine, self.weather[side], random, self.history)

    def fine_link(self, side: Side) -> Link:
        """A way without weather."""
        return Link(self.loop, f"crawler>{side.value}", "", self.fine, self.random, self.history)

    def home_of(self, link: Link, side: Side) -> Backend:
        """The home at the end of a way."""
        site = self.sites[side]
        if isinstance(site, Site):
            return FaultyHome(site, link)
        return s3_home(site, link, self._clock(3600))

    async def crawl(self) -> None:
        """A whole crawl of every namespace, of which all workers are told."""
        homes = {side: self.home_of(self.link_of("crawler", "", side), side) for side in Side}
        await self.crawl_over(homes)

    async def crawl_over(self, homes: dict[Side, Backend]) -> list[str]:
        """The same over these homes; what stayed unequal."""
        found = []
        for namespace in POLICIES:
            report = await Crawl(homes, namespace, CRAWL).run()
            self.history.note("crawler", str(report))
            found += [report.failure, *report.unhealed] if not report.equal else []
            if report.equal:
                for host in self.hosts:
                    for worker in host.living():
                        worker.trust.crawled(namespace, report.began_at_us)
        return found

    def read_may_fail(self, worker: Worker, read: Read) -> bool:
        """See `clients.Surroundings`: where both homes have faults, or where only the sick home
        has what is wanted."""
        return self.plan.sick is None or self._out_of_reach(worker, read.key, read.min_version)

    def write_may_fail(self, write: Write) -> bool:
        """See `clients.Surroundings`: where both homes have faults or must have the write."""
        return self.plan.sick is None or POLICIES[write.key.namespace] is AckPolicy.BOTH

    def list_may_fail(self, worker: Worker, namespace: str) -> bool:
        """See `clients.Surroundings`: where a read of one of its names may."""
        keys = [key for key in self.oracles.by_key if key.namespace == namespace]
        return self.plan.sick is None or any(
            self._out_of_reach(worker, key, NO_VERSION) for key in keys
        )

    def _out_of_reach(self, worker: Worker, key: Key, wanted: Version) -> bool:
        assert self.plan.sick is not None
        known = worker.host.memory.lookup([key], 0)[0]
        if known is not None and known.pinned and known.record is None:
            wanted = max(known.version, wanted)
        held = self.sites[self.plan.sick.other].held(key)
        return (NO_VERSION if held is None else held.version) < wanted

    def _site(self, side: Side) -> Site | ObjectStore:
        clock = self._clock(0.2)
        record = seal(Version.at(1), STORE_ID.encode())
        if side is Side.S3 and self.plan.real_s3_client:
            store = ObjectStore(clock)
            store.place(STORE_ID_KEY, record)
            return store
        site = Site(MemoryHome(side, clock))
        site.put(STORE_ID_KEY, record, Heal(clock.now_us()))
        return site

    def _clock(self, apart_s: float) -> VirtualClock:
        return VirtualClock(
            self.loop,
            offset_us=round(self.random.uniform(-apart_s, apart_s) * 1e6),
            drift_ppm=self.random.randint(-100, 100),
            booted_us=self.random.randrange(10**12),
        )

    def _befall(self) -> None:
        plan = self.plan
        for blow in plan.blows:
            if blow.after_write is None:
                self.loop.call_at(blow.at_s, self._after_turns, blow)
        self.oracles.on_stamped = self._stamped
        for flip in plan.flips:
            self.loop.call_at(flip.at_s, self._flip, flip.side, HomeSwitch(flip.reads, flip.writes))
            self.loop.call_at(flip.back_s, self._flip, flip.side, HomeSwitch())
        for at_s, side in plan.corruptions:
            self.loop.call_at(at_s, self._corrupt, side)
        for at_s in plan.crawls:
            self.loop.call_at(at_s, self._begin_crawl)
        if plan.journal_fails is not None:
            begins_s, ends_s = plan.journal_fails
            self.loop.call_at(begins_s, self._journals, False)
            self.loop.call_at(ends_s, self._journals, True)

    def _stamped(self, operation: Operation) -> None:
        for blow in self.plan.blows:
            if blow.after_write == operation.number:
                self._after_turns(blow)

    def _after_turns(self, blow: Blow) -> None:
        self.loop.after_turns(blow.turns, lambda: self._strike(blow))

    def _strike(self, blow: Blow) -> None:
        host = self.hosts[blow.host]
        if blow.worker is not None:
            host.kill(blow.worker)
            return
        host.crash()
        self.machines[host.name].forget_reads()
        self.loop.call_later(blow.down_s, host.boot)

    def _flip(self, side: Side, switch: HomeSwitch) -> None:
        self.history.note("operator", f"{side.value}: {switch}")
        for host in self.hosts:
            host.switch(side, switch)

    def _corrupt(self, side: Side) -> None:
        """One copy goes bad of which the other home has a good one."""
        for key in sorted(self.oracles.by_key):
            ours, theirs = self.sites[side].held(key), self.sites[side.other].held(key)
            good = ours is not None and not self.sites[side.other].is_corrupt(key)
            if good and ours == theirs and self.random.random() < 0.5:
                self.history.note("disk", f"{side.value}: {key.name} goes bad")
                self.sites[side].corrupt(key)
                return

    def _begin_crawl(self) -> None:
        self._crawling = self.loop.create_task(self.crawl())

    def _journals(self, writable: bool) -> None:
        for host in self.hosts:
            for worker in host.living():
                worker.journal.writable = writable
