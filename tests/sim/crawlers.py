"""Crawlers, built from production's parts: rounds, ranges, leases, second looks, the collector.

The book is a crawler's disk and outlives it. The gateways are reached directly, but answer only
what a gateway's process would: a machine without a living worker is silent.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, cast
from weakref import finalize

from crawler.board import Board
from crawler.book import Book
from crawler.collecting import Collector
from crawler.deleted import DeletedNamespaces
from crawler.evidence import StoreEvidence
from crawler.kill_switches import KillSwitches, switched
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.renewing import Renewing
from crawler.report import CrawlRule
from crawler.rounds import Rounds, Work
from crawler.trouble import Trouble
from tandem.backends.collect import CollectedHomes
from tandem.backends.port import Backend, CollectableObjects, CollectableRows
from tandem.core.collect import CollectRule
from tandem.core.key import Key
from tandem.core.mass_change import MassLimit
from tandem.core.operations import CrawlReport
from tandem.core.reply import Side
from tests.sim.faults import Link
from tests.sim.history import History
from tests.sim.host import Host
from tests.sim.loop import SeededEntropy, VirtualClock, VirtualLoop
from tests.sim.standstill import context_of
from tests.sim.told import Told, WatchedBoard
from tests.sim.worker import POLICIES, Worker

RULE: Final = CrawlRule(settle_s=0.5, range_names=10, deadline_s=5.0, ranges_at_once=2)
QUEUED_MAX: Final = 100
CALM_PAUSE_S: Final = 2.0
"""Between two rounds in calm weather, in which nothing is gained by sooner ones; where something is
deleted for good there is time to rest as long as in the storm."""
IN_MEMORY: Final = Path(":memory:")
"""Where SQLite keeps a file that is no file."""
_ASK_S: Final = 0.005


class NearGateways:
    """See `crawler.gateways.RemoteGateways`: what it would learn from all machines."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = hosts

    async def enabled(self) -> frozenset[Side]:
        """The homes that no machine that answers has switched off; none when none answers."""
        await asyncio.sleep(_ASK_S)
        answers = [_uses(worker) for worker in self._answering()]
        return frozenset.intersection(*answers) if answers else frozenset()

    async def trouble(self) -> Trouble:
        """Where those that answer know of drift."""
        await asyncio.sleep(_ASK_S)
        behind: set[str] = set()
        keys: list[Key] = []
        unsure = len(self._answering()) < len(self._hosts)
        for worker in self._answering():
            queue = worker.host.disk.queue
            behind.update(n for side in Side for n in worker.trust.open_marks(side))
            unsure |= (await queue.stats()).dirty_marks > 0
            keys += [queued.task.key for queued in await queue.sample(QUEUED_MAX)]
        return Trouble(frozenset(behind), tuple(keys), unsure)

    async def tell(self, report: CrawlReport) -> None:
        """As `kvgateway.operations` takes it: one worker of each machine hears it."""
        await asyncio.sleep(_ASK_S)
        for worker in self._answering():
            if report.equal:
                worker.trust.crawled(report.namespace, report.began_at_us)
                queue = worker.host.disk.queue
                for side in Side:
                    await queue.clear_dirty(side, report.namespace, report.began_at_us)

    def _answering(self) -> list[Worker]:
        return [
            living[0] for host in self._hosts if not host.stands_still and (living := host.living())
        ]


def _uses(worker: Worker) -> frozenset[Side]:
    switches = {side: guard.switch for side, guard in worker.guards.items()}
    return frozenset(side for side, switch in switches.items() if switch.reads and switch.writes)


@dataclass(frozen=True, slots=True)
class CrawlerGround:
    """What all crawlers of a universe stand on."""

    loop: VirtualLoop
    history: History
    random: Random
    gateways: NearGateways
    ways: Callable[[str], tuple[Mapping[Side, Link], Mapping[Side, Backend]]]
    """Links and homes for a process of this name, over the weather of the storm."""
    rule: CollectRule
    pause_s: float
    calm_pause_s: float
    page_names: int
    rest_s: float
    """How long they rest before each page and each second look."""
    told: Callable[[], Told]
    """What compares their reports with the truth."""
    deep: bool
    """Whether every crawl reads the bytes of all keys."""


class Restful(Pace):
    """Rests before each request; before one of them the crawler stands still, if it is to."""

    def __init__(self, rest_s: float, stop: Callable[[float], None]) -> None:
        super().__init__()
        self._rest_s = rest_s
        self._stop = stop
        self._stops: dict[int, float] = {}
        self._due: Callable[[], bool] | None = None
        self._due_s = 0.0
        self._sent = 0

    def stop_after(self, requests: int, for_s: float) -> None:
        """The crawler is to stand still when it has sent so many more."""
        self._stops[self._sent + requests] = for_s

    def stop_when(self, due: Callable[[], bool], for_s: float) -> None:
        """The crawler is to stand still at the first request at which this is due."""
        self._due, self._due_s = due, for_s

    async def request(self) -> None:
        self._sent += 1
        for_s = self._stops.pop(self._sent, 0.0)
        if self._due is not None and self._due():
            self._due, for_s = None, self._due_s
        if for_s:
            self._stop(for_s)
        if for_s or self._rest_s:
            await asyncio.sleep(self._rest_s)


class Crawler:
    """One crawler: `start`, and again after `crash`."""

    def __init__(self, ground: CrawlerGround, name: str, crawler_id: str) -> None:
        """Two with one `crawler_id` hold every lease together."""
        self._ground = ground
        self.name = name
        self._id = crawler_id
        self.book = Book(IN_MEMORY)
        finalize(self, self.book.close)
        self.board: Board
        self.switches: KillSwitches
        self.pace: Restful
        self.renewing: Renewing | None = None
        self._links: Sequence[Link] = ()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return bool(self._tasks)

    def start(
        self,
        ways: Callable[[str], tuple[Mapping[Side, Link], Mapping[Side, Backend]]] | None = None,
    ) -> None:
        """The process begins, if it does not run, over the storm's ways or over calm ones."""
        if self.runs:
            return
        ground = self._ground
        links, homes = (ways or ground.ways)(self.name)
        self._links = list(links.values())
        entropy = SeededEntropy(Random(ground.random.getrandbits(64)))
        self.board = WatchedBoard(self.book, entropy, self.name, ground.told)
        self.switches = KillSwitches(ground.gateways.enabled, self.board.counters)
        self.pace = Restful(0.0 if ways else ground.rest_s, self.stop)
        pause_s = ground.calm_pause_s if ways else ground.pause_s
        rounds = self._rounds(homes, entropy, pause_s)
        for work in (self.switches.run(), rounds.run()):
            self._tasks.append(ground.loop.create_task(work, context=context_of(self.name)))
        ground.history.note(self.name, "starts")

    def crash(self) -> None:
        """Gone at once, as by SIGKILL; its book stays."""
        self._ground.history.note(self.name, "dies")
        self._ground.loop.go_on(self.name)
        for link in self._links:
            link.cut = True
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    def stop(self, for_s: float) -> None:
        """It stands still for a while, as by SIGSTOP."""
        self._ground.history.note(self.name, f"stands still for {for_s:.1f} s")
        self._ground.loop.hold(self.name, for_s)

    def stop_past(self, key: Key, for_s: float) -> None:
        """It is to stand still before it asks for more, once a crawl of the first range of a
        namespace has compared this key."""

        def is_past() -> bool:
            return any(
                one.namespace == key.namespace and one.number == 0 and one.position >= key.name
                for one in self.board.ranges
            )

        self.pace.stop_when(is_past, for_s)

    def crawls_of(self, homes: Mapping[Side, Backend]) -> NamespaceCrawls:
        """What crawls one namespace when it is told to, over these homes."""
        entropy = SeededEntropy(Random(self._ground.random.getrandbits(64)))
        collector = self._collector(homes, entropy)
        return self._crawls(homes, Board(self.book, entropy), collector, entropy, Pace())

    def _rounds(
        self, homes: Mapping[Side, Backend], entropy: SeededEntropy, pause_s: float
    ) -> Rounds:
        ground = self._ground
        behind_switches = switched(homes, self.switches)
        collector = self._collector(homes, entropy)
        self.renewing = Renewing(homes, collector)
        crawls = self._crawls(behind_switches, self.board, collector, entropy, self.pace)
        deleted = DeletedNamespaces(
            rows=cast(CollectableRows, homes[Side.KVSP]),
            objects=cast(CollectableObjects, homes[Side.S3]), rule=ground.rule, share=1.0,
            book=self.book, board=self.board, pace=self.pace, clock=VirtualClock(ground.loop),
        )  # fmt: skip
        return Rounds(
            homes=behind_switches, enabled=self.switches.look, gateways=ground.gateways,
            board=self.board, work=Work(self.renewing, crawls, deleted, pause_s),
        )  # fmt: skip

    def _collector(self, homes: Mapping[Side, Backend], entropy: SeededEntropy) -> Collector:
        rows, objects = homes[Side.KVSP], homes[Side.S3]
        collected = CollectedHomes(
            cast(CollectableRows, rows), cast(CollectableObjects, objects), entropy, 5.0
        )
        evidence = StoreEvidence(self._ground.gateways, homes, RULE.deadline_s)
        return Collector(collected, self._ground.rule, MassLimit(), evidence)

    def _crawls(
        self, homes: Mapping[Side, Backend], board: Board, collector: Collector,
        entropy: SeededEntropy, pace: Pace,
    ) -> NamespaceCrawls:  # fmt: skip
        ground = self._ground
        rule = replace(RULE, page_names=ground.page_names, deep_parts=int(ground.deep))
        return NamespaceCrawls(
            homes=homes, plans=Plans(homes[Side.KVSP], self._id, entropy), book=self.book,
            board=board, rule=rule, pace=pace, collector=collector,
        )  # fmt: skip


def troubles(crawler: Crawler) -> str:
    """What its last crawls of the namespaces have against them."""
    return "; ".join(
        f"{one.namespace[0]}: {one.failure or one.stopped or one.tally.unhealed or one.withheld}"
        for one in crawler.board.latest
    )


def all_equal(crawler: Crawler, since_us: int) -> bool:
    """Whether its last crawl of every namespace began later than this and found nothing at all."""
    latest = {one.namespace: one for one in crawler.board.latest}
    return all(
        namespace in latest
        and latest[namespace].began_us > since_us
        and latest[namespace].equal
        and not latest[namespace].tally.drifted
        for namespace in POLICIES
    )
