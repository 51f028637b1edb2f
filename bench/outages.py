"""Whether a home that is off, hangs, is dead or slow shows in the latency of cache hits and puts.

    python -m bench.outages

KVSP and a real Ceph RGW (`make servers` installs it). Gets of cached keys and puts come at an even
pace, first with both homes well, then with the S3 home switched off, stopped in its tracks
(SIGSTOP: it takes connections and answers nothing), killed, and behind a proxy that keeps every
answer back for 2 s; each beside its own healthy phase.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from bench.load import Call, Paced, on_last_core, paced
from bench.report import Report
from bench.slow_s3 import SlowS3, slow_s3
from bench.system import TITLE, VALUE, filled, running
from tandem import Client
from tandem.core.reply import Side
from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment
from tests.servers.rgw import Rgw

PER_S: Mapping[str, float] = {"hit": 1000, "put": 200}
PHASE_S = 6.0
CACHED_KEYS = 1000
WRITTEN_KEYS = 2000
SETTLE_S = 60.0
SLOW_S = 2.0
TARGET = 1.2


class Outage(enum.Enum):
    """What is wrong with the S3 home."""

    OFF = "switched off"
    HANGS = "hangs"
    KILLED = "killed"
    SLOW = "answers in 2 s"


DIRECT: Final = (Outage.OFF, Outage.HANGS, Outage.KILLED)


class Outages:
    """One system whose S3 home is well, or not."""

    def __init__(
        self, deployment: Deployment, kv: Client, rgw: Rgw, slow: SlowS3, names: list[str]
    ) -> None:
        self._deployment = deployment
        self._kv = kv
        self._rgw = rgw
        self._slow = slow
        self._names = names

    async def begin(self, what: Outage) -> None:
        match what:
            case Outage.OFF:
                await self._switch(enabled=False)
            case Outage.HANGS:
                self._rgw.freeze()
            case Outage.KILLED:
                self._rgw.kill()
            case Outage.SLOW:
                await self._slow.answer_after(SLOW_S)

    async def end(self, what: Outage) -> None:
        match what:
            case Outage.OFF:
                await self._switch(enabled=True)
            case Outage.HANGS:
                self._rgw.thaw()
            case Outage.KILLED:
                self._rgw.restart()
            case Outage.SLOW:
                await self._slow.answer_after(0.0)
        await self._deployment.settled(SETTLE_S)

    async def phase(self) -> dict[str, Paced]:
        """The load for a while."""
        await self._kv.get_many(self._names)
        calls: dict[str, Call] = {"hit": self._hit, "put": self._put}
        with on_last_core():
            return await paced({name: (calls[name], PER_S[name]) for name in PER_S}, PHASE_S)

    async def _switch(self, *, enabled: bool) -> None:
        async with self._deployment.client() as client:
            await client.ops.switch(Side.S3, reads_enabled=enabled, writes_enabled=enabled)

    async def _hit(self, number: int) -> None:
        await self._kv.get(self._names[number % CACHED_KEYS])

    async def _put(self, number: int) -> None:
        await self._kv.put(f"written-{number % WRITTEN_KEYS}", VALUE)


async def compare(report: Report, outages: Outages, whats: Sequence[Outage]) -> None:
    for what in whats:
        healthy = await outages.phase()
        await outages.begin(what)
        ill = await outages.phase()
        await outages.end(what)
        for name, after in ill.items():
            before = healthy[name]
            report.line(
                f"{what.value:<14} {name:<4} {before.ms(0.5):>6.2f} {before.ms(0.99):>7.2f}"
                f" {after.ms(0.5):>7.2f} {after.ms(0.99):>7.2f}"
                f" {after.ms(0.99) / before.ms(0.99):>7.2f} {before.failures + after.failures:>7}"
            )


async def run() -> None:
    missing = Rgw.why_missing()
    if missing:
        print(f"bench.outages is skipped: {missing}; `make servers` installs it")
        return
    with Report("outages") as report, TemporaryDirectory(prefix="tandem-bench-") as directory:
        pace = " and ".join(f"{per_s} {name}s" for name, per_s in PER_S.items())
        report.line(f"{pace} a second, {len(VALUE)}-byte values, phases of {PHASE_S} s;")
        report.line(f"ms with both homes well, and without S3; target of the ratio {TARGET}")
        report.line(f"{'S3':<19} {'p50':>6} {'p99':>7} {'p50':>7} {'p99':>7} ratio99  failed")
        rgw = Rgw(Path(directory) / "rgw")
        try:
            rgw.start()
            async with slow_s3(rgw.endpoint) as slow:
                await through(report, rgw, slow, rgw.endpoint, DIRECT)
                await through(report, rgw, slow, slow.endpoint, (Outage.SLOW,))
        finally:
            rgw.stop()


async def through(
    report: Report, rgw: Rgw, slow: SlowS3, endpoint: str, whats: Sequence[Outage]
) -> None:
    """Outages of a system that reaches the S3 home at `endpoint`."""
    bucket = replace(new_bucket(rgw), endpoint=endpoint)
    async with running(bucket=bucket) as deployment, deployment.client(TITLE) as kv:
        names = await filled(kv, CACHED_KEYS)
        await deployment.settled(SETTLE_S)
        await compare(report, Outages(deployment, kv, rgw, slow, names), whats)


if __name__ == "__main__":
    uvloop.run(run())
