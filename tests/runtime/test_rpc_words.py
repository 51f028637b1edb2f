"""What gRPC itself says of connections that do not come about, and what a person is told of it."""

import asyncio
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.rpc_words import in_words
from tests.servers.ports import free_port


async def details(address: str) -> str:
    """Of a call to what is no gRPC server."""
    async with open_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    return failed.value.details() or ""


async def test_nobody_listens() -> None:
    assert in_words(await details(f"127.0.0.1:{free_port()}")) == "connection refused"


async def test_somebody_listens_who_hangs_up() -> None:
    """As a server does that wants TLS."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert in_words(await details(f"{host}:{port}")) == "the connection was closed"


async def test_somebody_listens_who_speaks_http() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        assert in_words(await details(f"{host}:{port}")) == "gRPC is not spoken there"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[Errno -2] Name or service not known", "no such host"),
        ("[Errno 113] No route to host", "no route to it"),
        ("[Errno 101] Network is unreachable", "its network cannot be reached"),
        (
            "UNAUTHENTICATED: Hostname Verification Check failed.",
            "its certificate is for other names",
        ),
        ("the stream was reset", "the stream was reset"),
        ("", ""),
    ],
)
def test_what_is_not_known_is_told_as_it_is(said: str, words: str) -> None:
    assert in_words(said) == words
