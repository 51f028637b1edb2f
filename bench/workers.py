"""One small Worker on workerd: with Tandem behind it, and with Miniflare's own KV.

    python -m bench.workers

The packages of tests/workers must be installed (`make servers`). Both Workers run at once and are
asked in turns, so the ratios hold whatever the machine is. Tandem stands on its embedded homes with
the default policy: its writes are durable. Miniflare keeps its KV on disk.

With one operation a request, the runtime's own handling of requests weighs as much as the KV on
either side; so the Worker is also asked for ten at once (`Promise.all`). A group of writes costs
the gateway and KVSP 2 ms whatever its size, so more callers write faster. And a third Worker has a
server in the place of Tandem that answers everything at once: what no KV could surpass.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import uvloop

from bench.bare_http import bare_server
from bench.http_client import HttpClient
from bench.load import Rate, cpu_s, machine_cpu_s, measured, on_last_core
from bench.report import Report
from bench.system import TITLE, VALUE, parts, running
from tandem.core.access import Permission
from tests.e2e.deployment import Deployment
from tests.servers import npm
from tests.servers.daemon import Daemon
from tests.servers.ports import free_port

HERE = Path(__file__).parent
WORKER = HERE / "worker.mjs"
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
    callers: int = 32

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
    Kind("128 callers write", "PUT", callers=128),
)  # fmt: skip


class Asked(NamedTuple):
    """A Worker that is asked: its port, and the processes that are its KV, if it has any."""

    port: int
    kv_pids: Sequence[int] = ()


class Round(NamedTuple):
    """How fast a round went, and the microseconds of CPU that an operation took: of its KV, of the
    whole machine, and what no process wanted."""

    rate: Rate
    kv_us: float
    all_us: float
    idle_us: float


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


async def configured(deployment: Deployment, port: int) -> str:
    """The configuration of a Worker with Tandem as its KV, which listens on `port`."""
    async with deployment.client() as client:
        namespace = (await client.namespaces.get(TITLE)).id
        token = await client.tokens.create("bench", Permission.WRITE, namespaces=[namespace])
    status, configuration = await deployment.kvctl(
        "workers", f"{TITLE}=KV", "--worker-token", token.text, "--script", WORKER.name,
        "--listen", f"127.0.0.1:{port}",
    )  # fmt: skip
    assert status == 0, configuration
    return configuration


def workerd(directory: Path, configuration: str) -> tuple[str | Path, ...]:
    """The command of a Worker that is configured so."""
    directory.mkdir()
    (directory / WORKER.name).write_bytes(WORKER.read_bytes())
    path = directory / "workerd.capnp"
    path.write_text(configuration)
    return npm.WORKERD, "serve", "--experimental", path


async def one_round(asked: Asked, kind: Kind) -> Round:
    """All callers ask for the same, over and over."""

    async def call(number: int) -> None:
        _, body = await client.ask(kind.request(number))
        assert body == (VALUE if kind.method == "GET" else b"stored")

    async with HttpClient(asked.port, kind.callers) as client:
        start_s, kv_s, all_s = time.perf_counter(), cpu_s(asked.kv_pids), machine_cpu_s()
        rate = await measured(call, kind.callers, ROUND_S)
        kv_s, all_s = cpu_s(asked.kv_pids) - kv_s, machine_cpu_s() - all_s
        elapsed_s = time.perf_counter() - start_s
    operations = rate.per_s * kind.operations * elapsed_s
    idle_s = (os.cpu_count() or 1) * elapsed_s - all_s
    kv_us, all_us, idle_us = (1e6 * each_s / operations for each_s in (kv_s, all_s, idle_s))
    return Round(rate, kv_us, all_us, idle_us)


async def compared(report: Report, workers: dict[str, Asked]) -> None:
    """Rounds of all Workers in turns."""
    seen: dict[tuple[Kind, str], list[Round]] = {}
    for at in range(ROUNDS + 1):
        for kind in KINDS:
            for name, asked in workers.items():
                one = await one_round(asked, kind)
                if at:  # the first round warms up, and makes the keys
                    seen.setdefault((kind, name), []).append(one)
    report.line(f"{'':<28} {'':>12} {'':>8} {'':>8}   {'CPU us an operation':>23}")
    report.line(
        f"{'':<28} {'operations/s':>12} {'p50 ms':>8} {'p99 ms':>8}"
        f" {'of the KV':>10} {'of all':>7} {'idle':>6}"
    )
    for (kind, name), rounds in seen.items():
        report.line(f"{f'{kind.name}, {name}':<28} {_figures(kind, rounds)}")
    for kind in KINDS:
        times = {name: _times(seen[kind, name], seen[kind, "miniflare"]) for name in workers}
        target = "" if kind.target is None else f" (target {kind.target})"
        report.line(
            f"{kind.name}: {times['tandem']:.1f} x Miniflare's{target};"
            f" with a KV that takes no time {times['ceiling']:.1f} x"
        )


def _figures(kind: Kind, rounds: Sequence[Round]) -> str:
    rates, kv_us, all_us, idle_us = zip(*rounds, strict=True)
    per_s, p50_ms, p99_ms = (
        statistics.median(getattr(rate, field) for rate in rates)
        for field in ("per_s", "p50_ms", "p99_ms")
    )
    kv, used, idle = (statistics.median(each) for each in (kv_us, all_us, idle_us))
    shown = f"{per_s * kind.operations:>12,.0f} {p50_ms:>8.2f} {p99_ms:>8.2f}"
    return f"{shown} {f'{kv:.0f}' if kv else '':>10} {used:>7.0f} {idle:>6.0f}"


def _times(some: Sequence[Round], others: Sequence[Round]) -> float:
    pairs = zip(some, others, strict=True)
    return statistics.median(one.rate.per_s / other.rate.per_s for one, other in pairs)


async def run() -> None:
    if why := npm.why_missing():
        sys.exit(f"{why}: make servers")
    with Report("workers") as report, ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="tandem-bench-")))
        async with bare_server(len(VALUE)) as bare, running() as deployment:
            stub = f"127.0.0.1:{bare.port}"
            port, ceiling_port = free_port(), free_port()
            tandem = await configured(deployment, port)
            ceiling = tandem.replace(deployment.http, stub).replace(f":{port}", f":{ceiling_port}")
            assert stub in ceiling
            other, other_port = miniflare(directory)
            for name, command, listens in (
                ("tandem", workerd(directory / "tandem", tandem), port),
                ("ceiling", workerd(directory / "ceiling", ceiling), ceiling_port),
                ("miniflare", other, other_port),
            ):
                stack.enter_context(served(command, listens, directory / f"{name}.log"))
            core = stack.enter_context(on_last_core())
            report.line(f"{KINDS[0].callers} callers if not said, each on a connection;")
            report.line(f"{KEYS} keys, {len(VALUE)}-byte values; the client on core {core},")
            report.line(f"servers on any; {ROUNDS} rounds of {ROUND_S} s in turns\n")
            workers = {
                "tandem": Asked(port, [*chain.from_iterable(parts(deployment).values())]),
                "ceiling": Asked(ceiling_port, [bare.pid]),
                "miniflare": Asked(other_port),
            }
            await compared(report, workers)


if __name__ == "__main__":
    uvloop.run(run())
