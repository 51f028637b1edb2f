"""What KVSP does on PostgreSQL beside what it does on SQLite, in one run.

    python -m bench.kvsp_engines

One process asks for random keys and writes them anew over one stream, as a gateway does, as fast as
KVSP answers. PostgreSQL runs on the same machine, without a standby.
"""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.kvsp_reads import DEADLINE_S, NAMESPACE, fill
from bench.load import measured
from bench.report import Report
from bench.system import VALUE
from tandem.backends.kvsp import KvspBackend
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Found, Stored, Superseded
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tests.e2e.deployment import deployed
from tests.servers.postgres import Postgres

KEYS = 10_000
CALLERS = (1, 256)
ROUND_S = 2.0


async def run() -> None:
    with (
        Report("kvsp_engines") as report,
        TemporaryDirectory(prefix="tandem-bench-") as files,
        TemporaryDirectory(prefix="tandem-bench-") as databases,
    ):
        report.line(f"{KEYS:,} keys, {len(VALUE)}-byte values")
        await measure(report, "SQLite", Path(files) / "sqlite")
        postgres = Postgres(Path(databases))
        postgres.make()
        try:
            [dsn] = postgres.empty_databases(1)
            await measure(report, "PostgreSQL", Path(files) / "postgres", dsn)
        finally:
            postgres.stop()


async def measure(report: Report, engine: str, path: Path, dsn: str = "") -> None:
    async with deployed(path, TANDEM_KVSP_POSTGRES=dsn) as deployment:
        deployment.kvsp.start()
        await deployment.serving(deployment.kvsp, deployment.kvsp_address)
        kvsp = KvspBackend(deployment.kvsp_address, SystemEntropy())
        kvsp.start()
        try:
            await ask(report, engine, kvsp)
        finally:
            await kvsp.aclose()


async def ask(report: Report, engine: str, kvsp: KvspBackend) -> None:
    keys = [Key(NAMESPACE, f"key-{number}") for number in range(KEYS)]
    await fill(kvsp, keys)
    order = random.Random(1).choices(keys, k=KEYS)
    clock, entropy = SystemClock(), SystemEntropy()

    async def read(number: int) -> None:
        assert isinstance(await kvsp.get(order[number % KEYS], DEADLINE_S), Found)

    async def write(number: int) -> None:
        record = seal(Version.at(clock.now_us(), entropy.token(8)), VALUE)
        reply = await kvsp.put_if_newer(order[number % KEYS], record, DEADLINE_S)
        assert isinstance(reply, Stored | Superseded)

    for callers in CALLERS:
        for what, call in (("gets", read), ("puts", write)):
            await measured(call, callers, ROUND_S / 4)
            rate = await measured(call, callers, ROUND_S)
            report.line(
                f"{engine}, {what}, {callers} at once: {rate.per_s:,.0f}/s,"
                f" p50 {rate.p50_ms:.2f} ms, p99 {rate.p99_ms:.2f} ms"
            )


if __name__ == "__main__":
    uvloop.run(run())
