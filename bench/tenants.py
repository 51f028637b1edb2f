"""What a modest tenant notices of a greedy one: its latencies with and without the neighbour.

    python -m bench.tenants

One gateway with two workers on the embedded homes. The modest tenant reads and writes at its own
pace, over gRPC, and reads over HTTP. The neighbour, in a process of its own, has 128 callers that
send as much as they can, and is

    polite   four clients of the library: they wait as long as they are told
    rude     the same, but what is refused is asked again at once
    web      over HTTP, on a connection for each caller; what is refused is asked again at once

with a quota of 500 operations a second; at last without a quota. Rounds without and with neighbours
take turns in one run, and each ratio is the median of those of its turns. Where the machine itself
was late a turn teaches nothing, and is repeated.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import uvloop

from bench.calm import Calm
from bench.load import Paced, nothing, paced
from bench.plain_http import Connection
from bench.report import Report
from bench.system import VALUE, cpu_by_part, filled, running
from tandem import Client
from tandem.errors import TandemError
from tests.e2e.deployment import Deployment

QUOTA_PER_S = 500
GETS_PER_S, PUTS_PER_S = 200.0, 50.0
KEYS = 500
ROUND_S, WARM_S = 3.0, 1.0
ROUNDS, SPOILED_MAX = 7, 8
CONNECTIONS, CALLERS = 4, 32
RATIO_MAX = 1.5
WEB_CONNECTIONS = 8
CALLS = ("get", "put", "http", "nothing")
NEIGHBOURS = (
    ("polite", "limited"), ("rude", "limited"), ("web", "limited"), ("polite", "unlimited"),
)  # fmt: skip
Asked = Callable[[str, bool], Awaitable[bool]]
Round = Callable[[], Awaitable[dict[str, Paced]]]


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
    count: Counter[bool] = Counter()
    end_s = 0.0

    async def caller(call: Asked, number: int) -> None:
        while time.perf_counter() < end_s:
            count[await call(f"key-{number % KEYS}", number % 5 == 0)] += 1
            number += 1

    async with AsyncExitStack() as stack:
        calls = await _calls(stack, address, namespace, manner)
        end_s = time.perf_counter() + WARM_S + ROUND_S
        print("ready", flush=True)
        await asyncio.gather(*(caller(call, number) for number, call in enumerate(calls)))
    print(*(count[granted] / (WARM_S + ROUND_S) for granted in (True, False)), flush=True)


async def _calls(
    stack: AsyncExitStack, address: str, namespace: str, manner: str
) -> Sequence[Asked]:
    """One function for each caller: puts (or gets) a key, and says whether it was let through."""
    if manner == "web":
        lines = [await Connection.opened(address, namespace) for _ in range(CONNECTIONS * CALLERS)]
        return [partial(_over_http, line) for line in lines]
    clients = [
        await stack.enter_async_context(Client(address, namespace)) for _ in range(CONNECTIONS)
    ]
    for client in clients if manner == "rude" else ():
        client._retries.closed = True  # noqa: SLF001 - no client that is sold repeats like this
    return [partial(_over_grpc, client) for client in clients for _ in range(CALLERS)]


async def _over_grpc(client: Client, key: str, puts: bool) -> bool:
    try:
        await (client.put(key, VALUE) if puts else client.get(key))
    except TandemError:
        return False
    return True


async def _over_http(line: Connection, key: str, puts: bool) -> bool:
    return await (line.put(key) if puts else line.get(key)) == 200


async def modest(kv: Client, web: Sequence[Connection], names: Sequence[str]) -> dict[str, Paced]:
    """One round of the tenant that is looked at."""
    return await paced(
        {
            "get": (lambda number: kv.get(names[number % len(names)]), GETS_PER_S),
            "put": (lambda number: kv.put(names[number % len(names)], VALUE), PUTS_PER_S),
            "http": (
                lambda number: web[number % len(web)].get(names[number % len(names)]),
                GETS_PER_S,
            ),
            "nothing": (nothing, GETS_PER_S),
        },
        ROUND_S,
    )


def _started(*arguments: str) -> "subprocess.Popen[bytes]":
    """Not by asyncio: under uvloop that is a fork in which gRPC's handlers run, and may crash."""
    command = (sys.executable, "-m", "bench.tenants", *arguments)
    return subprocess.Popen(command, stdout=subprocess.PIPE)


async def beside(
    deployment: Deployment, round_of: Round, manner: str, namespace: str
) -> tuple[dict[str, Paced], Neighbour]:
    """One round with a neighbour."""
    address = deployment.http if manner == "web" else deployment.grpc
    async with deployment.client(namespace) as client:
        namespace_id = (await client.namespaces.get(namespace)).id
    child = _started(address, namespace_id, manner)
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline) == b"ready\n"
    await asyncio.sleep(WARM_S)
    used = cpu_by_part(deployment)
    seen = await round_of()
    cores = used()["gateway"] / ROUND_S
    said = await asyncio.to_thread(child.stdout.readline)
    if status := await asyncio.to_thread(child.wait):
        raise RuntimeError(f"the neighbour ended with {status}")
    granted, refused = map(float, said.split())
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
        found = await kv.namespaces.get("bench")
        web = [await Connection.opened(deployment.http, found.id) for _ in range(WEB_CONNECTIONS)]
        round_of = partial(modest, kv, web, names)
        await round_of()
        calm = Calm(SPOILED_MAX)
        while len(alone) < ROUNDS:
            before = await round_of()
            seen, neighbour = await beside(deployment, round_of, manner, namespace)
            if calm.was():
                alone.append(before)
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
        for name in ("get", "put", "http")
    }
    shown = ", ".join(f"{name} {ratio:.2f} x" for name, ratio in ratios.items())
    report.line(f"  p99: {shown}; the neighbour had {granted:,.0f}/s and {refused:,.0f}/s refused;")
    report.line(f"  the gateway used {cores:.2f} cores; {calm.told()}")
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
        report.line(f"target with a quota: {RATIO_MAX} x; kept: {all(kept[:-1])}")
        return 0 if all(kept[:-1]) else 1


if __name__ == "__main__":
    work = greed(*sys.argv[1:]) if len(sys.argv) > 1 else main()
    sys.exit(uvloop.run(work))
