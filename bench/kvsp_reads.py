"""How long KVSP takes for a read while it is half as busy as it can be.

    python -m bench.kvsp_reads

One process asks for random keys over one stream, as a gateway does: first as fast as KVSP answers,
which gives its saturation, then at half of that rate, evenly spread.
"""

import asyncio
import gc
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.load import measured, on_last_core, paced
from bench.report import Report
from bench.system import VALUE
from tandem.backends.kvsp import KvspBackend
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Found, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.serve import COLLECT_EACH
from tests.e2e.deployment import deployed

CALLERS = 256
KEYS = 50_000
NAMESPACE = "ab" * 16
SATURATION_S = 2.0
HALF_S = 6.0
ROUNDS = 3
TARGET_MS = 5.0
DEADLINE_S = 5.0


async def run() -> None:
    gc.set_threshold(COLLECT_EACH)  # as a gateway does
    with Report("kvsp_reads") as report, TemporaryDirectory(prefix="tandem-bench-") as directory:
        async with deployed(Path(directory) / "system") as deployment:
            deployment.kvsp.start()
            await deployment.serving(deployment.kvsp, deployment.kvsp_address)
            kvsp = KvspBackend(deployment.kvsp_address, SystemEntropy())
            kvsp.start()
            try:
                with on_last_core() as core:
                    report.line(f"{KEYS:,} keys, {len(VALUE)}-byte values; asked from core {core}")
                    await measure(report, kvsp)
            finally:
                await kvsp.aclose()


async def measure(report: Report, kvsp: KvspBackend) -> None:
    keys = [Key(NAMESPACE, f"key-{number}") for number in range(KEYS)]
    await fill(kvsp, keys)
    order = random.Random(1).choices(keys, k=KEYS)

    async def read(number: int) -> None:
        reply = await kvsp.get(order[number % KEYS], DEADLINE_S)
        assert isinstance(reply, Found)

    p99s = []
    for _ in range(ROUNDS):
        full = await measured(read, CALLERS, SATURATION_S)
        half = (await paced({"read": (read, full.per_s / 2)}, HALF_S / ROUNDS))["read"]
        p99s.append(half.ms(0.99))
        report.line(
            f"saturated by {CALLERS} callers: {full.per_s:,.0f}/s, p99 {full.p99_ms:.1f} ms;"
            f" at half: p50 {half.ms(0.5):.2f} ms, p99 {half.ms(0.99):.2f} ms"
        )
    report.line(f"median p99 at half load: {sorted(p99s)[1]:.2f} ms (target below {TARGET_MS})")


async def fill(kvsp: KvspBackend, keys: list[Key]) -> None:
    for start in range(0, len(keys), 1000):
        record = seal(Version.at(SystemClock().now_us()), VALUE)
        some = keys[start : start + 1000]
        replies = await asyncio.gather(*(kvsp.put_if_newer(k, record, DEADLINE_S) for k in some))
        assert all(isinstance(reply, Stored) for reply in replies)


if __name__ == "__main__":
    uvloop.run(run())
