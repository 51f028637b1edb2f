"""Whether memory stays flat under an even load that lasts.

    python -m bench.memory --minutes 10

Shown is each process's own memory, without files and the shared memory of the machine.
"""

import argparse
import asyncio
from collections.abc import Mapping

import uvloop

from bench.load import Call, own_mib, paced
from bench.report import Report
from bench.system import TITLE, VALUE, parts, running
from tests.e2e.deployment import Deployment

PER_S: Mapping[str, float] = {"get": 1500, "put": 300}
KEYS = 10_000
SAMPLES = 20
WARM = 5
"""Samples that are left out of the slope: pools and caches fill first."""


async def sampled(deployment: Deployment, pause_s: float) -> dict[str, list[float]]:
    """The memory of each part, again and again."""
    pids = {name: own for name, (own, *_) in parts(deployment).items()}
    seen: dict[str, list[float]] = {name: [] for name in pids}
    for _ in range(SAMPLES):
        await asyncio.sleep(pause_s)
        for name, pid in pids.items():
            seen[name].append(own_mib(pid))
    return seen


def slope(values: list[float]) -> float:
    """By how much they grow from one to the next (least squares)."""
    middle = (len(values) - 1) / 2
    mean = sum(values) / len(values)
    numerator = sum((at - middle) * (value - mean) for at, value in enumerate(values))
    return numerator / sum((at - middle) ** 2 for at in range(len(values)))


async def run(minutes: float) -> None:
    with Report("memory", "--minutes", f"{minutes:g}") as report:
        pace = " and ".join(f"{per_s} {name}s" for name, per_s in PER_S.items())
        report.line(f"{pace} a second over {KEYS:,} keys, {len(VALUE)}-byte values; MiB")
        async with running() as deployment, deployment.client(TITLE) as kv:
            calls: dict[str, Call] = {
                "get": lambda number: kv.get(f"key-{number * 7 % KEYS}"),
                "put": lambda number: kv.put(f"key-{number % KEYS}", VALUE),
            }
            pause_s = minutes * 60 / SAMPLES
            seen, done = await asyncio.gather(
                sampled(deployment, pause_s),
                paced({name: (calls[name], PER_S[name]) for name in PER_S}, minutes * 60),
            )
        for name, values in seen.items():
            settled = values[WARM:]
            report.line(
                f"{name:<8} after {WARM * pause_s:.0f} s {settled[0]:.1f}, at the end"
                f" {settled[-1]:.1f}; grows by {slope(settled) / pause_s * 60:.2f} a minute"
            )
        for name, load in done.items():
            report.line(f"{name}: {len(load.latencies_s):,}, of which {load.failures} failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.5)
    uvloop.run(run(parser.parse_args().minutes))
