"""One small Worker on workerd: with Tandem behind it, and with Miniflare's own KV.

    python -m bench.workers

The packages of tests/workers must be installed (`make servers`). Both Workers run at once and are
asked in turns, so the ratios hold whatever the machine is. Tandem stands on its embedded homes with
the default policy: its writes are durable. Miniflare keeps its KV on disk.

With one operation a request, the runtime's own handling of requests weighs as much as the KV on
either side; so the Worker is also asked for ten at once (`Promise.all`).
"""

import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.http_client import HttpClient
from bench.load import Rate, measured, on_last_core
from bench.report import Report
from bench.system import TITLE, VALUE, running
from tandem.core.access import Permission
from tests.e2e.deployment import Deployment
from tests.servers import npm
from tests.servers.daemon import Daemon, free_port

HERE = Path(__file__).parent
WORKER = HERE / "worker.mjs"
CALLERS = 32
KEYS = 500
ROUND_S = 1.5
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """What a request asks of the Worker."""

    name: str
    method: str
    operations: int = 1
    """Of the KV, at once."""
    target: int | None = None
    """How many times Miniflare's rate."""

    def request(self, number: int) -> bytes:
        """The request that has this number; all kinds have as many keys."""
        key = number % (KEYS // self.operations)
        query = "" if self.operations == 1 else "?ten"
        head = f"{self.method} /key-{key}{query} HTTP/1.1\r\nHost: kv\r\n"
        if self.method == "GET":
            return f"{head}\r\n".encode()
        return f"{head}Content-Length: {len(VALUE)}\r\n\r\n".encode() + VALUE


KINDS = (
    Kind("write", "PUT", target=5), Kind("read", "GET", target=2),
    Kind("ten writes", "PUT", 10), Kind("ten reads", "GET", 10),
)  # fmt: skip


@contextmanager
def served(command: tuple[str | Path, ...], port: int, log: Path) -> Iterator[int]:
    """A runtime of Workers for as long as the block runs; its port."""
    daemon = Daemon(command, log)
    try:
        daemon.start()
        daemon.wait_for_port(port)
        yield port
    finally:
        daemon.stop()


def miniflare(directory: Path) -> tuple[tuple[str | Path, ...], int]:
    """The command of the Worker with Miniflare's own KV, and its port."""
    port = free_port()
    script = HERE / "miniflare.mjs"
    return (npm.NODE, script, npm.MODULES, WORKER, str(port), directory / "kv"), port


async def workerd(directory: Path, deployment: Deployment) -> tuple[tuple[str | Path, ...], int]:
    """The command of the Worker with Tandem as its KV, and its port."""
    async with deployment.client() as client:
        namespace = (await client.namespaces.get(TITLE)).id
        token = await client.tokens.create("bench", Permission.WRITE, namespaces=[namespace])
    port = free_port()
    status, configuration = await deployment.kvctl(
        "workers", f"{TITLE}=KV", "--worker-token", token.text, "--script", WORKER.name,
        "--listen", f"127.0.0.1:{port}",
    )  # fmt: skip
    assert status == 0, configuration
    (directory / WORKER.name).write_bytes(WORKER.read_bytes())
    path = directory / "workerd.capnp"
    path.write_text(configuration)
    return (npm.WORKERD, "serve", "--experimental", path), port


async def one_round(client: HttpClient, kind: Kind) -> Rate:
    """All callers ask for the same, over and over."""

    async def call(number: int) -> None:
        _, body = await client.ask(kind.request(number))
        assert body == (VALUE if kind.method == "GET" else b"stored")

    return await measured(call, CALLERS, ROUND_S)


async def compared(report: Report, ports: dict[str, int]) -> None:
    """Rounds of both Workers in turns."""
    rates: dict[tuple[Kind, str], list[Rate]] = {}
    for at in range(ROUNDS + 1):
        for kind in KINDS:
            for name, port in ports.items():
                async with HttpClient(port, CALLERS) as client:
                    rate = await one_round(client, kind)
                if at:  # the first round warms up, and makes the keys
                    rates.setdefault((kind, name), []).append(rate)
    report.line(f"{'':<23} {'operations/s':>12} {'p50 ms':>8} {'p99 ms':>8}")
    for (kind, name), rounds in rates.items():
        per_s, p50, p99 = (
            statistics.median(getattr(rate, field) for rate in rounds)
            for field in ("per_s", "p50_ms", "p99_ms")
        )
        title = f"{kind.name}, {name}"
        report.line(f"{title:<23} {per_s * kind.operations:>12,.0f} {p50:>8.2f} {p99:>8.2f}")
    for kind in KINDS:
        pairs = zip(rates[kind, "tandem"], rates[kind, "miniflare"], strict=True)
        ratio = statistics.median(ours.per_s / theirs.per_s for ours, theirs in pairs)
        target = "" if kind.target is None else f" (target {kind.target})"
        report.line(f"{kind.name}: {ratio:.1f} x Miniflare's{target}")


async def run() -> None:
    if why := npm.why_missing():
        sys.exit(f"{why}: make servers")
    with Report("workers") as report, ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="tandem-bench-")))
        async with running() as deployment:
            command, port = await workerd(directory, deployment)
            tandem = stack.enter_context(served(command, port, directory / "workerd.log"))
            command, port = miniflare(directory)
            other = stack.enter_context(served(command, port, directory / "miniflare.log"))
            core = stack.enter_context(on_last_core())
            report.line(f"{CALLERS} connections, {KEYS} keys, {len(VALUE)}-byte values; the client")
            report.line(
                f"on core {core}, servers on any; {ROUNDS} rounds of {ROUND_S} s in turns\n"
            )
            await compared(report, {"tandem": tandem, "miniflare": other})


if __name__ == "__main__":
    uvloop.run(run())
