"""Which plan a crawl of a namespace goes by: the one that is under way, the next, or its own."""

from collections.abc import Callable, Sequence
from typing import Final

from crawler.plan import Lease, Plan
from crawler.plans import NoPlan, Plans
from crawler.registry import Kept
from tandem.core.crawl_range import next_splits
from tandem.core.crawl_status import RunRequest

_DRY_RUN: Final = "dry run"


async def plan_apart(plans: Plans, namespace: str, asked: RunRequest, kept: Kept) -> Plan:
    """The plan of a crawl that touches nothing, and so shares nothing. Raises NoPlan."""
    shared = await plans.current(namespace)
    number, splits = (shared.number, shared.splits) if shared else (0, ())
    return Plan(_DRY_RUN, namespace, number, splits, asked.deep_parts, alone=kept.alone)


async def plan_to_follow(
    plans: Plans, namespace: str, asked: RunRequest, kept: Kept, *,
    anew: bool, has_entered: Callable[[Plan], bool],
) -> Plan:  # fmt: skip
    """The plan of the crawl that is under way, or of the next one, which is begun; so it is where
    the crawl is to begin `anew`. Under way is, too, what this crawler has done its part of, and
    died before it `has_entered` the sum. Raises NoPlan."""
    plan = await plans.current(namespace)
    if plan is None:
        plan = await _begun(plans, namespace, 1, (), asked, kept)
    else:
        done = await _done(plans, plan)
        whole = len(done) == len(plan.ranges)
        is_told = not any(map(plans.is_mine, done)) or has_entered(plan)
        if anew or not _goes_on(plan, kept) or (whole and is_told):
            plan = await _next(plans, plan, done, asked, kept)
    if not _goes_on(plan, kept):
        raise NoPlan("another crawler has seen another mode of the namespace")
    return plan


async def _next(
    plans: Plans, plan: Plan, done: Sequence[Lease], asked: RunRequest, kept: Kept
) -> Plan:
    splits = next_splits(plan.splits, [lease.report.splits for lease in done if lease.report])
    return await _begun(plans, plan.namespace, plan.number + 1, splits, asked, kept)


async def _begun(
    plans: Plans, namespace: str, number: int, splits: Sequence[str], asked: RunRequest, kept: Kept
) -> Plan:
    epoch = kept.epoch if kept.alone else 0
    return await plans.begin(namespace, number, splits, asked, kept.alone, epoch)


async def _done(plans: Plans, plan: Plan) -> list[Lease]:
    leases = [await plans.lease(plan, one.number) for one in plan.ranges]
    return [lease for lease in leases if lease is not None and lease.report is not None]


def _goes_on(plan: Plan, kept: Kept) -> bool:
    """Whether a crawl by this plan is about the homes that the namespace is kept in now; one of a
    home alone, since no step was taken either."""
    return plan.alone is kept.alone and (kept.alone is None or plan.mode_epoch == kept.epoch)
