"""The gateways of the store as the crawler needs them: are the homes in use, and what was found."""

from collections.abc import Callable, Sequence

from tandem import Client
from tandem.core.operations import CrawlReport
from tandem.errors import TandemError
from tandem.runtime import logs

_LOG = logs.get("gateways")
TIMEOUT_S = 5.0


class RemoteGateways:
    """Asks every gateway; one that does not answer is skipped, as long as another does."""

    def __init__(self, addresses: Sequence[str], token_for: Callable[[str], str]) -> None:
        self._addresses = addresses
        self._token_for = token_for

    async def enabled(self) -> bool:
        """Whether no gateway that answers has switched a home off, and at least one answers."""
        answered = 0
        for address in self._addresses:
            try:
                async with self._client(address) as gateway:
                    status = await gateway.ops.status()
            except TandemError as error:
                _LOG.warning("gateway_silent", gateway=address, error=str(error))
                continue
            answered += 1
            if not all(home.reads_enabled and home.writes_enabled for home in status.homes):
                return False
        return answered > 0

    async def tell(self, report: CrawlReport) -> None:
        """Tells every gateway that answers what a crawl found."""
        for address in self._addresses:
            try:
                async with self._client(address) as gateway:
                    await gateway.ops.report_crawl(report)
            except TandemError as error:
                _LOG.warning("gateway_not_told", gateway=address, error=str(error))

    def _client(self, address: str) -> Client:
        return Client(address, token=self._token_for(address), timeout_s=TIMEOUT_S)
