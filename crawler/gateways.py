"""The gateways of the store as the crawler needs them: are the homes in use, and what was found."""

import asyncio
from collections.abc import Callable, Sequence

from crawler.trouble import Trouble
from tandem import Client
from tandem.core.operations import CrawlReport
from tandem.core.reply import Side
from tandem.errors import TandemError
from tandem.runtime import logs
from tandem.runtime.tls import TlsFiles

_LOG = logs.get("gateways")
TIMEOUT_S = 5.0
QUEUED_MAX = 1000


class RemoteGateways:
    """Asks every gateway, all at once; one that does not answer is skipped, as long as another
    does."""

    def __init__(
        self,
        addresses: Sequence[str],
        token_for: Callable[[str], str],
        timeout_s: float = TIMEOUT_S,
        tls: TlsFiles | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._tls = tls
        self.turn_to(addresses, token_for)

    def turn_to(self, addresses: Sequence[str], token_for: Callable[[str], str]) -> None:
        """These are asked from the next time on."""
        self._addresses = addresses
        self._token_for = token_for

    async def enabled(self) -> frozenset[Side]:
        """The homes that no gateway that answers has switched off; none when none answers."""
        answers = await asyncio.gather(*(self._uses(one) for one in self._addresses))
        heard = [sides for sides in answers if sides is not None]
        return frozenset.intersection(*heard) if heard else frozenset()

    async def _uses(self, address: str) -> frozenset[Side] | None:
        """The homes that this gateway has not switched off; None when it does not answer."""
        try:
            async with self._client(address) as gateway:
                status = await gateway.ops.status()
        except TandemError as error:
            _LOG.warning("gateway_silent", gateway=address, error=str(error))
            return None
        homes = [home for home in status.homes if home.reads_enabled and home.writes_enabled]
        return frozenset(home.side for home in homes)

    async def tell(self, report: CrawlReport) -> None:
        """Tells every gateway that answers what a crawl found."""
        await asyncio.gather(*(self._tell(address, report) for address in self._addresses))

    async def _tell(self, address: str, report: CrawlReport) -> None:
        try:
            async with self._client(address) as gateway:
                await gateway.ops.report_crawl(report)
        except TandemError as error:
            _LOG.warning("gateway_not_told", gateway=address, error=str(error))

    async def trouble(self) -> Trouble:
        """Where the gateways that answer know of drift: homes that are behind, and queued keys."""
        found = await asyncio.gather(*(self._trouble(address) for address in self._addresses))
        return Trouble(
            frozenset().union(*(one.namespaces for one in found)),
            tuple(key for one in found for key in one.keys),
            any(one.unsure for one in found),
        )

    async def _trouble(self, address: str) -> Trouble:
        try:
            async with self._client(address) as gateway:
                status = await gateway.ops.status()
                queued = await gateway.ops.queue(QUEUED_MAX) if status.queue.depth else ()
        except TandemError as error:
            _LOG.warning("gateway_silent", gateway=address, error=str(error))
            return Trouble(unsure=True)
        behind = frozenset(name for home in status.homes for name in home.behind)
        return Trouble(behind, tuple(row.key for row in queued), status.queue.dirty_ranges > 0)

    def _client(self, address: str) -> Client:
        return Client(
            address, token=self._token_for(address), tls=self._tls, timeout_s=self._timeout_s
        )
