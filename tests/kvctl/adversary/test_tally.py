"""What is counted, and the shares and times that follow from it."""

import pytest

from kvctl.adversary.checker import Broken, Violation
from kvctl.adversary.operation import Kind, Operation, Outcome
from kvctl.adversary.tally import ERRORS_MAX, OTHER, Tally


def _ended(kind: Kind, outcome: Outcome, error: str = "") -> Operation:
    return Operation(1, kind, 0, 0, 0, 0, 0, outcome=outcome, error=error)


@pytest.mark.parametrize(
    ("kind", "outcome", "counted"),
    [
        (Kind.GET, Outcome.ANSWERED, "reads"),
        (Kind.PUT, Outcome.ANSWERED, "writes"),
        (Kind.DELETE, Outcome.ANSWERED, "deletes"),
        (Kind.PUT, Outcome.AMBIGUOUS, "ambiguous"),
        (Kind.DELETE, Outcome.AMBIGUOUS, "ambiguous"),
        (Kind.GET, Outcome.FAILED, "failed"),
        (Kind.PUT, Outcome.FAILED, "failed"),
    ],
)
def test_each_operation_counts_once(kind: Kind, outcome: Outcome, counted: str) -> None:
    tally = Tally()
    tally.ended(_ended(kind, outcome))
    names = ("reads", "writes", "deletes", "ambiguous", "failed")
    assert {name: getattr(tally, name) for name in names} == {
        name: int(name == counted) for name in names
    }
    assert tally.operations == 1
    assert tally.answered == (outcome is Outcome.ANSWERED)


def test_different_errors_are_bounded() -> None:
    tally = Tally()
    for number in range(3 * ERRORS_MAX):
        tally.ended(_ended(Kind.GET, Outcome.FAILED, f"error {number}"))
        tally.ended(_ended(Kind.GET, Outcome.FAILED, "error 0"))
    assert len(tally.errors) == ERRORS_MAX + 1
    assert tally.errors["error 0"] == 3 * ERRORS_MAX + 1
    assert tally.errors[OTHER] == 2 * ERRORS_MAX


def test_the_share_of_reads_that_break_a_promise() -> None:
    tally, read = Tally(), _ended(Kind.GET, Outcome.ANSWERED)
    assert tally.share(Broken.OWN_WRITES) == 0
    for _ in range(8):
        tally.ended(read)
    tally.violated([Violation(Broken.OWN_WRITES, read, ""), Violation(Broken.MONOTONIC, read, "")])
    tally.violated([Violation(Broken.OWN_WRITES, read, "")])
    assert tally.share(Broken.OWN_WRITES) == 0.25
    assert tally.share(Broken.MONOTONIC) == 0.125
    assert not tally.good


@pytest.mark.parametrize(
    ("times", "p50", "p99", "most"),
    [([], None, None, None), ([5], 5, 5, 5), ([*range(100, 0, -1)], 51, 100, 100)],
)
def test_convergence_is_told_in_shares(
    times: list[int], p50: int | None, p99: int | None, most: int | None
) -> None:
    tally = Tally(converged_us=times)
    assert [tally.converged(share) for share in (0.5, 0.99, 1.0)] == [p50, p99, most]


def test_unequal_homes_are_not_good() -> None:
    assert Tally().good
    assert not Tally(unequal=["k: kvsp holds nothing"]).good
