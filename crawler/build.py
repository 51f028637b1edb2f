"""What a crawler crawls with, made from its settings at the start and anew when they change."""

from collections.abc import Mapping
from dataclasses import dataclass

from crawler.board import Board
from crawler.book import Book
from crawler.collecting import Collector
from crawler.deleted import DeletedNamespaces
from crawler.evidence import StoreEvidence
from crawler.gateways import RemoteGateways
from crawler.kill_switches import KillSwitches, switched
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.renewing import Renewing
from crawler.report import CrawlRule
from crawler.rounds import Rounds, Work
from crawler.service import Door
from crawler.settings import CrawlerSettings
from crawler.tokens import tokens_of
from tandem.backends.collect import CollectedHomes
from tandem.backends.opening import Homes
from tandem.backends.port import Backend
from tandem.core.collect import CollectRule
from tandem.core.mass_change import MassLimit
from tandem.core.reply import Side
from tandem.runtime import logs
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import Loaded


@dataclass(frozen=True, slots=True)
class Ground:
    """What stays as it is for as long as the crawler runs."""

    homes: Homes
    switches: KillSwitches
    gateways: RemoteGateways
    book: Book
    board: Board
    pace: Pace
    crawler_id: str

    def rounds(self, settings: CrawlerSettings) -> Rounds:
        """Rounds that go by these settings until others come."""
        return Rounds(
            homes=self._switched,
            enabled=self.switches.look,
            gateways=self.gateways,
            board=self.board,
            work=self.work(settings),
        )

    @property
    def _switched(self) -> Mapping[Side, Backend]:
        return switched(self.homes.backends, self.switches)

    def work(self, settings: CrawlerSettings) -> Work:
        """What rounds do by these settings; a crawl that is under way ends as it began."""
        homes, backends = self.homes, self._switched
        collects = CollectRule(tombstone_grace_s=int(settings.tombstone_grace_s))
        rule = CrawlRule(
            settle_s=settings.settle_s,
            heals_at_once=settings.heals_at_once,
            ranges_at_once=settings.ranges_at_once,
            deep_parts=settings.deep_parts,
            range_names=settings.range_names,
            limit=MassLimit(share=settings.repair_share),
        )
        collector = Collector(
            CollectedHomes(homes.rows, homes.objects, SystemEntropy()),
            collects,
            MassLimit(share=settings.repair_share),
            StoreEvidence(self.gateways, backends, rule.deadline_s),
        )
        kvsp, unreadable = backends[Side.KVSP], self.board.met_unreadable
        crawls = NamespaceCrawls(
            homes=backends,
            plans=Plans(kvsp, self.crawler_id, SystemEntropy(), unreadable),
            book=self.book,
            board=self.board,
            rule=rule,
            pace=self.pace,
            collector=collector,
        )
        deleted = DeletedNamespaces(
            rows=homes.rows, objects=homes.objects, rule=collects, share=settings.repair_share,
            book=self.book, board=self.board, pace=self.pace, clock=SystemClock(),
        )  # fmt: skip
        return Work(Renewing(homes.backends, collector), crawls, deleted, settings.pause_s)


def taken(
    loaded: Loaded[CrawlerSettings], ground: Ground, rounds: Rounds, door: Door, log: logs.Logs
) -> None:
    """Goes over to other settings; ConfigurationError, and nothing has changed, when a token cannot
    be one or nobody could come in."""
    settings = loaded.settings
    tokens = tokens_of(settings)
    log.shape(settings.log_level, settings.log_format)
    door.fit(tokens.that_open, is_open=tokens.door_is_open)
    ground.gateways.turn_to(settings.gateway_addresses(), tokens.to_show)
    ground.book.remember(settings.history_days)
    ground.pace.go(
        requests_per_s=settings.requests_per_second,
        bytes_per_s=settings.bytes_per_second,
        breathe_ratio=settings.breathe_ratio,
    )
    rounds.work = ground.work(settings)
