"""A bounded pool of HTTP/1.1 connections to one store, with a deadline for every request.

Nothing is ever sent twice, with one exception: a GET or HEAD whose *reused* connection ended
before a byte of answer goes once more over another. A write in that place is ambiguous and is
reported so (`TransportError.sent`).
"""

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tandem.backends.s3.connection import Connection
from tandem.backends.s3.exchange import Exchange, FailureKind, HttpReply, HttpRequest


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of a transport.

    `idle_s` lies below the time after which servers close an idle connection, so that a write
    seldom meets a closed one. `body_bytes_max` holds the largest envelope and some slack.
    """

    connections_max: int = 64
    waiting_max: int = 4096
    connect_timeout_s: float = 3.0
    idle_s: float = 10.0
    body_bytes_max: int = 26 * 1024 * 1024


class HttpTransport:
    """Owns the connections to one host; belongs to the event loop that runs when it is made."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ssl_context: ssl.SSLContext | None = None,
        limits: PoolLimits | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._ssl_context = ssl_context
        self._limits = limits or PoolLimits()
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: OrderedDict[Exchange, None] = OrderedDict()
        self._connecting: set[asyncio.Task[None]] = set()
        self._attempts = 0
        self._order = 0
        self._closed = False

    def start(
        self,
        request: HttpRequest,
        *,
        deadline_s: float,
        needed: Callable[[], bool] | None = None,
    ) -> Exchange:
        """Send, or queue for a connection; the deadline spans queue, connect, send and reply.

        A large body is dropped on its way once `needed` says False: the headers suffice then.

        With `connections_max` busy and `waiting_max` queued the answer is BUSY, at once.
        ValueError for a request that cannot be written.
        """
        self._order += 1
        exchange = Exchange(
            request,
            request.head(),
            self._loop.create_future(),
            order=self._order,
            needed=needed,
        )
        if self._closed:
            exchange.fail(FailureKind.CLOSED, "the client is closed")
        elif deadline_s <= 0:
            exchange.fail(FailureKind.TIMEOUT, "no time was left to send it")
        elif (connection := self._take_idle()) is not None:
            connection.send(exchange)
        elif len(self._waiting) < self._limits.waiting_max:
            self._waiting[exchange] = None
            self._connect_if_wanted()
        else:
            exchange.fail(FailureKind.BUSY, f"{len(self._waiting)} requests wait already")
        if not exchange.reply.done():
            exchange.timer = self._loop.call_later(deadline_s, self._expire, exchange)
        return exchange

    async def request(
        self,
        request: HttpRequest,
        *,
        deadline_s: float,
        needed: Callable[[], bool] | None = None,
    ) -> HttpReply:
        """As `start`, awaited; raises TransportError."""
        return await self.start(request, deadline_s=deadline_s, needed=needed).reply

    async def aclose(self) -> None:
        """Fail what is under way, close every connection, refuse all that follows."""
        self._closed = True
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        self._fail_waiting(self._order, FailureKind.CLOSED, "the client is closed")
        for connection in tuple(self._open):
            connection.fail(FailureKind.CLOSED, "the client is closed")
        await asyncio.sleep(0)  # the loop tells connections of their end in its next turn

    def on_free(self, connection: Connection) -> None:
        if not connection.usable:
            return
        while self._waiting:
            exchange, _ = self._waiting.popitem(last=False)
            if not exchange.reply.done():
                connection.send(exchange)
                return
            exchange.withdraw()
        connection.idle_since_s = self._loop.time()
        self._idle.append(connection)

    def on_stale(self, exchange: Exchange) -> None:
        # The pool is last in, first out: all other idle connections have been idle for longer.
        for connection in self._idle:
            connection.drop()
        self._idle.clear()
        exchange.repeated = True
        self._waiting[exchange] = None
        self._waiting.move_to_end(exchange, last=False)
        self._connect_if_wanted()

    def on_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._connect_if_wanted()

    def _take_idle(self) -> Connection | None:
        oldest_s = self._loop.time() - self._limits.idle_s
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since_s >= oldest_s:
                return connection
            connection.drop()
        return None

    def _expire(self, exchange: Exchange) -> None:
        self._waiting.pop(exchange, None)
        if exchange.carrier is not None:
            exchange.carrier.drop()
        exchange.fail(FailureKind.TIMEOUT, "no answer by the deadline")

    def _connect_if_wanted(self) -> None:
        while (
            not self._closed
            and self._attempts < len(self._waiting)
            and len(self._open) + self._attempts < self._limits.connections_max
        ):
            self._attempts += 1
            task = self._loop.create_task(self._connect(self._order))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, order: int) -> None:
        """One attempt; `order` is the last request that was there when it began."""
        try:
            async with asyncio.timeout(self._limits.connect_timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, body_bytes_max=self._limits.body_bytes_max),
                    self._host,
                    self._port,
                    ssl=self._ssl_context,
                )
        except TimeoutError:
            self._connect_failed(order, FailureKind.TIMEOUT, "no connection in time")
        except OSError as error:
            self._connect_failed(order, FailureKind.REFUSED, str(error))
        else:
            self._connected(connection, order)

    def _connected(self, connection: Connection, order: int) -> None:
        if not connection.usable:
            self._connect_failed(order, FailureKind.REFUSED, "closed as soon as made")
            return
        self._attempts -= 1
        self._open.add(connection)
        self.on_free(connection)

    def _connect_failed(self, order: int, kind: FailureKind, detail: str) -> None:
        """What waited throughout a failed attempt fails, unless an open connection will serve it.

        With one open it may be the server's limit that refuses us: waiting is right, and the next
        request or loss tries again.
        """
        self._attempts -= 1
        if not self._open:
            self._fail_waiting(order, kind, detail)
            self._connect_if_wanted()

    def _fail_waiting(self, order: int, kind: FailureKind, detail: str) -> None:
        while self._waiting:
            exchange = next(iter(self._waiting))
            if exchange.order > order:
                return
            del self._waiting[exchange]
            exchange.fail(kind, detail)
