"""Values of full size by other ways than `bench.http_large`: over gRPC, and with a real S3 server.

    python -m bench.large_ways

First the streams of the client library on the embedded homes; then those and plain HTTP with a Ceph
RGW (`make servers` installs it) as the second home, which has a value only when all of it has come.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.http_large import LARGE_BYTES, large, reported
from bench.load import on_last_core
from bench.report import Report
from bench.system import TITLE, running
from tandem.core.limits import PIECE_BYTES
from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment
from tests.servers.rgw import Rgw


async def streams(report: Report, deployment: Deployment) -> None:
    """A put and a get in pieces by the client library; its own work is in the time, too."""
    body = os.urandom(LARGE_BYTES)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, LARGE_BYTES, PIECE_BYTES):
            yield body[start : start + PIECE_BYTES]

    async with deployment.client(TITLE) as kv:

        async def put() -> None:
            await kv.put_stream("stream", pieces())

        async def get() -> None:
            entry = await kv.get_stream("stream")
            assert entry is not None
            size = 0
            async for piece in entry.pieces:
                size += len(piece)
            assert size == LARGE_BYTES

        await reported(report, "put_stream", deployment, put)
        await deployment.settled()
        await reported(report, "get_stream", deployment, get)


async def run() -> None:
    with Report("large_ways") as report:
        async with running() as deployment:
            with on_last_core() as core:
                report.line(f"25 MiB, the client on core {core}, servers on any; embedded homes:")
                await streams(report, deployment)
        missing = Rgw.why_missing()
        if missing:
            report.line(f"not with S3: {missing}")
            return
        with TemporaryDirectory(prefix="tandem-bench-") as directory:
            rgw = Rgw(Path(directory) / "rgw")
            try:
                rgw.start()
                async with running(bucket=new_bucket(rgw)) as deployment:
                    with on_last_core():
                        report.line("\nKVSP and a Ceph RGW on this machine:")
                        await large(report, deployment)
                        await streams(report, deployment)
            finally:
                rgw.stop()


if __name__ == "__main__":
    uvloop.run(run())
