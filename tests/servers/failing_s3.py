"""A proxy before an S3 server, in a process of its own, that fails a share of all calls.

A call that fails meets one of what real stores do: an error before anything was done, an error or a
reset although it was done, an answer that is cut off in the middle.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import uvloop

from tests.servers.fault_proxy import (
    NEVER_ARRIVES,
    NO_ANSWER,
    PASS,
    Fault,
    Request,
    faults_before,
    status,
)

_FAULTS = (
    Fault(forward=False, answer=status(503, "SlowDown")),
    Fault(answer=status(500, "InternalError")),
    Fault(cut_to=40),
    NO_ANSWER,
    NEVER_ARRIVES,
)


class FailingS3:
    """The proxy as its starter sees it."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self.endpoint = f"http://127.0.0.1:{port}"

    async def fail(self, share: float) -> None:
        """From the next request on, so many of all fail."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{share}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def failing_s3(upstream: str) -> AsyncIterator[FailingS3]:
    """A proxy before the server at `upstream`, through which all passes until told otherwise."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.servers.failing_s3", upstream, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        yield FailingS3(process, int(await process.stdout.readline()))
    finally:
        await process.communicate(b"")


async def _serve(upstream: str) -> None:
    random, share = Random(1), 0.0
    async with faults_before(upstream) as proxy:

        def plan(_: Request) -> Fault:
            proxy.seen.clear()
            return random.choice(_FAULTS) if random.random() < share else PASS

        proxy.plan = plan
        print(proxy.port, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            share = float(line)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
