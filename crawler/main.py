"""Builds the crawler from its settings and crawls until told to stop."""

import asyncio
import fcntl
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
from tandem.backends.opening import Homes, open_homes
from tandem.runtime import data_directory, logs, serve
from tandem.runtime.clock import SystemClock
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.passing import start_needs, status_of
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.reload import Reloading, show_settings
from tandem.runtime.settings import Loaded, settings_or_exit
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls
from tandem.runtime.tls.configured import client_files, server_files, warn_of_plain_text

_LOG = logs.get("crawler")
_ABOUT = "Compares both homes, finds the drift that nobody reported, and heals it."
_CLOCK = SystemClock()
_TASKS_MAX = 4
_ID = "crawler id"
_ID_BYTES = 8


def main() -> int:
    """The console script; returns the exit status."""
    arguments = sys.argv[1:]
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    loaded = settings_or_exit(
        CrawlerSettings, "crawler", arguments, environment, program="crawler", about=_ABOUT
    )
    settings = loaded.settings
    log_state = logs.configure(_CLOCK, level=settings.log_level, form=settings.log_format)
    begin = partial(
        Reloading, CrawlerSettings, "crawler", arguments, environment, loaded, clock=_CLOCK,
        log=_LOG, named=named_tokens,
    )  # fmt: skip
    return serve.run(partial(_crawl, begin, log_state), _LOG, log_state)


async def _crawl(
    begin: Callable[[], Reloading[CrawlerSettings]], log_state: logs.Logs, process: serve.Process
) -> int:
    try:
        reloading = begin()
        data = reloading.settings.data
        data_directory.prepare(data)
        with _alone(data / "crawler"), closing(_book(reloading.settings)) as book:
            crawler = _Crawler(reloading, log_state, process, book)
            async with AsyncExitStack() as held:
                await crawler.run(held)
            _LOG.info("stopped", rounds=crawler.board.counters.rounds)
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return status_of(error)
    return 0


class _Crawler:
    """The crawler of this process."""

    def __init__(
        self,
        reloading: Reloading[CrawlerSettings],
        log_state: logs.Logs,
        process: serve.Process,
        book: Book,
    ) -> None:
        settings = reloading.settings
        self._reloading = reloading
        self._log_state = log_state
        self._process = process
        self._book = book
        self.board = Board(book, SystemEntropy())
        self._id = _identity(book)
        self._tokens = tokens_of(settings)
        self._door = Door(self._tokens.that_open, is_open=self._tokens.door_is_open)
        self._pace = Pace(
            requests_per_s=settings.requests_per_second,
            bytes_per_s=settings.bytes_per_second,
            breathe_ratio=settings.breathe_ratio,
        )

    async def run(self, held: AsyncExitStack) -> None:
        """Serves and crawls until told to stop; `held` ends whatever has begun by then."""
        settings, stop = self._reloading.settings, self._process.stop
        tls = await self._serve(held)
        homes = await serve.unless(stop, open_homes(settings.homes(), _CLOCK, SystemEntropy()))
        if homes is None:
            return
        held.push_async_callback(homes.aclose)
        ground = await self._ground(homes, held)
        tasks = self._started(ground, tls)
        address = str(settings.crawler_address)
        _LOG.info("ready", gateways=settings.gateway_addresses(), address=address)
        await stop.wait()
        await tasks.drain(0.0)

    async def _serve(self, held: AsyncExitStack) -> ServerTls | None:
        """Opens the door and the page of metrics."""
        settings = self._reloading.settings
        service = CrawlerService(self.board, self._book, self._pace, self._door, self._id)
        server = CrawlerServer(service)
        held.push_async_callback(server.stop, 0.0)
        files = server_files(settings)
        tls = await asyncio.to_thread(ServerTls, files, _CLOCK) if files else None
        warn_of_plain_text(settings, _LOG, settings.crawler_address)
        await server.start(str(settings.crawler_address), tls.rpc() if tls else None)
        page = await self._page(tls)
        if page is not None:
            held.push_async_callback(page.stop)
        return tls

    async def _page(self, tls: ServerTls | None) -> MetricsPage | None:
        address = self._reloading.settings.crawler_metrics
        if address is None:
            return None
        metrics = Metrics("crawler", _CLOCK)
        expose(metrics, self.board)
        show_settings(metrics, lambda: self._reloading.in_force)
        page = MetricsPage(metrics, self.board.unready, _CLOCK, _LOG)
        await page.start(address, tls)
        return page

    async def _ground(self, homes: Homes, held: AsyncExitStack) -> Ground:
        settings = self._reloading.settings
        spare = held.enter_context(_empty(settings.data / "crawler" / "tls"))
        gateways = RemoteGateways(  # with a client each time
            settings.gateway_addresses(), self._tokens.to_show, tls=client_files(settings, spare)
        )
        switches = KillSwitches(gateways.enabled, self.board.counters)
        await switches.look()
        return Ground(homes, switches, gateways, self._book, self.board, self._pace, self._id)

    def _started(self, ground: Ground, tls: ServerTls | None) -> serve.Tasks:
        rounds = ground.rounds(self._reloading.settings)

        async def take(loaded: Loaded[CrawlerSettings]) -> None:
            taken(loaded, ground, rounds, self._door, self._log_state)

        tasks = serve.Tasks(_TASKS_MAX, _LOG)
        if tls is not None:
            tasks.start("certificate", tls.keep_looking())
        tasks.start("switches", ground.switches.run())
        tasks.start("rounds", rounds.run())
        tasks.start("settings", self._reloading.run(self._process.reload, take))
        return tasks


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """ConfigurationError while another crawler has its data there."""
    with start_needs(directory):
        directory.mkdir(exist_ok=True)
        lock = (directory / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.ConfigurationError([f"{directory}: another crawler uses it"]) from None
        yield


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


if __name__ == "__main__":
    sys.exit(main())
