"""When the breaker of mass changes stops: the whole small domain."""

import itertools

import pytest

from tandem.core.mass_change import (
    MASS_LIMIT,
    MassLimit,
    MassWork,
    NeedsPerson,
    mass_change,
)

LIMIT = MassLimit(share=0.5, always=3)


@pytest.mark.parametrize(
    ("changes", "records", "accepted"),
    list(itertools.product(range(9), range(0, 20, 2), (0, 2, 5))),
)
def test_it_stops_above_the_number_and_the_share_unless_accepted(
    changes: int, records: int, accepted: int
) -> None:
    stopped = mass_change(MassWork.SWEEP, changes, records, LIMIT, accepted)
    if changes > 3 and changes * 2 > records and changes > accepted:
        assert stopped == NeedsPerson(MassWork.SWEEP, changes, records)
    else:
        assert stopped is None


def test_what_grew_beyond_the_accepted_number_is_not_accepted() -> None:
    assert mass_change(MassWork.REPAIR, 100, 100, LIMIT, accepted=100) is None
    assert mass_change(MassWork.REPAIR, 101, 101, LIMIT, accepted=100) is not None


def test_an_emptied_home_is_stopped_by_default() -> None:
    assert mass_change(MassWork.REPAIR, 100_000, 100_000, MASS_LIMIT) is not None
    assert mass_change(MassWork.COLLECT, 1_000, 1_000, MASS_LIMIT) is None


@pytest.mark.parametrize("work", MassWork)
def test_a_person_reads_what_it_is_about(work: MassWork) -> None:
    touched = "namespaces" if work is MassWork.END else "records"
    assert str(NeedsPerson(work, 7, 9)) == f"{work.value} would touch 7 of 9 {touched}"


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(AssertionError):
        MassLimit(share=share)
    with pytest.raises(AssertionError):
        MassLimit(always=-1)
