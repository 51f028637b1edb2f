"""One small Worker on workerd: with Tandem behind it, and with Miniflare's own KV.

    python -m bench.workers

The packages of tests/workers must be installed (`make servers`). Both Workers run at once and are
asked in turns, so the ratios hold whatever the machine is. Tandem stands on its embedded homes with
the default policy: its writes are durable. Miniflare keeps its KV on disk.
"""

import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
ROUND_S = 2.0
ROUNDS = 5
TARGETS = {"read": 2, "write": 5}


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


async def one_round(client: HttpClient, operation: str) -> Rate:
    """All callers read, or write, over and over."""
    put = f"Content-Length: {len(VALUE)}\r\n\r\n".encode() + VALUE

    async def call(number: int) -> None:
        line = b"%b /key-%d HTTP/1.1\r\nHost: kv\r\n"
        if operation == "write":
            await client.ask(line % (b"PUT", number % KEYS) + put)
        else:
            _, body = await client.ask(line % (b"GET", number % KEYS) + b"\r\n")
            assert body == VALUE

    return await measured(call, CALLERS, ROUND_S)


async def compared(report: Report, ports: dict[str, int]) -> None:
    """Rounds of both Workers in turns."""
    rates: dict[tuple[str, str], list[Rate]] = {}
    for at in range(ROUNDS + 1):
        for operation in ("write", "read"):
            for name, port in ports.items():
                async with HttpClient(port, CALLERS) as client:
                    rate = await one_round(client, operation)
                if at:  # the first round warms up, and makes the keys
                    rates.setdefault((name, operation), []).append(rate)
    report.line(f"{'':<18} {'per second':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for (name, operation), rounds in sorted(rates.items(), key=lambda item: item[0][1]):
        per_s, p50, p99 = (
            statistics.median(getattr(rate, field) for rate in rounds)
            for field in ("per_s", "p50_ms", "p99_ms")
        )
        report.line(f"{operation + ', ' + name:<18} {per_s:>10,.0f} {p50:>8.2f} {p99:>8.2f}")
    for operation, target in TARGETS.items():
        pairs = zip(rates["tandem", operation], rates["miniflare", operation], strict=True)
        ratio = statistics.median(ours.per_s / theirs.per_s for ours, theirs in pairs)
        report.line(f"{operation}s: {ratio:.1f} x Miniflare's (target {target})")


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
