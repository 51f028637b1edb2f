"""A server that says exactly what a test wrote down, one script for each connection."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast


@dataclass(frozen=True)
class Take:
    """Read one whole request and note it."""


@dataclass(frozen=True)
class TakeHead:
    """Read a request up to its body and note it."""


@dataclass(frozen=True)
class Say:
    data: bytes


@dataclass(frozen=True)
class Until:
    event: asyncio.Event


@dataclass(frozen=True)
class HangUp:
    """Close in good order."""


@dataclass(frozen=True)
class Reset:
    """Close with a TCP reset."""


@dataclass(frozen=True)
class SayNoMore:
    """Read nothing more, and close the own direction only."""


@dataclass(frozen=True)
class ClientGone:
    """Wait for the client to close the connection."""


Step = Take | TakeHead | Say | Until | HangUp | Reset | SayNoMore | ClientGone
Script = Sequence[Step]


@dataclass
class Seen:
    connection: int
    head: str
    body: bytes


@dataclass
class ScriptedServer:
    scripts: list[Script]
    port: int = 0
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    stop_listening: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        try:
            for step in self.scripts[number]:
                await self._play(step, number, reader, writer)
            await self._note_finished(number)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._note_finished(number)
        finally:
            writer.close()

    async def _play(
        self, step: Step, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match step:
            case Take() | TakeHead():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = 0
                for line in head.lower().splitlines():
                    if line.startswith("content-length:") and isinstance(step, Take):
                        length = int(line.partition(":")[2])
                body = await reader.readexactly(length)
                async with self.changed:
                    self.seen.append(Seen(number, head, body))
                    self.changed.notify_all()
            case Say(data):
                writer.write(data)
                await writer.drain()
            case Until(event):
                await event.wait()
            case HangUp():
                writer.close()
            case Reset():
                linger_0s = struct.pack("ii", 1, 0)
                peer = writer.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0s)
                writer.transport.abort()
            case SayNoMore():
                reading = cast("asyncio.ReadTransport", writer.transport)
                reading.pause_reading()
                writer.write_eof()
            case ClientGone():
                while await reader.read(65536):
                    pass

    async def _note_finished(self, number: int) -> None:
        async with self.changed:
            self.finished.append(number)
            self.changed.notify_all()

    async def until_seen(self, count: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.seen) >= count)

    async def until_finished(self, number: int) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: number in self.finished)


@asynccontextmanager
async def scripted(
    *scripts: Script, context: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer(list(scripts))
    listener = await asyncio.start_server(
        server.serve, "127.0.0.1", 0, ssl=context, limit=32 * 1024 * 1024
    )
    server.stop_listening = listener.close
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
