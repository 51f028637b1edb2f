"""Listens, sweeps deadlines, drains: the life of an HTTP server around its connections."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tandem.runtime.clock import Clock
from tandem.runtime.httpd.connection import Connection
from tandem.runtime.httpd.handshake import Handshake
from tandem.runtime.httpd.head import date_line
from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import App
from tandem.runtime.httpd.site import HttpStats, Site
from tandem.runtime.logs import Logger

_ABORT_S = 1.0  # for cancelled requests to unwind
_BACKLOG = 2048
_NEW = ".new"  # a socket that is not in its place yet; no longer than ".sock"
LAST_REQUEST_S = 0.5
"""So long a connection that waits for a request stays open when the server drains: who has one on
its way gets an answer, which says that it was the last."""
_SWEEP_S_MAX = 1.0  # also how old the Date header may be

Contexts: TypeAlias = Callable[[], ssl.SSLContext]


class Server:
    """Serve `app` until `drain`. Must be built inside a running event loop."""

    def __init__(self, app: App, limits: HttpLimits, clock: Clock, log: Logger) -> None:
        self._app = app
        self._site = Site(limits, log)
        self._limits = limits
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._listeners: list[asyncio.Server] = []
        shortest_s = min(
            limits.head_timeout_s, limits.body_idle_s, limits.keep_alive_s, limits.linger_s
        )
        self._sweep_s = min(_SWEEP_S_MAX, shortest_s / 4)
        self._sweep()

    @property
    def stats(self) -> HttpStats:
        return self._site.stats

    @property
    def open_connections(self) -> int:
        return len(self._site.connections)

    async def listen(
        self, host: str, port: int, *, shared: bool = False, tls: Contexts | None = None
    ) -> int:
        """Listen on TCP; the port in use (0 asks for a free one). `OSError` when it is taken.

        `shared`: several worker processes listen on the one port and the kernel spreads
        connections over them (SO_REUSEPORT). `tls` is asked for the context of each handshake;
        everything but TLS is cut off.
        """
        make = partial(Handshake, self._site, self._app, tls) if tls else self._connection
        listener = await self._loop.create_server(
            make, host, port, backlog=_BACKLOG, reuse_port=shared or None
        )
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])

    async def listen_unix(self, path: Path, app: App | None = None) -> None:
        """Listen on a Unix socket, in the place of whoever listened there: those who connect always
        find one of the two.

        `app`: what is served there, instead of the server's own application.
        """
        new = path.with_suffix(_NEW)
        listener = await self._loop.create_unix_server(
            partial(Connection, self._site, app or self._app), str(new), backlog=_BACKLOG
        )
        new.replace(path)
        self._listeners.append(listener)

    async def drain(self, deadline_s: float) -> int:
        """Stop accepting, let running requests finish; how many had to be cut off at the end."""
        self._site.draining = True
        for listener in self._listeners:
            listener.close()
        last_s = min(LAST_REQUEST_S, deadline_s / 2)
        await self._until_empty(last_s)
        for connection in list(self._site.connections):
            connection.retire()
        await self._until_empty(deadline_s - last_s)
        survivors = list(self._site.connections)
        for connection in survivors:
            connection.abort()
        await self._until_empty(_ABORT_S)
        self._sweeper.cancel()
        return len(survivors)

    async def _until_empty(self, deadline_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._site.when_empty(), deadline_s)

    def _connection(self) -> Connection:
        return Connection(self._site, self._app)

    def _sweep(self) -> None:
        self._site.date = date_line(self._clock.now_us())
        now = self._loop.time()
        for connection in list(self._site.connections):
            if connection.deadline < now:
                connection.expire()
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
