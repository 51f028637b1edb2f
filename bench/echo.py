"""The least that a gRPC server in Python can do, as the measure of what is done with more."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import uvloop

_PATH = "/bench.Echo/Echo"
Echo = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


def add_echo(server: grpc.aio.Server) -> None:
    """Lets `server` answer each message with itself."""

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler})]
    )


def echo_of(channel: grpc.aio.Channel) -> Echo:
    """The call that is echoed."""
    unary: Echo = channel.unary_unary(_PATH)
    return unary


@asynccontextmanager
async def echoing() -> AsyncIterator[Echo]:
    """An echo server in a process of its own."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.echo", stdin=PIPE, stdout=PIPE
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield echo_of(channel)
    finally:
        await server.communicate(b"")


async def _serve() -> None:
    server = grpc.aio.server()
    add_echo(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
