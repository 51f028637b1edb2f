"""The HTTP server with an application that does nothing, as the measure of one that does more."""

import asyncio
import gc
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvloop

from tandem.runtime import logs
from tandem.runtime.clock import SystemClock
from tandem.runtime.httpd import HttpLimits, Request, Response, Server, encode_headers
from tandem.runtime.serve import COLLECT_EACH


@dataclass(frozen=True, slots=True)
class BareServer:
    """One that runs."""

    port: int
    pid: int


@asynccontextmanager
async def bare_server(size: int) -> AsyncIterator[BareServer]:
    """A server, in a process of its own, that answers everything with `size` bytes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.bare_http", str(size), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield BareServer(int(await process.stdout.readline()), process.pid)
    finally:
        await process.communicate(b"")


async def _serve(size: int) -> None:
    gc.set_threshold(COLLECT_EACH)  # as a gateway does
    answer = Response(
        200, b"v" * size, encode_headers([(b"Content-Type", b"application/octet-stream")])
    )

    def app(_: Request) -> Response:
        return answer

    server = Server(app, HttpLimits(), SystemClock(), logs.get("bench"))
    print(await server.listen("127.0.0.1", 0), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.drain(0.1)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
