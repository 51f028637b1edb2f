"""What the connections of one HTTP server share: the application, the bounds, the counters."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import App, Request, Response

if TYPE_CHECKING:
    from tandem.runtime.httpd.connection import Connection
    from tandem.runtime.logs import Logger


@dataclass(slots=True)
class HttpStats:
    """Plain counts since the start; `telemetry` exports them."""

    connections: int = 0
    connections_refused: int = 0
    requests: int = 0
    failures: int = 0
    rejected: int = 0
    timeouts: int = 0


class Site:
    def __init__(self, app: App, limits: HttpLimits, log: "Logger") -> None:
        self.app = app
        self.limits = limits
        self.stats = HttpStats()
        self.date = b""
        self.draining = False
        self.connections: set[Connection] = set()
        self._empty: asyncio.Future[None] | None = None
        self._log = log

    def admit(self, connection: "Connection") -> bool:
        if self.draining or len(self.connections) >= self.limits.connections_max:
            self.stats.connections_refused += 1
            return False
        self.stats.connections += 1
        self.connections.add(connection)
        return True

    def dismiss(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def when_empty(self) -> None:
        """Wait until the last connection is gone."""
        if self.connections:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty

    def failed(self, request: Request, error: Exception) -> Response:
        """Count and log a bug in the application; the answer that the client gets for it."""
        self.stats.failures += 1
        self._log.error(
            "http_request_failed",
            operation=request.method.decode("latin-1"),
            target=request.target.decode("latin-1")[:200],
            error=repr(error),
            exc_info=error,
        )
        return Response(500)
