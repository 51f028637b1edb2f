"""A small asyncio client of the HTTP door, for loads that come at their own pace."""

import asyncio
import re
import ssl
from types import TracebackType
from typing import Self, cast

from tests.e2e.deployment import Deployment

_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)


def request_for(namespace: str, key: str, token: str = "", method: str = "GET") -> bytes:
    """A request as workerd sends it."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{method} /{key}?urlencoded=true HTTP/1.1\r\nHost: kv\r\n"
        f"CF-KV-Namespace-ID: {namespace}\r\n{authorization}"
    ).encode()


def http_port(deployment: Deployment) -> int:
    """Where its gateway serves HTTP."""
    return int(deployment.http.rpartition(":")[2])


class HttpClient:
    """Connections that are kept; a request waits for the first that is free."""

    def __init__(self, port: int, connections: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._connections = connections
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
        self._all: list[_Connection] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, connection = await loop.create_connection(
                _Connection, "127.0.0.1", self._port, ssl=self._tls
            )
            self._all.append(connection)
            self._free.put_nowait(connection)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for connection in self._all:
            connection.close()

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer; AssertionError unless its status is 200."""
        connection = await self._free.get()
        head, body = await connection.ask(request)
        self._free.put_nowait(connection)
        assert head.startswith(b"HTTP/1.1 200 "), head
        return head, body


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport
        self._answer: asyncio.Future[tuple[bytes, bytes]]
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if ended and length is not None and len(body) >= int(length[1]):
            self._received = b""
            self._answer.set_result((head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "_answer") and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed by the server"))

    def ask(self, request: bytes) -> asyncio.Future[tuple[bytes, bytes]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.close()
