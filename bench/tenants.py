"""What a modest tenant notices of a greedy one: its latencies with and without the neighbour.

    python -m bench.tenants

One gateway with two workers on the embedded homes. The modest tenant reads and writes at its own
pace. The neighbour, in a process of its own, sends as much as it can over four connections, and is

    polite   a client of the library: it waits as long as it is told
    rude     the same, but what is refused is asked again at once

with a quota of 500 operations a second; at last without a quota. Rounds without and with neighbours
take turns in one run, and each ratio is the median of those of its turns.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import uvloop

from bench.load import Paced, paced
from bench.report import Report
from bench.system import VALUE, cpu_by_part, filled, running
from tandem import Client
from tandem.errors import TandemError
from tests.e2e.deployment import Deployment

QUOTA_PER_S = 500
GETS_PER_S, PUTS_PER_S = 200.0, 50.0
KEYS = 500
ROUND_S, WARM_S = 3.0, 1.0
ROUNDS = 5
CONNECTIONS, CALLERS = 4, 32
RATIO_MAX = 1.5
CALLS = ("get", "put")
NEIGHBOURS = (("polite", "limited"), ("rude", "limited"), ("polite", "unlimited"))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What a greedy process had, and what it cost."""

    granted_per_s: float
    refused_per_s: float
    gateway_cores: float
    """Used in the round, by both tenants."""


async def greed(address: str, namespace: str, manner: str) -> None:
    """Sends as much as it can for a round, and prints what came of it.

    At the lowest priority: a neighbour's own computing is not what is measured here.
    """
    os.nice(19)
    done = refused = 0
    end_s = time.perf_counter() + WARM_S + ROUND_S

    async def caller(kv: Client, number: int) -> None:
        nonlocal done, refused
        while time.perf_counter() < end_s:
            key = f"key-{number % KEYS}"
            try:
                await (kv.put(key, VALUE) if number % 5 == 0 else kv.get(key))
                done += 1
            except TandemError:
                refused += 1
            number += 1

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client(address, namespace)) for _ in range(CONNECTIONS)
        ]
        for client in clients if manner == "rude" else ():
            client._retries.closed = True  # noqa: SLF001 - no client that is sold repeats like this
        print("ready", flush=True)
        callers = (caller(kv, number) for number in range(CALLERS) for kv in clients)
        await asyncio.gather(*callers)
    print(done / (WARM_S + ROUND_S), refused / (WARM_S + ROUND_S), flush=True)


async def modest(kv: Client, names: Sequence[str]) -> dict[str, Paced]:
    """One round of the tenant that is looked at."""
    return await paced(
        {
            "get": (lambda number: kv.get(names[number % len(names)]), GETS_PER_S),
            "put": (lambda number: kv.put(names[number % len(names)], VALUE), PUTS_PER_S),
        },
        ROUND_S,
    )


async def beside(
    deployment: Deployment, kv: Client, names: Sequence[str], manner: str, namespace: str
) -> tuple[dict[str, Paced], Neighbour]:
    """One round with a neighbour."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.tenants", deployment.grpc, namespace, manner,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    await child.stdout.readline()
    await asyncio.sleep(WARM_S)
    used = cpu_by_part(deployment)
    seen = await modest(kv, names)
    cores = used()["gateway"] / ROUND_S
    granted, refused = map(float, (await child.stdout.readline()).split())
    await child.wait()
    return seen, Neighbour(granted, refused, cores)


def told(report: Report, title: str, rounds: Sequence[dict[str, Paced]]) -> None:
    """One line of latencies, the median of the rounds."""
    cells = []
    for name in CALLS:
        p50, p99 = (statistics.median(r[name].ms(share) for r in rounds) for share in (0.5, 0.99))
        failures = sum(r[name].failures for r in rounds)
        cells.append(f"{p50:8.2f} {p99:8.2f} {failures:4d}")
    report.line(f"{title:24} {'   '.join(cells)}")


async def compared(report: Report, deployment: Deployment, manner: str, namespace: str) -> bool:
    """Rounds without and with one neighbour; whether its quota keeps it from being noticed."""
    alone: list[dict[str, Paced]] = []
    together: list[dict[str, Paced]] = []
    had: list[Neighbour] = []
    async with deployment.client("bench") as kv:
        names = await filled(kv, KEYS)
        await modest(kv, names)
        for _ in range(ROUNDS):
            alone.append(await modest(kv, names))
            seen, neighbour = await beside(deployment, kv, names, manner, namespace)
            together.append(seen)
            had.append(neighbour)
    granted = statistics.median(one.granted_per_s for one in had)
    refused = statistics.median(one.refused_per_s for one in had)
    cores = statistics.median(one.gateway_cores for one in had)
    told(report, "alone", alone)
    told(report, f"beside {manner}, {namespace}", together)
    ratios = {
        name: statistics.median(
            after[name].ms(0.99) / before[name].ms(0.99)
            for before, after in zip(alone, together, strict=True)
        )
        for name in CALLS
    }
    shown = ", ".join(f"{name} {ratio:.2f} x" for name, ratio in ratios.items())
    report.line(f"  p99: {shown}; the neighbour had {granted:,.0f}/s and {refused:,.0f}/s refused;")
    report.line(f"  the gateway used {cores:.2f} cores")
    report.line()
    return max(ratios.values()) <= RATIO_MAX


async def main() -> int:
    with Report("tenants") as report:
        async with running(workers=2) as deployment:
            async with deployment.client() as client:
                await client.namespaces.create("limited", operations_per_s=QUOTA_PER_S)
                await client.namespaces.create("unlimited")
            for namespace in ("limited", "unlimited"):
                async with deployment.client(namespace) as kv:
                    answers = await kv.put_many(
                        dict.fromkeys((f"key-{n}" for n in range(KEYS)), VALUE)
                    )
                    assert not [one for one in answers.values() if isinstance(one, TandemError)]
            report.line(
                f"modest: {GETS_PER_S:.0f} gets/s and {PUTS_PER_S:.0f} puts/s; ms, median of"
            )
            report.line(f"{ROUNDS} rounds of {ROUND_S:.0f} s in turns; quota {QUOTA_PER_S}/s")
            report.line()
            head = "   ".join(f"{name + ' p50':>8} {'p99':>8} fail" for name in CALLS)
            report.line(f"{'':24} {head}")
            kept = [await compared(report, deployment, *which) for which in NEIGHBOURS]
        report.line(f"target with a quota: {RATIO_MAX} x; kept: {all(kept[:2])}")
        return 0 if all(kept[:2]) else 1


if __name__ == "__main__":
    work = greed(*sys.argv[1:]) if len(sys.argv) > 1 else main()
    sys.exit(uvloop.run(work))
