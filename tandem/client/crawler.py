"""What an operator asks of one crawler."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, Self

import grpc

from tandem.client.arguments import check_address, timeout
from tandem.client.channel import GatewayChannel
from tandem.client.retries import Asking, Retries
from tandem.core.crawl_status import Crawled, CrawlerStatus, RunRequest
from tandem.errors import Unavailable
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.tls import TlsFiles
from tandem.wire import crawler_codec as codec
from tandem.wire.status import NO_ANSWER, error_of_call
from tandem.wire.v1 import crawler_pb2 as pb
from tandem.wire.v1 import crawler_pb2_grpc as rpc

_EVERY_MS_MOST: Final = 2**32 - 1
"""As long as a message can say: seven weeks."""


class CrawlerClient:
    """One crawler behind its address; use it in `async with`.

    Each method may raise Unavailable, Unauthenticated and InvalidArgument.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str = "",
        tls: TlsFiles | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """ConfigurationError when the files of `tls` are no good, InvalidArgument where `address`
        is no host:port."""
        self._channel = GatewayChannel(check_address(address), token, tls)
        self._stub = rpc.CrawlerStub(self._channel)
        self._timeout_s = timeout(timeout_s)
        self._ask = Asking(Retries(SystemEntropy()), self._timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def status(self) -> CrawlerStatus:
        """What it does, how far it is, what stops it."""
        reply = await self._ask(
            self._stub.CrawlerStatus, pb.CrawlerStatusRequest(), "", repeatable=True
        )
        return codec.status_of(reply)

    async def watch(self, every_s: float = 1.0) -> AsyncIterator[CrawlerStatus]:
        """The same again and again; Unavailable, too, when a crawler that hangs says no more."""
        every_ms = min(int(every_s * 1000), _EVERY_MS_MOST)
        call = self._stub.WatchCrawler(pb.WatchCrawlerRequest(every_ms=every_ms))
        try:
            while True:
                async with asyncio.timeout(every_s + self._timeout_s):
                    reply = await call.read()
                if reply is grpc.aio.EOF:
                    return
                yield codec.status_of(reply)
        except TimeoutError:
            raise Unavailable(f"{NO_ANSWER}: it says no more") from None
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, "") from None
        finally:
            call.cancel()

    async def pause(self) -> CrawlerStatus:
        """Nothing goes on behind the page, or the keys, that are on their way."""
        reply = await self._ask(
            self._stub.PauseCrawler, pb.PauseCrawlerRequest(), "", repeatable=True
        )
        return codec.status_of(reply)

    async def resume(self, *, accept: bool = False) -> CrawlerStatus:
        """Ends a pause; with `accept` it closes the breakers that are open, once."""
        request = pb.ResumeCrawlerRequest(accept=accept)
        reply = await self._ask(self._stub.ResumeCrawler, request, "", repeatable=True)
        return codec.status_of(reply)

    async def run(self, request: RunRequest) -> str:
        """Asks for a crawl; the id under which its outcome is among the runs of the status."""
        message = codec.run_request_message(request)
        reply = await self._ask(self._stub.RunCrawl, message, request.namespace, repeatable=False)
        return str(reply.run_id)

    async def report(
        self, namespace: str = "", *, since_us: int = 0, limit: int = 1_000
    ) -> Sequence[Crawled]:
        """The crawls that have ended, the newest first, `limit` at most; asks page by page."""
        crawls: list[Crawled] = []
        request = pb.DriftReportRequest(namespace=namespace, since_us=since_us)
        while len(crawls) < limit:
            request.limit = min(limit - len(crawls), codec.REPORT_PAGE_MAX)
            reply = await self._ask(self._stub.DriftReport, request, namespace, repeatable=True)
            crawls += map(codec.crawled_of, reply.crawls)
            if not reply.next:
                break
            request.after = reply.next
        return crawls
