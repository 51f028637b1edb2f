"""The TLS handshake of one accepted connection, counted and bounded like the connection itself."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from tandem.runtime.httpd.connection import Connection
from tandem.runtime.httpd.message import App
from tandem.runtime.httpd.site import Site


class Handshake(asyncio.Protocol):
    """Stands for a connection from its first moment until both sides agree, or one gives up.

    A listener that speaks TLS itself keeps one context for ever, and tells nobody of a handshake
    that began or failed. So the listener only accepts, and the connection moves, by its file, to a
    transport that is begun here; `asyncio.loop.start_tls` would not do, because uvloop reads
    before it can be called.
    """

    deadline = float("inf")  # the loop counts the time of a handshake

    def __init__(self, site: Site, app: App, context: Callable[[], ssl.SSLContext]) -> None:
        self._site = site
        self._app = app
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket
        self._task: asyncio.Task[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = transport.get_extra_info("socket").fileno()
        if self._site.admit(self):
            try:
                self._socket = socket.socket(fileno=os.dup(accepted))
            except OSError:  # no file is free
                self._fail()
            else:
                self._task = self._loop.create_task(self._agree())
        cast(asyncio.Transport, transport).abort()  # uvloop's do not inherit from it

    def expire(self) -> None:
        """Never due."""

    def retire(self) -> None:
        """No request was begun."""
        self.abort()

    def abort(self) -> None:
        with suppress(OSError):  # the client may be gone
            self._socket.shutdown(socket.SHUT_RDWR)

    async def _agree(self) -> None:
        limits = self._site.limits
        try:
            with suppress(OSError):  # what TLS refuses, clients that leave, time that passes
                await self._loop.connect_accepted_socket(
                    lambda: Connection(self._site, self._app, self),
                    self._socket,
                    ssl=self._context(),
                    ssl_handshake_timeout=limits.handshake_timeout_s,
                    ssl_shutdown_timeout=limits.linger_s,
                )
        finally:
            if self in self._site.connections:
                self._fail()

    def _fail(self) -> None:
        self._site.stats.handshakes_failed += 1
        self._site.dismiss(self)
