"""A raw HTTP client and a server to point it at: what goes over the socket, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

from tandem.runtime.clock import SystemClock
from tandem.runtime.httpd import App, HttpLimits, Request, Response, Server

DEADLINE_S = 60.0


@dataclass
class Recorded:
    """A logger that keeps what it is told."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    info = warning = error = debug


@dataclass
class Answer:
    status: int
    reason: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Wire:
    """One client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await asyncio.wait_for(self._writer.drain(), DEADLINE_S)

    def half_close(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    async def abort(self) -> None:
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def reset(self) -> None:
        """Aborts so that the server hears that nobody is there, not that nothing more is sent."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        await self.abort()

    async def head(self) -> Answer:
        raw = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        first, *lines = raw[:-4].split(b"\r\n")
        _, status, reason = first.split(b" ", 2)
        headers = {n.lower(): v for n, v in (line.split(b": ", 1) for line in lines)}
        return Answer(int(status), reason, headers, b"")

    async def answer(self, *, head_only: bool = False) -> Answer:
        answer = await self.head()
        if head_only:
            return answer
        if answer.headers.get(b"transfer-encoding") == b"chunked":
            answer.body = await self._chunks()
        else:
            size = int(answer.headers.get(b"content-length", b"0"))
            answer.body = await asyncio.wait_for(self._reader.readexactly(size), DEADLINE_S)
        return answer

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int(await asyncio.wait_for(self._reader.readline(), DEADLINE_S), 16)
            body += (await asyncio.wait_for(self._reader.readexactly(size + 2), DEADLINE_S))[:-2]
            if not size:
                return body

    async def rest(self) -> bytes:
        """Everything up to the end of the connection, reset or not."""
        data = b""
        try:
            while piece := await asyncio.wait_for(self._reader.read(65536), DEADLINE_S):
                data += piece
        except ConnectionResetError:
            pass
        return data


class Served:
    def __init__(self, server: Server, port: int, log: Recorded) -> None:
        self.server = server
        self.port = port
        self.log = log
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self._wires.append(wire)
        return wire

    async def close(self) -> None:
        for wire in self._wires:
            await wire.abort()
        await self.server.drain(0)

    async def say(self, data: bytes) -> Answer:
        wire = await self.connect()
        await wire.send(data)
        answer = await wire.answer()
        wire.close()
        return answer


@asynccontextmanager
async def serving(app: App, limits: HttpLimits | None = None) -> AsyncIterator[Served]:
    log = Recorded()
    server = Server(app, limits or HttpLimits(), SystemClock(), log)
    served = Served(server, await server.listen("127.0.0.1", 0), log)
    try:
        yield served
    finally:
        await served.close()


def echo(request: Request) -> Response:
    """What the application saw, in one line."""
    seen = b"%s %s %s" % (request.method, request.target, request.get(b"m") or b"-")
    return Response(200, seen)


async def echo_body(request: Request) -> Response:
    return Response(200, await request.body.read(1 << 26))


SPARE_BYTES = 1000
"""Of a place for a body, so that what comes behind the body would fit, too."""


async def landed(request: Request, before: int = 0) -> bytes:
    """The body, of which `before` bytes (or a little more) are taken as chunks."""
    first = b""
    while len(first) < min(before, request.content_length or 0):
        first += await anext(request.body)
    place = bytearray((request.content_length or 0) + SPARE_BYTES)
    with request.body.landing(memoryview(place)):
        size = 0
        while more := await request.body.landed():
            size += more
    return first + place[:size]


async def echo_landed(request: Request) -> Response:
    return Response(200, await landed(request))


def get(target: bytes = b"/", *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n" % (target, lines)


def put(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"PUT /k HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), lines, body)
