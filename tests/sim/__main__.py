"""Runs universes: many to look for trouble, or one to look at it."""

import logging
import sys

import structlog

from tests.sim.universe import simulate

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
outcome = simulate(int(sys.argv[1]), tracing=len(sys.argv) > 2)
print("\n".join(outcome.lines))
print(outcome.violations, outcome.operations, outcome.virtual_s)
