"""Writes answers to one client, as fast as it takes them, and no faster."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from tandem.runtime.httpd.head import bodiless, encode_head, framing
from tandem.runtime.httpd.message import ClientGone, Request, Response
from tandem.runtime.httpd.site import Site

PIECE_BYTES_MAX = 256 << 10  # larger bodies are written in such pieces, as the client takes them
_JOIN_BYTES_MAX = 16 << 10  # below it, one copy is cheaper than a second buffer
_NO_ROOM = Response(503, reason=b"Too many large answers are under way")


class Outbound:
    """The writing half of a connection: one answer at a time."""

    def __init__(self, site: Site, transport: asyncio.Transport) -> None:
        self._site = site
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._writable: asyncio.Future[None] | None = None
        self.paused = False
        self.gone = False
        self.head_written = False  # of the answer under way: an error cannot be told any more

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def lose(self) -> None:
        """The client is gone; whoever waits for it hears."""
        self.gone = True
        self.resume()

    async def send_bytes(
        self, request: Request, response: Response, body: bytes | memoryview, keep: bool
    ) -> None:
        """Write an answer whose body is there. Large ones are held until the client has taken them:
        there is a bound on all of them together, and 503 at it."""
        size = len(body)
        if size <= PIECE_BYTES_MAX or request.method == b"HEAD":
            self.write(request, response, keep, body)
            return
        if not self._site.take_room(size):
            self.write(request, _NO_ROOM, keep, b"")
            return
        try:
            view = memoryview(body)
            self.write(request, response, keep, view[:PIECE_BYTES_MAX], size)
            for start in range(PIECE_BYTES_MAX, size, PIECE_BYTES_MAX):
                await self._room()
                self._transport.write(view[start : start + PIECE_BYTES_MAX])
        finally:
            self._site.give_room(size)

    async def send_stream(
        self, request: Request, response: Response, body: AsyncIterator[bytes], keep: bool
    ) -> None:
        """Write an answer whose body comes in pieces. What it holds meanwhile counts as that of
        large answers does."""
        chunked = response.length is None and not request.http10
        if not self._site.take_room(response.held):
            self.write(request, _NO_ROOM, keep, b"")
            return
        try:
            self.write(request, response, keep, b"", response.length)
            if request.method == b"HEAD" or bodiless(response.status):
                return
            sent = 0
            async for chunk in body:
                await self._room()
                sent += len(chunk)
                if chunked and chunk:
                    self._transport.writelines((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
                elif chunk:
                    self._transport.write(chunk)
            if response.length is not None and sent != response.length:
                raise RuntimeError(f"streamed {sent} bytes of a declared {response.length}")
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        finally:
            self._site.give_room(response.held)
            if isinstance(body, AsyncGenerator):
                await body.aclose()

    def write(
        self,
        request: Request,
        response: Response,
        keep: bool,
        body: bytes | memoryview,
        length: int | None = -1,
    ) -> None:
        """Write the head and the first piece of the body; `length` is the whole body's."""
        if self.gone:
            raise ClientGone
        if length == -1:
            length = len(body)
        bare = bodiless(response.status)
        head_only = bare or request.method == b"HEAD"
        if head_only and response.length is not None:
            length = response.length
        lines = framing(length, request.http10, keep, bare=bare)
        head = encode_head(response, self._site.date, lines)
        self.head_written = True
        if head_only:
            self._transport.write(head)
        elif len(body) <= _JOIN_BYTES_MAX:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    async def _room(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if self.paused and not self.gone:
            self._writable = self._loop.create_future()
            await self._writable
            self._writable = None
        if self.gone:
            raise ClientGone
