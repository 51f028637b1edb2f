"""Whether a home that is off, hangs or is dead shows in the latency of cache hits and puts.

    python -m bench.outages

KVSP and a real Ceph RGW (`make servers` installs it). Gets of cached keys and puts come at an even
pace, first with both homes well, then with the S3 home switched off, stopped in its tracks
(SIGSTOP: it takes connections and answers nothing), and killed; each beside its own healthy phase.
"""

import enum
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.load import Call, Paced, on_last_core, paced
from bench.report import Report
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
TARGET = 1.2


class Outage(enum.Enum):
    """What is wrong with the S3 home."""

    OFF = "switched off"
    HANGS = "hangs"
    KILLED = "killed"


class Outages:
    """One system whose S3 home is well, or not."""

    def __init__(self, deployment: Deployment, kv: Client, rgw: Rgw, names: list[str]) -> None:
        self._deployment = deployment
        self._kv = kv
        self._rgw = rgw
        self._names = names

    async def begin(self, what: Outage) -> None:
        match what:
            case Outage.OFF:
                await self._switch(enabled=False)
            case Outage.HANGS:
                self._rgw.freeze()
            case Outage.KILLED:
                self._rgw.kill()

    async def end(self, what: Outage) -> None:
        match what:
            case Outage.OFF:
                await self._switch(enabled=True)
            case Outage.HANGS:
                self._rgw.thaw()
            case Outage.KILLED:
                self._rgw.restart()
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


async def compare(report: Report, outages: Outages) -> None:
    for what in Outage:
        healthy = await outages.phase()
        await outages.begin(what)
        ill = await outages.phase()
        await outages.end(what)
        for name, after in ill.items():
            before = healthy[name]
            report.line(
                f"{what.value:<13} {name:<4} {before.ms(0.5):>6.2f} {before.ms(0.99):>7.2f}"
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
        report.line(f"{'S3':<18} {'p50':>6} {'p99':>7} {'p50':>7} {'p99':>7} ratio99  failed")
        rgw = Rgw(Path(directory) / "rgw")
        try:
            rgw.start()
            async with (
                running(bucket=new_bucket(rgw)) as deployment,
                deployment.client(TITLE) as kv,
            ):
                names = await filled(kv, CACHED_KEYS)
                await deployment.settled(SETTLE_S)
                await compare(report, Outages(deployment, kv, rgw, names))
        finally:
            rgw.stop()


if __name__ == "__main__":
    uvloop.run(run())
