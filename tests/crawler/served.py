"""A crawler's service behind a real gRPC server, over a real book and board."""

from pathlib import Path

from crawler.board import Board
from crawler.book import Book
from crawler.pace import Pace
from crawler.service import CrawlerServer, CrawlerService, Door
from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import Crawled
from tandem.core.drift import Drift, Sighting
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.runtime.randomness import SystemEntropy
from tests.servers.ports import free_port

A, B = "a" * 32, "b" * 32
BEGAN_US = 1_700_000_000_000_000


def crawled(
    namespace: str = A, after_us: int = 0, *, tally: Tally | None = None, failure: str = "",
    stopped: str = "", withheld: str = "",
) -> Crawled:  # fmt: skip
    """A crawl that began so long after the first one, and found both homes equal unless told."""
    began_us = BEGAN_US + after_us
    return Crawled(
        namespace, f"plan of {namespace[0]}", 7, began_us, began_us + 5_000_000, 0, False, 2,
        failure, stopped, tally or Tally(equal=4), withheld,
    )  # fmt: skip


def drifted() -> Tally:
    """1,234 keys that were equal and two that were not; one of them was repaired."""
    tally = Tally(equal=1234)
    tally.saw(Sighting(Drift.MISSING_IN_S3, 4321, BEGAN_US - 60_000_000))
    tally.saw(Sighting(Drift.OLDER_IN_KVSP, 17, BEGAN_US - 3_000_000))
    tally.healed((Side.S3,), 65_000_000)
    tally.not_healed("stuck: s3: timeout")
    return tally


class Served:
    """Opened in the loop that serves it, since the book belongs to one thread."""

    def __init__(
        self,
        path: Path,
        *,
        tokens: tuple[str, ...] = (),
        is_open: bool = True,
        port: int | None = None,
    ) -> None:
        self._path = path
        self.tokens = tokens
        self._is_open = is_open
        self._port = port or free_port()

    async def start(self) -> None:
        """Opens the book, as a crawler does when it starts, and listens."""
        self.book = Book(self._path)
        self.board = Board(self.book, SystemEntropy())
        self.pace = Pace()
        door = Door(lambda: self.tokens, is_open=self._is_open)
        service = CrawlerService(self.board, self.book, self.pace, door, "crawler-1")
        self._server = CrawlerServer(service)
        await self._server.start(self.address)

    async def stop(self) -> None:
        """Stops at once; it may be started again at the same address."""
        await self._server.stop(0.0)
        self.book.close()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._port}"

    def client(self, token: str = "") -> CrawlerClient:
        """What asks it."""
        return CrawlerClient(self.address, token=token)

    def found(self, *crawls: Crawled) -> None:
        """Enters crawls that have ended, as the crawler does."""
        for one in crawls:
            self.book.enter(one)
            self.board.note(one)
