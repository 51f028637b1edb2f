"""The checker finds each broken promise, finds no other, and does not grow."""

from collections.abc import Sequence
from itertools import count, product

import pytest

from kvctl.adversary import checker as checker_module
from kvctl.adversary.checker import Broken, Checker
from kvctl.adversary.operation import NOTHING, Kind, Operation, Outcome
from tandem.core.version import NO_VERSION, Version

V = (NO_VERSION, *(Version.at(time_us) for time_us in (1, 2, 3)))
REMEMBERS_US = 100


class Scenario:
    """Operations on one key, begun and ended in the order that a test says."""

    def __init__(self, seen_for_us: int | None = None) -> None:
        self.checker = Checker(seen_for_us)
        self._numbers = count(1)

    def begin(self, kind: Kind, scope: int = 0, at_us: int = 0, key: int = 0) -> Operation:
        number = next(self._numbers)
        operation = Operation(number, kind, key, scope, 0, scope, began_us=at_us)
        self.checker.begin(operation, scope)
        return operation

    def end(
        self,
        operation: Operation,
        version: Version,
        content: int = NOTHING,
        outcome: Outcome = Outcome.ANSWERED,
    ) -> list[Broken]:
        operation.version, operation.content, operation.outcome = version, content, outcome
        return [found.broken for found in self.checker.end(operation, operation.gateway)]

    def write(self, version: Version, scope: int = 0, content: int = NOTHING) -> list[Broken]:
        kind = Kind.DELETE if content == NOTHING else Kind.PUT
        return self.end(self.begin(kind, scope), version, content)

    def read(self, version: Version, scope: int = 0, at_us: int = 0) -> list[Broken]:
        return self.end(self.begin(Kind.GET, scope, at_us), version)


@pytest.mark.parametrize(("written", "read", "asked"), list(product(V, V, V)))
def test_a_read_is_judged_by_what_its_scope_wrote_and_read(
    written: Version, read: Version, asked: Version
) -> None:
    scenario = Scenario()
    if written != NO_VERSION:
        assert scenario.write(written) == []
    scenario.read(read)
    expected = [Broken.OWN_WRITES] * (asked < written) + [Broken.MONOTONIC] * (asked < read)
    assert scenario.read(asked) == expected


@pytest.mark.parametrize(("written", "read", "asked"), list(product(V[1:], V, V)))
def test_another_scope_is_bound_by_nothing_of_it(
    written: Version, read: Version, asked: Version
) -> None:
    scenario = Scenario()
    scenario.write(written, scope=0)
    scenario.read(max(written, read), scope=0)
    assert scenario.read(asked, scope=1) == []


def test_another_key_is_bound_by_nothing_of_it() -> None:
    scenario = Scenario()
    scenario.write(V[3])
    other = scenario.begin(Kind.GET, key=1)
    assert scenario.end(other, NO_VERSION) == []


@pytest.mark.parametrize("asked", V)
def test_a_read_under_way_is_not_bound_by_what_ends_meanwhile(asked: Version) -> None:
    scenario = Scenario()
    scenario.write(V[1])
    read = scenario.begin(Kind.GET)
    scenario.write(V[2])
    scenario.read(V[2])
    assert scenario.end(read, asked) == [Broken.OWN_WRITES] * (asked < V[1])


@pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.FAILED])
def test_what_was_not_acknowledged_binds_nobody(outcome: Outcome) -> None:
    scenario = Scenario()
    assert scenario.end(scenario.begin(Kind.PUT), NO_VERSION, 1, outcome) == []
    assert scenario.end(scenario.begin(Kind.GET), NO_VERSION, NOTHING, outcome) == []
    assert scenario.read(NO_VERSION) == []
    assert scenario.checker.newest == {}


@pytest.mark.parametrize(("first", "second"), list(product(V[1:], V[1:])))
def test_a_write_is_above_what_was_acknowledged(first: Version, second: Version) -> None:
    scenario = Scenario()
    scenario.write(first)
    assert scenario.write(second) == [Broken.WRITE_ORDER] * (second <= first)


def test_writes_under_way_together_have_no_order() -> None:
    scenario = Scenario()
    one, other = scenario.begin(Kind.PUT), scenario.begin(Kind.PUT)
    assert scenario.end(one, V[2], 1) == []
    assert scenario.end(other, V[1]) == []
    assert scenario.read(V[1]) == [Broken.OWN_WRITES]


@pytest.mark.parametrize(
    ("seen_for_us", "after_us", "broken"),
    [
        (REMEMBERS_US, REMEMBERS_US, [Broken.MONOTONIC]),
        (REMEMBERS_US, REMEMBERS_US + 1, []),
        (None, 10**12, [Broken.MONOTONIC]),
    ],
)
def test_a_machine_is_held_to_what_was_read_for_a_while(
    seen_for_us: int | None, after_us: int, broken: list[Broken]
) -> None:
    scenario = Scenario(seen_for_us)
    scenario.read(V[2], at_us=0)
    scenario.read(V[2], at_us=REMEMBERS_US // 2)  # a second reading is no second promise
    assert scenario.read(V[1], at_us=after_us) == broken


def test_a_machine_is_held_to_its_own_writes_for_ever() -> None:
    scenario = Scenario(REMEMBERS_US)
    scenario.write(V[2])
    assert scenario.read(V[1], at_us=10**12) == [Broken.OWN_WRITES]


@pytest.mark.parametrize(
    ("written", "read", "broken"),
    [
        (7, 7, []),
        (7, 8, [Broken.WRONG_VALUE]),
        (7, NOTHING, [Broken.WRONG_VALUE]),
        (NOTHING, NOTHING, []),
        (NOTHING, 7, [Broken.WRONG_VALUE]),
    ],
)
def test_a_version_has_the_value_that_was_written(
    written: int, read: int, broken: list[Broken]
) -> None:
    scenario = Scenario()
    scenario.write(V[1], content=written)
    assert scenario.end(scenario.begin(Kind.GET), V[1], read) == broken


def test_a_value_that_is_none_of_ours_is_found() -> None:
    scenario = Scenario()
    read = scenario.begin(Kind.GET)
    read.intact = False
    assert scenario.end(read, V[1], 1) == [Broken.WRONG_VALUE]


@pytest.mark.parametrize(("writes", "held"), list(product(([], [1], [1, 2], [2, 1]), V)))
def test_the_homes_hold_the_newest_acknowledged_write_of_all_scopes(
    writes: Sequence[int], held: Version
) -> None:
    scenario = Scenario()
    for scope, at in enumerate(writes):
        scenario.write(V[at], scope)
    found = scenario.checker.held(0, held)
    assert (found is not None) == (held < V[max(writes, default=0)])
    assert found is None or found.broken is Broken.LOST_WRITE


def test_what_is_remembered_of_a_key_is_bounded() -> None:
    scenario, most = Scenario(), checker_module.WRITES_REMEMBERED
    for at in range(1, 5 * most):
        scenario.write(Version.at(at), content=at)
    last = 5 * most - 1
    assert len(scenario.checker._contents[0]) <= most
    assert len(scenario.checker._known) == 1
    newest = scenario.begin(Kind.GET)
    assert scenario.end(newest, Version.at(last), 1) == [Broken.WRONG_VALUE]
