"""A proxy for any protocol over TCP that cuts connections, holds bytes back and refuses callers."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_PIECE_BYTES = 64 * 1024


@dataclass
class StreamProxy:
    """Connections pass as they are until told otherwise."""

    upstream: str
    port: int = 0
    refusing: bool = False
    """New connections are reset at once."""
    cuts: int = 0
    """How many connections were reset."""
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set["asyncio.Task[None] | None"] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stall(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._flowing.clear()

    def flow(self) -> None:
        """What was held back goes on."""
        self._flowing.set()

    def cut(self) -> None:
        """Resets every connection, with what is on its way."""
        for writer in self._open:
            self.cuts += 1
            _reset(writer)
        self._open.clear()

    async def end(self) -> None:
        """Resets every connection, and returns when nothing of them is left."""
        self.refusing = True
        self.flow()
        self.cut()
        await asyncio.gather(*(task for task in self._serving if task is not None))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a caller."""
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._serving.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            _reset(writer)
            return
        host, _, port = self.upstream.rpartition(":")
        try:
            there, back = await asyncio.open_connection(host, int(port))
        except OSError:
            _reset(writer)
            return
        both = {writer, back}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, back))
                group.create_task(self._pass_on(there, writer))
        finally:
            self._open -= both
            for one in both:
                one.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(_PIECE_BYTES):
                await self._flowing.wait()
                sink.write(piece)
                await sink.drain()
        sink.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("socket")
    if peer is not None and not writer.transport.is_closing():
        linger_0s = struct.pack("ii", 1, 0)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0s)
    writer.transport.abort()


@asynccontextmanager
async def streams_to(upstream: str) -> AsyncIterator[StreamProxy]:
    """A proxy to the server at `upstream` (host:port), which need not run yet."""
    proxy = StreamProxy(upstream)
    proxy.flow()
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.end()
