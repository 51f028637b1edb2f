"""The real programs under load, each part on free ports below a directory of its own."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.load import cpu_s
from tandem import Client
from tests.e2e.deployment import Bucket, Deployment, deployed

TITLE = "bench"
VALUE = b"v" * 288


@asynccontextmanager
async def running(
    workers: int = 1, bucket: Bucket | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Deployment]:
    """KVSP and a gateway with one namespace; with a bucket, or the embedded file."""
    with TemporaryDirectory(prefix="tandem-bench-") as directory:
        async with deployed(
            Path(directory) / "system", bucket, workers, **(settings or {})
        ) as deployment:
            await deployment.start()
            async with deployment.client() as client:
                await client.namespaces.create(TITLE)
            yield deployment


def parts(deployment: Deployment) -> dict[str, list[int]]:
    """The process ids of what serves requests."""
    return {"gateway": deployment.workers(), "kvsp": [deployment.kvsp.pid]}


def cpu_by_part(deployment: Deployment) -> Callable[[], Mapping[str, float]]:
    """A function that says how many seconds of CPU each part has used since now."""
    pids = parts(deployment)
    before = {part: cpu_s(of) for part, of in pids.items()}
    return lambda: {part: cpu_s(of) - before[part] for part, of in pids.items()}


async def filled(kv: Client, keys: int) -> list[str]:
    """The names of so many keys that have values."""
    names = [f"key-{number}" for number in range(keys)]
    await kv.put_many(dict.fromkeys(names, VALUE))
    return names
