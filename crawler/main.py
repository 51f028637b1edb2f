"""Builds the crawler from its settings and crawls until told to stop."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree

from crawler.board import Board
from crawler.book import Book
from crawler.build import Ground, taken
from crawler.gateways import RemoteGateways
from crawler.kill_switches import KillSwitches
from crawler.metrics import expose
from crawler.pace import Pace
from crawler.service import CrawlerServer, CrawlerService, Door
from crawler.settings import CrawlerSettings
from crawler.tokens import named_tokens, tokens_of
from tandem import errors
from tandem.backends.opening import open_homes
from tandem.runtime import data_directory, logs, serve
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.passing import status_of
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.reload import Reloading, show_settings
from tandem.runtime.settings import Loaded, settings_or_exit
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
    clock = SystemClock()
    loaded = settings_or_exit(
        CrawlerSettings, "crawler", arguments, environment, program="crawler", about=_ABOUT
    )
    settings = loaded.settings
    log_state = logs.configure(clock, level=settings.log_level, form=settings.log_format)
    begin = partial(
        Reloading, CrawlerSettings, "crawler", arguments, environment, loaded, clock=clock,
        log=_LOG, named=named_tokens,
    )  # fmt: skip
    return serve.run(partial(_crawl, begin, log_state), _LOG)


async def _crawl(
    begin: Callable[[], Reloading[CrawlerSettings]], log_state: logs.Logs, process: serve.Process
) -> int:
    try:
        reloading = begin()
        data_directory.prepare(reloading.settings.data)
        with closing(_book(reloading.settings)) as book:
            board = Board(book, SystemEntropy())
            async with AsyncExitStack() as held:
                await _crawl_with(reloading, log_state, process, book, board, held)
            _LOG.info("stopped", rounds=board.counters.rounds)
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return status_of(error)
    return 0


async def _crawl_with(
    reloading: Reloading[CrawlerSettings],
    log_state: logs.Logs,
    process: serve.Process,
    book: Book,
    board: Board,
    held: AsyncExitStack,
) -> None:
    """Serves and crawls until told to stop; `held` ends whatever has begun by then."""
    settings, clock = reloading.settings, SystemClock()
    pace = Pace(
        requests_per_s=settings.requests_per_second,
        bytes_per_s=settings.bytes_per_second,
        breathe_ratio=settings.breathe_ratio,
    )
    tokens = tokens_of(settings)
    door = Door(tokens.that_open, is_open=tokens.door_is_open)
    server = CrawlerServer(CrawlerService(board, book, pace, door, _identity(book)))
    held.push_async_callback(server.stop, 0.0)
    files = server_files(settings)
    tls = await asyncio.to_thread(ServerTls, files, clock) if files else None
    warn_of_plain_text(settings, _LOG, settings.crawler_address)
    await server.start(str(settings.crawler_address), tls.rpc() if tls else None)
    page = await _page(reloading, board, clock, tls)
    if page is not None:
        held.push_async_callback(page.stop)
    homes = await serve.unless(process.stop, open_homes(settings.homes(), clock, SystemEntropy()))
    if homes is None:
        return
    held.push_async_callback(homes.aclose)
    spare = held.enter_context(_empty(settings.data / "crawler" / "tls"))  # a client each time
    gateways = RemoteGateways(
        settings.gateway_addresses(),
        tokens.to_show,
        tls=client_files(settings, spare),
    )
    switches = KillSwitches(gateways, board.counters)
    await switches.look()
    ground = Ground(homes, switches, gateways, book, board, pace, _identity(book))
    rounds = ground.rounds(settings)

    async def take(loaded: Loaded[CrawlerSettings]) -> None:
        taken(loaded, ground, rounds, door, log_state)

    tasks = serve.Tasks(_TASKS_MAX, _LOG)
    if tls is not None:
        tasks.start("certificate", tls.keep_looking())
    tasks.start("switches", switches.run())
    tasks.start("rounds", rounds.run())
    tasks.start("settings", reloading.run(process.reload, take))
    _LOG.info("ready", gateways=settings.gateway_addresses(), address=str(settings.crawler_address))
    await process.stop.wait()
    await tasks.drain(0.0)


@contextmanager
def _empty(directory: Path) -> Iterator[Path]:
    """A directory that ends with this process; what one that was killed left in it goes first."""
    rmtree(directory, ignore_errors=True)
    directory.mkdir(0o700)
    try:
        yield directory
    finally:
        rmtree(directory, ignore_errors=True)


def _book(settings: CrawlerSettings) -> Book:
    path = settings.data / "crawler" / "crawler.sqlite"
    return Book(path, history_days=settings.history_days)


def _identity(book: Book) -> str:
    """What leases call this crawler; made at the first start."""
    if not book.word(_ID):
        book.keep(_ID, SystemEntropy().token(_ID_BYTES).hex())
    return book.word(_ID)


async def _page(
    reloading: Reloading[CrawlerSettings], board: Board, clock: Clock, tls: ServerTls | None
) -> MetricsPage | None:
    settings = reloading.settings
    if settings.crawler_metrics is None:
        return None
    metrics = Metrics("crawler", clock)
    expose(metrics, board)
    show_settings(metrics, lambda: reloading.in_force)
    if tls is not None:
        show_certificate(metrics, tls)
    page = MetricsPage(metrics, board.unready, clock, _LOG)
    await page.start(settings.crawler_metrics, tls)
    return page


if __name__ == "__main__":
    sys.exit(main())
