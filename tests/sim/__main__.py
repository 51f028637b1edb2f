"""Looks for trouble in many universes, or at the trouble in one.

python -m tests.sim --seeds 10000 [--from 5000]    many universes, on all cores
python -m tests.sim --seed 4711 --trace            one universe, line by line
python -m tests.sim --seed 4711 --canary "blind PUT on S3"
python -m tests.sim --seeds 1000 --sort graves      universes in which things are deleted for good
"""

import argparse
import contextlib
import os
import sys
import time

from tests.sim.canaries import CANARIES
from tests.sim.swarm import Tally, judged, swarm


def main() -> int:
    """Returns 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="run this universe alone")
    parser.add_argument("--trace", action="store_true", help="show what happens in it")
    parser.add_argument("--canary", choices=[c.name for c in CANARIES], help="break this rule")
    parser.add_argument("--seeds", type=int, default=1000, help="how many universes to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    asked = parser.parse_args()
    if asked.seed is None:
        return _many(asked.first, asked.seeds)
    return _one(asked.seed, asked.canary, tracing=asked.trace)


def _one(seed: int, canary: str | None, *, tracing: bool) -> int:
    broken = {c.name: c.broken for c in CANARIES}
    with broken[canary]() if canary else contextlib.nullcontext():
        outcome = judged(seed, tracing=tracing)
    for line in outcome.lines:
        print(line)
    for violation in outcome.violations:
        print(f"BROKEN at {violation}")
    print(
        f"seed {seed}: {outcome.operations} operations in {outcome.virtual_s:.0f} virtual seconds"
    )
    return bool(outcome.violations)


def _many(first: int, count: int) -> int:
    began_s = time.perf_counter()
    shown = 0
    for tally in swarm(range(first, first + count), os.cpu_count() or 1):
        for seed, violation in tally.found[shown:]:
            print(f"\nseed {seed}: {violation}\n  python -m tests.sim --seed {seed} --trace")
        shown = len(tally.found)
        _progress(tally, count, time.perf_counter() - began_s)
    print()
    return bool(shown)


def _progress(tally: Tally, count: int, elapsed_s: float) -> None:
    print(
        f"\r{tally.universes}/{count} universes, {tally.operations / elapsed_s:,.0f} operations/s,"
        f" {tally.virtual_s / elapsed_s:,.0f} virtual s/s, {len(tally.found)} broken",
        end="",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
