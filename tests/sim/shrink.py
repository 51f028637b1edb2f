"""A failing universe made as small as it can be while it fails in the same way.

A cut takes something out of a plan: a fault, a death, a client, half of all operations. Cuts have
names, so the small universe can be run again: the plan of the seed, and the cuts in their order.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tests.sim.plan import Plan
from tests.sim.s3_store import Profile

TRIES_MAX: Final = 300
_NUMBERS: Final = ("clients", "operations", "hosts", "workers")
_TUPLES: Final = ("blows", "flips", "corruptions", "crawls", "stops", "clock_steps", "wrong_dates",
           "clock_jumps", "scenes", "steps", "forgets")  # fmt: skip
_CRAWL_TUPLES: Final = ("blows", "misfortunes")
_SIDES: Final = ("rates", "windows")


def cuts(plan: Plan) -> Iterator[tuple[str, Plan]]:
    """Everything that can be taken out of a plan at once, the most first."""
    for field in _TUPLES:
        for name, kept in _parts(field, getattr(plan, field)):
            yield name, _with(plan, field, kept)
    for field in _CRAWL_TUPLES:
        for name, kept in _parts(f"crawl.{field}", getattr(plan.crawl, field)):
            yield name, replace(plan, crawl=_with(plan.crawl, field, kept))
    for field in _SIDES:
        for side in Side:
            of_sides = getattr(plan, field)
            for name, kept in _parts(f"{field}.{side.value}", of_sides[side]):
                yield name, _with(plan, field, {**of_sides, side: kept})
    for field in _NUMBERS:
        number = getattr(plan, field)
        for less in sorted({1, number // 2, number - 1}):
            if 0 < less < number:
                yield f"{field}={less}", _with(plan, field, less)
    yield from _settings(plan)


def _parts(name: str, parts: Sequence[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if len(parts) > 1:
        yield f"{name}.all", ()
    for at in range(len(parts)):
        yield f"{name}.{at}", (*parts[:at], *parts[at + 1 :])


def _settings(plan: Plan) -> Iterator[tuple[str, Plan]]:
    crawl, calm = plan.crawl, (ReadMode.RACE, ReadMode.RACE)
    plain = [
        ("journal", replace(plan, journal_fails=None)),
        ("queue", replace(plan, queue_fails=None)),
        ("rebuild", replace(plan, rebuild=None)),
        ("modes", replace(plan, read_modes=calm)),
        ("lost_last", replace(plan, crawl=replace(crawl, lost_last=None))),
        ("wiped_at_raise", replace(plan, crawl=replace(crawl, wiped_at_raise=False))),
        ("disturbed", replace(plan, crawl=replace(crawl, disturbed=0))),
        ("clusters", replace(plan, crawl=replace(crawl, clusters=1))),
        ("same_id", replace(plan, crawl=replace(crawl, same_id=False))),
        ("list_lag", replace(plan, crawl=replace(crawl, profile=_prompt(crawl.profile)))),
        ("s3_client", replace(plan, real_s3_client=False)),
    ]
    for name, smaller in plain:
        if smaller != plan:
            yield name, smaller


def _prompt(profile: Profile) -> Profile:
    return replace(profile, list_lag_s=0.0)


def _with(plan: Any, field: str, value: object) -> Any:  # noqa: ANN401 - either kind of plan
    return replace(plan, **{field: value})


def cut(plan: Plan, names: Sequence[str]) -> Plan:
    """The plan after these cuts; KeyError for a name that is none."""
    for name in names:
        plan = dict(cuts(plan))[name]
    return plan


def manner(violation: str) -> str:
    """In what way a universe fails, whatever the keys, writes and times."""
    text = violation.partition(": ")[2] or violation
    return re.sub(r"\S*\d\S*", "#", text)[:40]


def shrunk(
    plan: Plan, fails: Callable[[Plan], str | None], tries_max: int = TRIES_MAX
) -> tuple[Plan, list[str]]:
    """A plan from which nothing more can be cut, and the cuts that lead to it.

    `fails` runs a plan and returns its first violation.
    """
    first = fails(plan)
    assert first is not None, "there is nothing to shrink"
    names: list[str] = []
    tries, progress = 0, True
    while progress:
        progress = False
        for name, smaller in cuts(plan):
            if tries >= tries_max:
                return plan, names
            tries += 1
            found = fails(smaller)
            if found is not None and manner(found) == manner(first):
                plan, progress = smaller, True
                names.append(name)
                break
    return plan, names
