"""The Crawler service and the gRPC server around it."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, TypeVar

import grpc

from crawler.board import Board
from crawler.book import Book
from crawler.pace import Pace
from tandem.core.crawl_status import CrawlerStatus
from tandem.errors import TandemError, Unauthenticated
from tandem.runtime import logs
from tandem.runtime.rpc_health import HANDSHAKE_LIMIT, PINGS, RpcHealth
from tandem.wire import crawler_codec as codec
from tandem.wire.malformed import MalformedRequests
from tandem.wire.status import call_status
from tandem.wire.v1 import crawler_pb2 as pb
from tandem.wire.v1 import crawler_pb2_grpc as rpc

_LOG = logs.get("crawler")
_CALLS_MAX: Final = 100
_OPTIONS: Final = (("grpc.so_reuseport", 0), HANDSHAKE_LIMIT, *PINGS)
_BEARER: Final = "Bearer "

_Context = grpc.aio.ServicerContext[Any, Any]
T = TypeVar("T")


class Door:
    """Who may come in: whoever shows one of the tokens; everybody where there is none."""

    def __init__(self, tokens: Callable[[], tuple[str, ...]], *, is_open: bool) -> None:
        self.fit(tokens, is_open=is_open)

    def fit(self, tokens: Callable[[], tuple[str, ...]], *, is_open: bool) -> None:
        """From now on these open it; those who are in are asked at their next call."""
        self._tokens = tokens
        self._is_open = is_open

    def check(self, context: _Context) -> None:
        """Raises Unauthenticated for everybody else.

        An open door refuses no token: those of the store are right at the gateways, unknown here.
        """
        if self._is_open:
            return
        shown = ""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                shown = str(value)
        right = [f"{_BEARER}{token}".encode() for token in self._tokens() if token]
        if not any(hmac.compare_digest(shown.encode(), one) for one in right):
            raise Unauthenticated("it wants its admin token")


def _answering(
    method: "Callable[[CrawlerService, Any, _Context], Awaitable[T]]",
) -> "Callable[[CrawlerService, Any, _Context], Awaitable[T]]":
    @wraps(method)
    async def answer(self: "CrawlerService", request: object, context: _Context) -> T:
        try:
            self.door.check(context)
            return await method(self, request, context)
        except TandemError as error:
            await context.abort(*call_status(error))

    return answer


class CrawlerService(rpc.CrawlerServicer):
    """Shows and changes what the board and the book hold."""

    def __init__(self, board: Board, book: Book, pace: Pace, door: Door, crawler_id: str) -> None:
        self._board = board
        self._book = book
        self._pace = pace
        self._crawler_id = crawler_id
        self.door = door

    def status(self) -> CrawlerStatus:
        """The crawler at this moment."""
        board, counters = self._board, self._board.counters
        return CrawlerStatus(
            self._crawler_id, board.paused, board.shown,
            counters.rounds, counters.crawls, counters.errors, self._pace.waited_s, board.ranges,
            tuple(self._book.stops().values()), board.latest, board.runs,
        )  # fmt: skip

    @_answering
    async def CrawlerStatus(
        self, _request: pb.CrawlerStatusRequest, _context: _Context
    ) -> pb.CrawlerStatusReply:
        """See crawler.proto."""
        return codec.status_message(self.status())

    @_answering
    async def WatchCrawler(self, request: pb.WatchCrawlerRequest, context: _Context) -> None:
        """See crawler.proto."""
        every_s = codec.every_s_of(request)
        while True:
            await context.write(codec.status_message(self.status()))
            await asyncio.sleep(every_s)

    @_answering
    async def PauseCrawler(
        self, _request: pb.PauseCrawlerRequest, _context: _Context
    ) -> pb.CrawlerStatusReply:
        """See crawler.proto."""
        self._board.pause()
        _LOG.warning("paused")
        return codec.status_message(self.status())

    @_answering
    async def ResumeCrawler(
        self, request: pb.ResumeCrawlerRequest, _context: _Context
    ) -> pb.CrawlerStatusReply:
        """See crawler.proto."""
        if request.accept:
            for stop in self._book.accept():
                _LOG.warning("accepted", namespace=stop.namespace, why=stop.why)
        self._board.go_on()
        return codec.status_message(self.status())

    @_answering
    async def RunCrawl(self, request: pb.RunCrawlRequest, _context: _Context) -> pb.RunCrawlReply:
        """See crawler.proto."""
        return pb.RunCrawlReply(run_id=self._board.ask(codec.run_request_of(request)).id)

    @_answering
    async def DriftReport(
        self, request: pb.DriftReportRequest, _context: _Context
    ) -> pb.DriftReportReply:
        """See crawler.proto."""
        page = codec.history_page_of(request)
        return codec.report_reply(self._book.history(page), page.limit)


class CrawlerServer:
    """Serves one crawler from `start` to `stop`."""

    def __init__(self, service: CrawlerService) -> None:
        self._server = grpc.aio.server(
            interceptors=[MalformedRequests()],
            options=_OPTIONS,
            maximum_concurrent_rpcs=_CALLS_MAX,
        )
        rpc.add_CrawlerServicer_to_server(service, self._server)
        self._health = RpcHealth(self._server, ["tandem.v1.Crawler"])

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens and returns the port; ConfigurationError when the address is taken."""
        return await self._health.start(address, credentials)

    async def stop(self, grace_s: float) -> None:
        """Ends within `grace_s`."""
        await self._health.stopping()
        await self._server.stop(grace_s)
