"""A proxy before an S3 server, in a process of its own, that answers as late as it is told to."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from tests.servers.fault_proxy import Fault, faults_before


class SlowS3:
    """The proxy as its starter sees it."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.endpoint = f"http://127.0.0.1:{port}"

    async def answer_after(self, latency_s: float) -> None:
        """From the next request on, each answer is kept back so long."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{latency_s}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def slow_s3(upstream: str) -> AsyncIterator[SlowS3]:
    """A proxy before the server at `upstream`, which is as quick as that until told otherwise."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.slow_s3", upstream, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield SlowS3(process, int(await process.stdout.readline()))
    finally:
        await process.communicate(b"")


async def _serve(upstream: str) -> None:
    loop = asyncio.get_running_loop()
    latency_s = 0.0
    async with faults_before(upstream) as proxy:
        proxy.plan = lambda _: Fault(answered_after_s=latency_s)
        print(proxy.port, flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            latency_s = float(line)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
