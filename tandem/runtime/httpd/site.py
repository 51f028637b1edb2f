"""What the connections of one HTTP server share: the bounds, the counters, the room."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from tandem.runtime.httpd.heads import Heads
from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import Request, Response
from tandem.runtime.logs import Logger


@dataclass(slots=True)
class HttpStats:
    """Plain counts since the start; `telemetry` exports them."""

    connections_refused: int = 0
    handshakes_failed: int = 0
    requests: int = 0
    failures: int = 0
    rejected: int = 0
    timeouts: int = 0


class Guest(Protocol):
    """A connection, or its handshake, as far as the server looks after it."""

    @property
    def deadline(self) -> float:
        """When `expire` is due, in loop time."""
        ...

    def expire(self) -> None:
        """The deadline has passed."""
        ...

    def retire(self) -> None:
        """The server drains: no more requests after the one under way."""
        ...

    def abort(self) -> None:
        """The server ends now."""
        ...


class Site:
    def __init__(self, limits: HttpLimits, log: Logger) -> None:
        self.limits = limits
        self.stats = HttpStats()
        self.heads = Heads()
        self.date = b""
        self.draining = False
        self.connections: set[Guest] = set()
        self._answers_bytes = 0
        self._empty: asyncio.Future[None] | None = None
        self._log = log

    def admit(self, connection: Guest) -> bool:
        if len(self.connections) >= self.limits.connections_max:
            self.stats.connections_refused += 1
            return False
        self.connections.add(connection)
        return True

    def dismiss(self, connection: Guest) -> None:
        self.connections.discard(connection)
        if not self.connections and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def take_room(self, size: int) -> bool:
        """Whether a large answer may be held until its client has taken it."""
        if self._answers_bytes + size > self.limits.answers_bytes_max:
            return False
        self._answers_bytes += size
        return True

    def give_room(self, size: int) -> None:
        """A large answer is over."""
        self._answers_bytes -= size

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
