"""Looks for trouble in many universes, or at the trouble in one.

python -m tests.sim --seeds 10000 [--from 5000]    many universes, on all cores [--jobs 1: on one]
python -m tests.sim --seeds 1000 --sort graves     of one sort
python -m tests.sim --seed 4711 --trace            one universe, line by line
python -m tests.sim --seed 4711 --shrink           what of it is needed to fail
python -m tests.sim --seed 4711 --canary "blind PUT on S3"
python -m tests.sim --calibrate                    how often each broken rule is seen
python -m tests.sim --calibrate "blind PUT on S3"
python -m tests.sim --sight                        the universes that show them, after a change
"""

import argparse
import contextlib
import os
import sys
import time
from functools import partial
from typing import Final

from tests.sim.calibration import calibrated, keep, on_all, rates, sighted
from tests.sim.canaries import CANARIES
from tests.sim.plan import Plan, Sort
from tests.sim.shrink import cut, shrunk
from tests.sim.swarm import Tally, first_violation, judged, replay, swarm
from tests.sim.universe import plan_of

SHRUNK_MAX: Final = 3
"""So many failing universes are made small; the others are only named."""


def main() -> int:
    """Returns 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, help="run this universe alone")
    parser.add_argument("--sort", type=Sort, choices=list(Sort), help="universes of this sort")
    parser.add_argument("--cut", nargs="*", default=[], help="take this out of the universe")
    parser.add_argument("--shrink", action="store_true", help="find what can be taken out")
    parser.add_argument("--trace", action="store_true", help="show what happens in it")
    parser.add_argument("--canary", choices=[c.name for c in CANARIES], help="break this rule")
    parser.add_argument("--seeds", type=int, default=1000, help="how many universes to run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="on so many cores")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--calibrate", nargs="*", metavar="CANARY", help="measure these, or all")
    parser.add_argument("--sight", action="store_true", help="find what shows each canary today")
    asked = parser.parse_args()
    if asked.calibrate is not None or asked.sight:
        return _calibrate(asked.calibrate or [], asked.jobs, only_sight=asked.sight)
    if asked.seed is None:
        return _many(asked.first, asked.seeds, asked.sort, asked.jobs)
    broken = {c.name: c.broken for c in CANARIES}
    plan = cut(plan_of(asked.seed, asked.sort), asked.cut)
    with broken[asked.canary]() if asked.canary else contextlib.nullcontext():
        if asked.shrink:
            return _shrink(asked.seed, asked.sort, plan)
        return _one(asked.seed, plan, tracing=asked.trace)


def _calibrate(names: list[str], jobs: int, *, only_sight: bool) -> int:
    """Returns 1 when one of them was not seen."""
    measured = rates()
    measure = partial(sighted, dict(measured)) if only_sight else calibrated
    wanted = names or [one.name for one in CANARIES]
    for name, rate in on_all(measure, wanted, jobs):
        measured[name] = rate
        keep(measured)
        print(f"{name}: {rate.seen} of {rate.universes}, {rate.manner}; {rate.shown}", flush=True)
    return int(not all(rate.seen and rate.shown is not None for rate in measured.values()))


def _one(seed: int, plan: Plan, *, tracing: bool) -> int:
    outcome = judged(seed, plan=plan, tracing=tracing)
    for line in outcome.lines:
        print(line)
    for violation in outcome.violations:
        print(f"BROKEN at {violation}")
    print(
        f"seed {seed}: {outcome.operations} operations in {outcome.virtual_s:.0f} virtual seconds"
    )
    return bool(outcome.violations)


def _shrink(seed: int, sort: Sort | None, plan: Plan) -> int:
    def fails(smaller: Plan) -> str | None:
        return first_violation(seed, smaller)

    if fails(plan) is None:
        print(f"seed {seed} breaks no promise")
        return 0
    small, names = shrunk(plan, fails)
    outcome = judged(seed, plan=small)
    print(f"seed {seed}, made small ({outcome.operations} operations): {outcome.violations[0]}")
    print(f"  {replay(seed, sort)} --cut {' '.join(names)} --trace")
    return 1


def _many(first: int, count: int, sort: Sort | None, jobs: int) -> int:
    began_s, shown, tally = time.perf_counter(), 0, Tally()
    for tally in swarm(range(first, first + count), jobs, sort):
        for seed, violation in tally.found[shown:]:
            print(f"\nseed {seed}: {violation}\n  {replay(seed, sort)} --trace")
        shown = len(tally.found)
        _progress(tally, count, time.perf_counter() - began_s)
    print()
    for seed, _ in tally.found[:SHRUNK_MAX]:
        _shrink(seed, sort, plan_of(seed, sort))
    return bool(shown)


def _progress(tally: Tally, count: int, elapsed_s: float) -> None:
    print(
        f"\r{tally.universes}/{count} universes in {elapsed_s:,.0f} s, {len(tally.found)} broken;"
        f" a core: {tally.universes * 60 / tally.cpu_s:,.0f} universes a minute,"
        f" {tally.operations / tally.cpu_s:,.0f} operations/s,"
        f" {tally.virtual_s / tally.cpu_s:,.0f} virtual s/s",
        end="",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
