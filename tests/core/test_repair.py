"""The repair plan: every pair of replies and every recent write, applied to a model of homes."""

from itertools import product
from typing import NamedTuple

import pytest

from tandem.core.record import Record, merge
from tandem.core.repair import Blocked, Copy, InSync, RepairPlan, Zombie, repair_plan
from tandem.core.reply import Found, Missing, ReadReply, Side
from tests.core.examples import GLIMPSES, VALUES, Said, Saying, record, sayings, version

RECENT = [None, *(Saying(said, n) for said in (Said.VALUE, Said.TOMBSTONE) for n in (1, 2, 3))]
UNKNOWN = (Said.FAILED, *GLIMPSES)


class Case(NamedTuple):
    """What both homes say, and what the machine wrote last."""

    kvsp: Saying
    s3: Saying
    recent: Saying | None

    def plan(self) -> RepairPlan:
        return repair_plan(self.kvsp.reply(), self.s3.reply(), self.recent_record)

    @property
    def recent_record(self) -> Record | None:
        return record(self.recent) if self.recent else None

    @property
    def known(self) -> bool:
        return self.kvsp.said not in UNKNOWN and self.s3.said not in UNKNOWN

    def floor(self) -> int:
        """What lies at or below it was deleted for good; 0 where SQL has the key."""
        return self.kvsp.number if self.kvsp.said is Said.MISSING else 0

    def sources(self) -> list[Saying]:
        """The records that may be written, the winner last."""
        sayings = [saying for saying in (self.kvsp, self.s3, self.recent) if saying is not None]
        records = [s for s in sayings if s.said in (*VALUES, Said.TOMBSTONE)]
        records = [saying for saying in records if saying.number > self.floor()]
        return sorted(records, key=lambda saying: (saying.number, record(saying).digest))

    def __str__(self) -> str:
        return f"kvsp: {self.kvsp}, s3: {self.s3}, recent: {self.recent}"


CASES = [
    Case(kvsp, s3, recent)
    for kvsp, s3, recent in product(sayings(floors=True), sayings(floors=False), RECENT)
]


class Homes:
    """Two homes that hold what they said, and take writes by the port's rule."""

    def __init__(self, case: Case) -> None:
        self.replies = {Side.KVSP: case.kvsp.reply(), Side.S3: case.s3.reply()}

    def apply(self, plan: RepairPlan) -> None:
        if isinstance(plan, Copy):
            for side in plan.to:
                assert self._put_if_newer(side, plan.record), f"{side} refuses {plan.record}"

    def _put_if_newer(self, side: Side, new: Record) -> bool:
        match self.replies[side]:
            case Found(old, _) if (old.version, old.digest) >= (new.version, new.digest):
                return False
            case Missing(_, floor) if new.version <= floor:
                return False
            case _:
                self.replies[side] = Found(new, 0)
                return True


def test_the_domain_is_complete() -> None:
    assert len(CASES) == 24 * 21 * 7
    assert {type(case.plan()) for case in CASES} == {InSync, Copy, Zombie, Blocked}


def test_a_plan_makes_both_homes_hold_the_newest_of_all() -> None:
    for case in CASES:
        if not case.known or not case.sources():
            continue
        homes = Homes(case)
        homes.apply(case.plan())
        newest = record(case.sources()[-1])
        assert [_record(reply) for reply in homes.replies.values()] == [newest] * 2, str(case)


def test_a_plan_writes_only_where_something_is_missing() -> None:
    for case in CASES:
        plan = case.plan()
        if isinstance(plan, Copy):
            held = Homes(case).replies
            lacking = tuple(side for side in Side if _record(held[side]) != plan.record)
            assert plan.to == lacking != (), str(case)


def test_a_plan_never_rests_on_a_home_that_is_not_known() -> None:
    for case in CASES:
        plan = case.plan()
        unknown = [s for s, said in (("kvsp", case.kvsp), ("s3", case.s3)) if said.said in UNKNOWN]
        if unknown:
            assert isinstance(plan, Blocked), str(case)
            assert [reason.split(": ")[0] for reason in plan.reasons] == unknown


def test_a_corrupt_copy_is_replaced_or_blocks_but_is_never_dropped() -> None:
    for case in CASES:
        corrupt = Said.CORRUPT in {case.kvsp.said, case.s3.said}
        if case.known and corrupt:
            match case.plan():
                case Copy(_, to):
                    assert case.kvsp.said is not Said.CORRUPT or Side.KVSP in to
                    assert case.s3.said is not Said.CORRUPT or Side.S3 in to
                case Zombie() | InSync():
                    pytest.fail(str(case))
                case Blocked():
                    assert not case.sources(), str(case)


def test_a_value_gives_way_only_to_a_newer_record() -> None:
    for case in CASES:
        plan = case.plan()
        if isinstance(plan, Copy):
            for saying in (case.kvsp, case.s3):
                if saying.said in VALUES:
                    assert merge(plan.record, record(saying)) == plan.record, str(case)


def test_a_zombie_is_a_value_on_s3_below_the_floor_with_nothing_newer_known() -> None:
    for case in CASES:
        below = case.s3.said in VALUES and case.s3.number <= case.floor()
        if case.known and below and not case.sources():
            assert case.plan() == Zombie(record(case.s3)), str(case)
        else:
            assert not isinstance(case.plan(), Zombie), str(case)


def test_absence_in_s3_is_never_evidence() -> None:
    for case in CASES:
        if case.s3 == Saying(Said.MISSING) and case.kvsp.said in VALUES:
            assert isinstance(case.plan(), Copy), str(case)


def test_equal_homes_are_in_sync() -> None:
    for case in CASES:
        equal = case.known and Said.CORRUPT not in {case.kvsp.said, case.s3.said}
        retired = case.s3.said is Said.TOMBSTONE and case.s3.number <= case.floor()
        same = _record(case.kvsp.reply()) == _record(case.s3.reply())
        newest = case.sources()[-1] if case.sources() else None
        nothing_newer = newest is None or record(newest) == _record(case.s3.reply())
        expected = equal and nothing_newer and (same or retired)
        assert isinstance(case.plan(), InSync) == expected, str(case)


def test_a_plan_that_was_carried_out_leaves_nothing_to_do() -> None:
    for case in CASES:
        plan = case.plan()
        if isinstance(plan, Copy):
            homes = Homes(case)
            homes.apply(plan)
            kvsp, s3 = homes.replies.values()
            again = repair_plan(kvsp, s3, case.recent_record)
            assert again == InSync(), str(case)


def test_a_recent_write_at_the_floor_is_copied_nowhere() -> None:
    nothing, late = Missing(0), Saying(Said.VALUE, 2)
    assert repair_plan(Missing(0, version(2)), nothing, record(late)) == InSync()
    assert repair_plan(Missing(0, version(1)), nothing, record(late)) == Copy(
        record(late), (Side.KVSP, Side.S3)
    )


def _record(reply: ReadReply) -> Record | None:
    return reply.record if isinstance(reply, Found) else None
