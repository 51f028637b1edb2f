"""The gateways of the store as the crawler needs them: are the homes in use, and what was found."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

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
_Answer = TypeVar("_Answer")


class Gateways(Protocol):
    """The gateways of the store, as a crawler needs them."""

    async def enabled(self) -> frozenset[Side]:
        """The homes that no gateway that answers has switched off; none when none answers."""
        ...

    async def trouble(self) -> Trouble:
        """Where those that answer know of drift: homes that are behind, and queued keys."""
        ...

    async def tell(self, report: CrawlReport) -> None:
        """Tells every gateway that answers what a crawl found."""
        ...


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
        self._silent: set[str] = set()

    async def enabled(self) -> frozenset[Side]:
        """See `Gateways`."""
        answers = await asyncio.gather(*(self._uses(one) for one in self._addresses))
        heard = [sides for sides in answers if sides is not None]
        return frozenset.intersection(*heard) if heard else frozenset()

    async def _uses(self, address: str) -> frozenset[Side] | None:
        """The homes that this gateway has not switched off; None when it does not answer."""
        status = await self._asked(address, lambda gateway: gateway.ops.status())
        if status is None:
            return None
        homes = [home for home in status.homes if home.reads_enabled and home.writes_enabled]
        return frozenset(home.side for home in homes)

    async def tell(self, report: CrawlReport) -> None:
        """See `Gateways`."""
        await asyncio.gather(
            *(
                self._asked(address, lambda gateway: gateway.ops.report_crawl(report))
                for address in self._addresses
            )
        )

    async def trouble(self) -> Trouble:
        """See `Gateways`."""
        asked = (self._asked(address, _trouble_of) for address in self._addresses)
        found = [one or Trouble(unsure=True) for one in await asyncio.gather(*asked)]
        return Trouble(
            frozenset().union(*(one.namespaces for one in found)),
            tuple(key for one in found for key in one.keys),
            any(one.unsure for one in found),
        )

    async def _asked(
        self, address: str, question: Callable[[Client], Awaitable[_Answer]]
    ) -> _Answer | None:
        """What a gateway says; None when it does not answer, which is told once."""
        try:
            async with self._client(address) as gateway:
                answer = await question(gateway)
        except TandemError as error:
            if address not in self._silent:
                _LOG.warning("gateway_silent", gateway=address, error=str(error))
            self._silent.add(address)
            return None
        if address in self._silent:
            _LOG.info("gateway_answers_again", gateway=address)
        self._silent.discard(address)
        return answer

    def _client(self, address: str) -> Client:
        return Client(
            address, token=self._token_for(address), tls=self._tls, timeout_s=self._timeout_s
        )


async def _trouble_of(gateway: Client) -> Trouble:
    status = await gateway.ops.status()
    queued = await gateway.ops.queue(QUEUED_MAX) if status.queue.depth else ()
    behind = frozenset(name for home in status.homes for name in home.behind)
    return Trouble(behind, tuple(row.key for row in queued), status.queue.dirty_ranges > 0)
