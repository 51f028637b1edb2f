"""A small HTTP page of a program that serves no HTTP otherwise: /healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Callable

from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.runtime.httpd import HttpLimits, Request, Response, Server
from tandem.runtime.logs import Logger
from tandem.runtime.settings import Address
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls, show_certificate

_TEXT = ((b"Content-Type", b"text/plain; version=0.0.4; charset=utf-8"),)
_ONLY_GET = Response(405, b"only GET is known here\n", (*_TEXT, (b"Allow", b"GET, HEAD")))


class MetricsPage:
    """Serves from `start` to `stop`."""

    def __init__(
        self, metrics: Metrics, unready: Callable[[], str], clock: Clock, log: Logger
    ) -> None:
        """`unready` says why the program does not do its work yet; empty when it does."""
        self._metrics = metrics
        self._unready = unready
        self._server = Server(self._answer, HttpLimits(), clock, log)

    async def start(self, address: Address, tls: ServerTls | None = None) -> int:
        """Listens and returns the port; ConfigurationError when the address is taken. Collectors
        need no certificate; the one that they are shown is among the numbers."""
        if tls is not None:
            show_certificate(self._metrics, tls)
        try:
            context = tls.http(demand=False) if tls else None
            return await self._server.listen(address.host, address.port, tls=context)
        except OSError as error:
            raise ConfigurationError([f"cannot listen on {address}: {error.strerror}"]) from error

    async def stop(self) -> None:
        """Ends at once."""
        await self._server.drain(0.0)

    async def _answer(self, request: Request) -> Response:
        if request.method not in (b"GET", b"HEAD"):
            return _ONLY_GET
        match request.target.partition(b"?")[0]:
            case b"/healthz":
                return Response(200, b"alive\n", _TEXT)
            case b"/readyz":
                why = self._unready()
                return Response(503 if why else 200, f"{why or 'ready'}\n".encode(), _TEXT)
            case b"/metrics":
                return Response(200, await asyncio.to_thread(self._metrics.prometheus), _TEXT)
            case _:
                return Response(404, b"there is /healthz, /readyz and /metrics\n", _TEXT)
