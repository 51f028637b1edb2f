"""Requests and answers for tests of the transport, and one to a server that plays a script."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandem.backends.s3.exchange import (
    Exchange,
    FailureKind,
    HttpRequest,
    Method,
    TransportError,
)
from tandem.backends.s3.transport import HttpTransport, PoolLimits
from tests.backends.s3.scripted_server import (
    Say,
    Take,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNFRAMED = b"HTTP/1.1 503 Slow Down\r\n\r\nbusy"
PLENTY_S = 30.0
LARGE = bytes(range(256)) * 4096 * 25  # 25 MiB
LARGE_HEAD = f"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode()
FEW = PoolLimits(connections_max=2, waiting_max=2)

ANSWER = (Take(), Say(OK))


def put(body: bytes = b"body") -> HttpRequest:
    return HttpRequest("PUT", "/b/k", {"host": "x", "if-match": "abc"}, body)


def get(method: Method = "GET") -> HttpRequest:
    return HttpRequest(method, "/b/k", {"host": "x"})


@asynccontextmanager
async def transport_to(port: int, limits: PoolLimits | None = None) -> AsyncIterator[HttpTransport]:
    transport = HttpTransport("127.0.0.1", port, limits=limits)
    try:
        yield transport
    finally:
        await transport.aclose()


async def failure_of(exchange: Exchange) -> tuple[FailureKind, bool]:
    with pytest.raises(TransportError) as failure:
        await exchange.reply
    return failure.value.kind, failure.value.sent
