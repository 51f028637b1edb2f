"""Runs universes: many to look for trouble, or one to look at it."""

import sys

from tests.sim.universe import simulate

outcome = simulate(int(sys.argv[1]), tracing=len(sys.argv) > 2)
print("\n".join(outcome.lines))
print(outcome.violations, outcome.operations, outcome.virtual_s)
