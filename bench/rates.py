"""Gets and durable puts through the whole system, against unary gRPC echo in the same run.

    python -m bench.rates

The client is one process, pinned to the last core; the servers run where they like. Echo, gets and
puts take turns, so the ratios hold whatever the machine is. A client keeps one connection, which
one worker serves: a second worker is for a second client.
"""

import asyncio
import statistics
from collections.abc import Mapping
from contextlib import AsyncExitStack

import uvloop

from bench.echo import Echo, echoing
from bench.load import Call, Rate, measured, on_last_core
from bench.report import Report
from bench.system import TITLE, VALUE, cpu_by_part, filled, running
from tests.e2e.deployment import Deployment

CALLERS = 128
KEYS = 1000
ROUND_S = 1.5
ROUNDS = 5
WORKERS = (1, 2)
TARGETS = {"get": 10, "put": 4}


async def compared(echo: Echo, deployment: Deployment) -> tuple[dict[str, list[Rate]], list[str]]:
    """The rounds of each operation, and what a round of each cost the servers."""
    rates: dict[str, list[Rate]] = {"echo": [], "get": [], "put": []}
    costs: dict[str, str] = {}
    async with deployment.client(TITLE) as kv:
        names = await filled(kv, KEYS)
        calls: Mapping[str, Call] = {
            "echo": lambda _: echo(VALUE),
            "get": lambda number: kv.get(names[number % KEYS]),
            "put": lambda number: kv.put(names[number % KEYS], VALUE),
        }
        for _ in range(ROUNDS):
            for name, call in calls.items():
                used = cpu_by_part(deployment)
                rate = await measured(call, CALLERS, ROUND_S)
                rates[name].append(rate)
                count = rate.per_s * ROUND_S
                parts = {"client": rate.cpu_us / 1e6 * count, **used()}
                costs[name] = ", ".join(f"{p} {s / count * 1e6:.0f}" for p, s in parts.items())
                await asyncio.sleep(0.2)
    return rates, [f"{name:<6} {costs[name]}" for name in TARGETS]


def show(report: Report, rates: Mapping[str, list[Rate]]) -> None:
    """Medians, and for each target the median of the ratios within a round."""
    report.line(f"{'':<6} {'per second':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for name, rounds in rates.items():
        per_s, p50, p99 = (
            statistics.median(getattr(rate, field) for rate in rounds)
            for field in ("per_s", "p50_ms", "p99_ms")
        )
        report.line(f"{name:<6} {per_s:>10,.0f} {p50:>8.2f} {p99:>8.2f}")
    for name, target in TARGETS.items():
        pairs = zip(rates[name], rates["echo"], strict=True)
        ratio = statistics.median(rate.per_s / echo.per_s for rate, echo in pairs)
        report.line(f"{name}: {ratio:.1f} x the rate of echo (target {target})")


async def run() -> None:
    with Report("rates") as report:
        report.line(f"{CALLERS} callers, {len(VALUE)}-byte values, default policy (first+intent),")
        report.line(f"embedded file home; {ROUNDS} rounds of {ROUND_S} s, in turns")
        for workers in WORKERS:
            async with AsyncExitStack() as stack:
                deployment = await stack.enter_async_context(running(workers))
                echo = await stack.enter_async_context(echoing())
                core = stack.enter_context(on_last_core())
                report.line(f"\nworkers: {workers}; the client on core {core}, servers on any")
                rates, costs = await compared(echo, deployment)
            show(report, rates)
            report.line("CPU us for one operation:")
            for cost in costs:
                report.line(f"  {cost}")


if __name__ == "__main__":
    uvloop.run(run())
