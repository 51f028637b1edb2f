"""A proxy before a real S3 server that loses, delays, cuts and falsifies what it is told to."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header; None if it was not sent."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None


@dataclass(frozen=True)
class Fault:
    """What happens to one request; without any field it passes."""

    forward: bool = True
    answer: bytes | None = None
    """What is said in place of the server's answer."""
    reset: bool = False
    """The connection is reset in place of an answer."""
    silent: bool = False
    """Nothing is ever said."""
    cut_to: int | None = None
    """Only so many bytes of the answer are sent, and the connection is closed."""
    rewrite: "Callable[[Request], Request] | None" = None
    """What becomes of the request on its way; ministack does not check signatures."""
    mangle: Callable[[bytes], bytes] | None = None
    """What becomes of the answer on its way."""
    wait: asyncio.Event | None = None
    """What is awaited before the request is forwarded."""
    answered_after_s: float = 0.0
    """How long the answer is kept back."""


PASS = Fault()
NO_ANSWER = Fault(reset=True)
NEVER_ARRIVES = Fault(forward=False, reset=True)


def status(code: int, error: str = "") -> bytes:
    """An answer of S3's with this status; it has no `Date`."""
    body = f"<Error><Code>{error}</Code></Error>".encode() if error else b""
    return f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


NO_STORE = Fault(
    forward=False,
    answer=b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n<html>Log in</html>",
)
"""A proxy on the way that answers everything itself, well, as one that wants a login first."""


@dataclass
class FaultProxy:
    """`plan` decides on each request as it comes; `seen` are the requests in order."""

    upstream: str
    plan: Callable[[Request], Fault] = lambda _: PASS
    port: int = 0
    seen: list[Request] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next(self, method: str, *faults: Fault) -> None:
        """The next requests of this method meet these faults, one each; all others pass."""
        waiting = list(faults)

        def plan(request: Request) -> Fault:
            return waiting.pop(0) if waiting and request.method == method else PASS

        self.plan = plan

    def methods(self) -> list[str]:
        return [request.method for request in self.seen]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read_request(reader)
        self.seen.append(request)
        fault = self.plan(request)
        if fault.wait is not None:
            await fault.wait.wait()
        forwarded = fault.rewrite(request) if fault.rewrite is not None else request
        answer = await self._forward(forwarded) if fault.forward else b""
        if fault.answered_after_s:
            await asyncio.sleep(fault.answered_after_s)
        if fault.reset:
            _reset(writer)
            return False
        if fault.silent:
            await reader.read()
            return False
        answer = fault.answer if fault.answer is not None else answer
        answer = fault.mangle(answer) if fault.mangle is not None else answer
        writer.write(answer[: fault.cut_to])
        await writer.drain()
        return fault.cut_to is None

    async def _forward(self, request: Request) -> bytes:
        parts = urlsplit(self.upstream)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            line, rest = request.head.split(b"\r\n", 1)
            writer.write(line + b"\r\nConnection: close\r\n" + rest + request.body)
            await writer.drain()
            head, end, body = (await reader.read()).partition(b"\r\n\r\n")
            return re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head) + end + body
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    method, target, _ = head.split(b" ", 2)
    request = Request(method.decode(), target.decode(), head, b"")
    length = int(request.header("content-length") or 0)
    return Request(request.method, request.target, head, await reader.readexactly(length))


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_0s = struct.pack("ii", 1, 0)
    peer = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0s)
    writer.transport.abort()


@asynccontextmanager
async def faults_before(upstream: str) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the server at `upstream`; every request passes until told otherwise."""
    proxy = FaultProxy(upstream)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=32 * 1024 * 1024)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
