"""Builds the crawler from its settings and crawls until told to stop."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from crawler.board import Board
from crawler.book import Book
from crawler.collecting import Collector
from crawler.deleted import DeletedNamespaces
from crawler.evidence import StoreEvidence
from crawler.gateways import RemoteGateways
from crawler.kill_switches import KillSwitches, switched
from crawler.metrics import expose
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.renewing import Renewing
from crawler.report import CrawlRule
from crawler.rounds import Rounds
from crawler.service import CrawlerServer, CrawlerService, Door
from crawler.settings import CrawlerSettings
from tandem import errors
from tandem.backends.collect import CollectedHomes
from tandem.backends.opening import Homes, open_homes
from tandem.core.collect import CollectRule
from tandem.core.mass_change import MassLimit
from tandem.core.reply import Side
from tandem.runtime import data_directory, logs, serve
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import MISTAKEN_STATUS, settings_or_exit
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls, show_certificate
from tandem.runtime.tls.configured import client_files, server_files, warn_of_plain_text

_LOG = logs.get("crawler")
_ABOUT = "Compares both homes, finds the drift that nobody reported, and heals it."
_TASKS_MAX = 4
_ID = "crawler id"
_ID_BYTES = 8


def main() -> int:
    """The console script; returns the exit status."""
    arguments = sys.argv[1:]
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    settings = settings_or_exit(
        CrawlerSettings, "crawler", arguments, environment, program="crawler", about=_ABOUT
    )
    logs.configure(SystemClock(), level=settings.log_level.value, form=settings.log_format)
    return serve.run(partial(_crawl, settings), _LOG)


async def _crawl(settings: CrawlerSettings, process: serve.Process) -> int:
    try:
        data_directory.prepare(settings.data)
        with closing(_book(settings)) as book:
            board = Board(book, SystemEntropy())
            async with AsyncExitStack() as held:
                await _crawl_with(settings, process, book, board, held)
            _LOG.info("stopped", rounds=board.counters.rounds)
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return MISTAKEN_STATUS
    return 0


async def _crawl_with(
    settings: CrawlerSettings,
    process: serve.Process,
    book: Book,
    board: Board,
    held: AsyncExitStack,
) -> None:
    """Serves and crawls until told to stop; `held` ends whatever has begun by then."""
    clock = SystemClock()
    pace = Pace(
        requests_per_s=settings.requests_per_second,
        bytes_per_s=settings.bytes_per_second,
        breathe_ratio=settings.breathe_ratio,
    )
    door = Door(settings.door_tokens, is_open=settings.door_is_open())
    server = CrawlerServer(CrawlerService(board, book, pace, door, _identity(book)))
    held.push_async_callback(server.stop, 0.0)
    files = server_files(settings)
    tls = await asyncio.to_thread(ServerTls, files, clock) if files else None
    warn_of_plain_text(settings, _LOG, settings.crawler_address)
    await server.start(str(settings.crawler_address), tls.rpc() if tls else None)
    page = await _page(settings, board, clock, tls)
    if page is not None:
        held.push_async_callback(page.stop)
    homes = await serve.unless(process.stop, open_homes(settings.homes(), clock, SystemEntropy()))
    if homes is None:
        return
    held.push_async_callback(homes.aclose)
    spare = held.enter_context(TemporaryDirectory(prefix="tandem-crawler-"))  # a client each time
    gateways = RemoteGateways(
        settings.gateway_addresses(),
        settings.token_for,
        tls=client_files(settings, Path(spare)),
    )
    switches = KillSwitches(gateways, board.counters)
    await switches.look()
    rounds = _rounds(settings, homes, book, board, pace, gateways, switches)
    await _run(settings, process, rounds, switches, tls)


async def _run(
    settings: CrawlerSettings,
    process: serve.Process,
    rounds: Rounds,
    switches: KillSwitches,
    tls: ServerTls | None,
) -> None:
    tasks = serve.Tasks(_TASKS_MAX, _LOG)
    if tls is not None:
        tasks.start("certificate", tls.keep_looking())
    tasks.start("switches", switches.run())
    tasks.start("rounds", rounds.run())
    _LOG.info("ready", gateways=settings.gateway_addresses(), address=str(settings.crawler_address))
    await process.stop.wait()
    await tasks.drain(0.0)


def _book(settings: CrawlerSettings) -> Book:
    path = settings.data / "crawler" / "crawler.sqlite"
    return Book(path, history_days=settings.history_days)


def _identity(book: Book) -> str:
    """What leases call this crawler; made at the first start."""
    if not book.word(_ID):
        book.keep(_ID, SystemEntropy().token(_ID_BYTES).hex())
    return book.word(_ID)


async def _page(
    settings: CrawlerSettings, board: Board, clock: Clock, tls: ServerTls | None
) -> MetricsPage | None:
    if settings.crawler_metrics is None:
        return None
    metrics = Metrics("crawler", clock)
    expose(metrics, board)
    if tls is not None:
        show_certificate(metrics, tls)
    page = MetricsPage(metrics, board.unready, clock, _LOG)
    await page.start(settings.crawler_metrics, tls)
    return page


def _rounds(
    settings: CrawlerSettings,
    homes: Homes,
    book: Book,
    board: Board,
    pace: Pace,
    gateways: RemoteGateways,
    switches: KillSwitches,
) -> Rounds:
    backends = switched(homes.backends, switches)
    collects = CollectRule(tombstone_grace_s=int(settings.tombstone_grace_s))
    rule = CrawlRule(
        page_names=settings.page_names,
        settle_s=settings.settle_s,
        heals_at_once=settings.heals_at_once,
        range_names=settings.range_names,
        limit=MassLimit(share=settings.repair_share),
    )
    collector = Collector(
        CollectedHomes(homes.rows, homes.objects, SystemEntropy()),
        collects,
        MassLimit(share=settings.repair_share),
        StoreEvidence(gateways, backends, rule.deadline_s),
    )
    crawls = NamespaceCrawls(
        homes=backends,
        plans=Plans(backends[Side.KVSP], _identity(book), SystemEntropy(), board.met_unreadable),
        book=book,
        board=board,
        rule=rule,
        pace=pace,
        ranges_at_once=settings.ranges_at_once,
        deep_parts=settings.deep_parts,
        collector=collector,
    )
    deleted = DeletedNamespaces(
        rows=homes.rows, objects=homes.objects, rule=collects, share=settings.repair_share,
        book=book, board=board, pace=pace, clock=SystemClock(),
    )  # fmt: skip
    return Rounds(
        homes=backends, enabled=switches.look, gateways=gateways, crawls=crawls, board=board,
        pause_s=settings.pause_s, deleted=deleted,
        renewing=Renewing(homes.backends, collector, rule.deadline_s),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
