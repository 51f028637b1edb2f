"""What befalls a universe, each at its time: deaths, switches, wrong clocks, disks, disasters."""

import asyncio
from typing import TYPE_CHECKING

from kvgateway.state.switches import HomeSwitch
from tandem.core.reply import Side
from tests.sim.crawlers import Crawler
from tests.sim.host import Host
from tests.sim.oracles import Operation
from tests.sim.plan import Blow, ClockJump
from tests.sim.plan_crawl import CrawlerBlow, Misfortune
from tests.sim.s3_store import ObjectStore

if TYPE_CHECKING:
    from tests.sim.universe import Universe


class Storm:
    """Brings about what was planned; `begin` sets all of it."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._loop = universe.loop
        self._plan = universe.plan
        self._wrong_clocks: list[ClockJump] = []
        self.misfortunes: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Everything is to happen at its time."""
        self._befall_machines()
        self._befall_homes()
        self._befall_crawlers()
        self._befall_disks()

    def _befall_machines(self) -> None:
        for blow in self._plan.blows:
            if blow.after_write is None:
                self._loop.call_at(blow.at_s, self._after_turns, blow)
        self._universe.oracles.on_stamped = self._stamped
        for at_s, host, for_s in self._plan.stops:
            self._loop.call_at(at_s, self._host(host).stop, for_s)
        for at_s, host in self._plan.forgets:
            self._loop.call_at(at_s, self._empty_memory, self._host(host))
        for at_s, host, by_s in self._plan.clock_steps:
            self._loop.call_at(at_s, self._host(host).clock.step, int(by_s * 1e6))

    def _befall_homes(self) -> None:
        for flip in self._plan.flips:
            switch = HomeSwitch(flip.reads, flip.writes)
            self._loop.call_at(flip.at_s, self._flip, flip.side, switch)
            self._loop.call_at(flip.back_s, self._flip, flip.side, HomeSwitch())
        for at_s, mode in self._plan.moves:
            self._loop.call_at(at_s, self._universe.moves.step, mode)
        store = self._universe.sites[Side.S3]
        if isinstance(store, ObjectStore):
            for begins_s, for_s, by_s in self._plan.wrong_dates:
                self._loop.call_at(begins_s, self._date_wrongly, store, for_s, by_s)
        for jump in self._plan.clock_jumps:
            self._loop.call_at(jump.begins_s, self._set_wrong, jump)
        for misfortune in self._plan.crawl.misfortunes:
            self._universe.disasters.prepare(misfortune)
            self._loop.call_at(misfortune.at_s, self._befalls, misfortune)

    def _befall_crawlers(self) -> None:
        for at_s, crawler in zip(self._plan.crawls, self._universe.crawlers, strict=False):
            self._loop.call_at(at_s, crawler.start)
        for blow in self._plan.crawl.blows:
            self._loop.call_at(blow.at_s, self._strike_crawler, blow)

    def _befall_disks(self) -> None:
        for at_s, side in self._plan.corruptions:
            self._loop.call_at(at_s, self._corrupt, side)
        if self._plan.journal_fails is not None:
            begins_s, ends_s = self._plan.journal_fails
            self._loop.call_at(begins_s, self._journals, False)
            self._loop.call_at(ends_s, self._journals, True)
        if self._plan.queue_fails is not None:
            begins_s, ends_s = self._plan.queue_fails
            self._loop.call_at(begins_s, self._queues, False)
            self._loop.call_at(ends_s, self._queues, True)

    def _host(self, number: int) -> Host:
        return self._universe.hosts[number % len(self._universe.hosts)]

    def _stamped(self, operation: Operation) -> None:
        for blow in self._plan.blows:
            if blow.after_write == operation.number:
                self._after_turns(blow)

    def _after_turns(self, blow: Blow) -> None:
        self._loop.after_turns(blow.turns, lambda: self._strike(blow))

    def _strike(self, blow: Blow) -> None:
        host = self._host(blow.host)
        if blow.worker is not None:
            host.kill(blow.worker % self._plan.workers)
            return
        host.crash()
        self._universe.machines[host.name].forget_reads()
        self._loop.call_later(blow.down_s, host.boot)

    def _empty_memory(self, host: Host) -> None:
        if host.living():
            host.empty_memory()
            self._universe.machines[host.name].empty(self._loop.time())

    def _flip(self, side: Side, switch: HomeSwitch) -> None:
        self._universe.history.note("operator", f"{side.value}: {switch}")
        for host in self._universe.hosts:
            host.switch(side, switch)

    def _date_wrongly(self, store: ObjectStore, for_s: float, by_s: float) -> None:
        store.date_by(by_s)
        self._loop.call_later(for_s, store.date_by, 0.0)

    def _set_wrong(self, jump: ClockJump) -> None:
        if not self._universe.is_calm:
            self._universe.history.note("clock", f"{jump.side.value}: {jump.by_s} s off")
            self._universe.home_clocks[jump.side].step(int(jump.by_s * 1e6))
            self._wrong_clocks.append(jump)
            self._universe.oracles.wrong_clocks.began(jump.by_s, self._loop.time())
            if jump.ends_s < float("inf"):
                self._loop.call_at(jump.ends_s, self._set_right, jump)

    def set_clocks_right(self) -> None:
        """Those of the homes that are still wrong."""
        for jump in list(self._wrong_clocks):
            self._set_right(jump)

    def _set_right(self, jump: ClockJump) -> None:
        if jump in self._wrong_clocks:
            self._universe.history.note("clock", f"{jump.side.value}: right again")
            self._wrong_clocks.remove(jump)
            self._universe.oracles.wrong_clocks.ended(jump.by_s, self._loop.time())
            self._universe.home_clocks[jump.side].step(-int(jump.by_s * 1e6))

    def _corrupt(self, side: Side) -> None:
        """One copy goes bad of which the other home has a good one."""
        universe = self._universe
        site, other = universe.sites[side], universe.sites[side.other]
        for key in sorted(universe.oracles.by_key):
            held = site.held(key)
            good = held is not None and not other.is_corrupt(key)
            if good and held == other.held(key) and universe.random.random() < 0.5:
                universe.history.note("disk", f"{side.value}: {key.name} goes bad")
                site.corrupt(key)
                universe.ledger.on_change(side, key)
                return

    def _strike_crawler(self, blow: CrawlerBlow) -> None:
        self._loop.after_turns(blow.turns, lambda: self._strikes(blow))

    def _strikes(self, blow: CrawlerBlow) -> None:
        crawler = self._universe.crawlers[blow.crawler]
        if not crawler.runs or self._universe.is_calm:
            return
        if blow.dies:
            crawler.crash()
            self._loop.call_later(blow.for_s, self._restart, crawler)
        elif blow.at_page:
            crawler.pace.stop_after(blow.turns, blow.for_s)
        else:
            crawler.stop(blow.for_s)

    def _restart(self, crawler: Crawler) -> None:
        if not self._universe.is_calm:
            crawler.start()

    def _befalls(self, misfortune: Misfortune) -> None:
        strike = self._universe.disasters.strike(misfortune, self._plan.storm_s)
        task = self._loop.create_task(strike)
        task.add_done_callback(self._loop.must_not_fail)
        self.misfortunes.append(task)

    def _queues(self, writable: bool) -> None:
        for host in self._universe.hosts:
            host.disk.queue_writable = writable

    def _journals(self, writable: bool) -> None:
        for host in self._universe.hosts:
            for worker in host.living():
                worker.journal.writable = writable
