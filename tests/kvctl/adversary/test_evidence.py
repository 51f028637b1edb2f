"""The evidence of a violation: what is around it, in order, and no more than the bound."""

import json
from pathlib import Path
from typing import Any

from kvctl.adversary.checker import Broken, Violation
from kvctl.adversary.evidence import AFTER, BEFORE, CASES_MAX, Evidence
from kvctl.adversary.operation import Kind, Operation, Outcome
from tandem.core.version import NO_VERSION, Version

KEYS = ("a", "b")
GATEWAYS = ("one:1", "two:2")


def _operation(number: int, key: int = 0) -> Operation:
    return Operation(
        number, Kind.PUT, key, number % 2, 3, 0, number, number + 1, Outcome.ANSWERED,
        Version.at(number), number,
    )  # fmt: skip


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _numbers(case: dict[str, Any]) -> list[int]:
    return [operation["operation"] for operation in case["operations"]]


def test_no_violation_leaves_no_file(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "e", KEYS, GATEWAYS)
    evidence.ended(_operation(1))
    evidence.close()
    assert not evidence.path.exists()


def test_a_case_has_what_happened_to_the_key_around_it(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "e", KEYS, GATEWAYS)
    for number in range(1, 200):
        evidence.ended(_operation(number, key=number % 2))
        if number == 101:
            evidence.keep(Violation(Broken.MONOTONIC, _operation(101, key=1), "because"))
    written = _lines(evidence.path)
    evidence.close()
    [case] = written
    assert _lines(evidence.path) == written
    assert (case["broken"], case["why"]) == ("monotonic-reads", "because")
    assert (case["key"], case["operation"]) == ("b", 101)
    odd = [number for number in range(1, 200) if number % 2]
    at = odd.index(101)
    assert _numbers(case) == odd[at + 1 - BEFORE : at + 1 + AFTER]


def test_a_case_at_the_end_is_written_with_what_there_is(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "e", KEYS, GATEWAYS)
    evidence.ended(_operation(1))
    evidence.keep(Violation(Broken.OWN_WRITES, _operation(1), ""))
    evidence.ended(_operation(2))
    assert not evidence.path.exists()
    evidence.close()
    [case] = _lines(evidence.path)
    assert _numbers(case) == [1, 2]


def test_an_operation_tells_who_asked_whom_and_what_came_of_it(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "e", KEYS, GATEWAYS)
    silent = Operation(
        2,
        Kind.GET,
        0,
        1,
        4,
        5,
        10,
        20,
        Outcome.FAILED,
        NO_VERSION,
        error="get: Unavailable",
        process=4711,
    )
    evidence.ended(_operation(1))
    evidence.ended(silent)
    evidence.keep(Violation(Broken.OWN_WRITES, silent, ""))
    evidence.close()
    [case] = _lines(evidence.path)
    assert case["operations"] == [
        {
            "operation": 1, "kind": "put", "gateway": "two:2", "connection": 3,
            "process": None, "session": 0, "began_us": 1, "ended_us": 2, "outcome": "answered",
            "version": str(Version.at(1)), "value_of": 1, "error": None,
        },
        {
            "operation": 2, "kind": "get", "gateway": "two:2", "connection": 4,
            "process": 4711, "session": 5, "began_us": 10, "ended_us": 20, "outcome": "failed",
            "version": None, "value_of": None, "error": "get: Unavailable",
        },
    ]  # fmt: skip


def test_cases_over_the_bound_are_not_kept(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path / "e", KEYS, GATEWAYS)
    for number in range(1, CASES_MAX + 50):
        evidence.ended(_operation(number))
        evidence.keep(Violation(Broken.OWN_WRITES, _operation(number), ""))
    evidence.close()
    assert evidence.cases == CASES_MAX
    assert len(_lines(evidence.path)) == CASES_MAX
