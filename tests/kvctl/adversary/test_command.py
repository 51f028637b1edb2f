"""`kvctl adversary` against gateways that keep their promises, and against some that lie."""

import json
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from kvgateway.data_path.remembered import result_of
from tandem.core.key import Key
from tandem.core.operations import Copy, Inspection
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.request import Read
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.kvctl.serving import ARTICLES, Gateway
from tests.kvgateway.rpc.memory_admin import MemoryOperations
from tests.kvgateway.rpc.memory_store import MemoryStore

SMALL = ("--operations", "600", "--keys", "3", "--connections", "2", "--callers", "8")


class Inspecting(MemoryOperations):
    """Shows in both homes what a store holds; `shift_us` older, or one home without it."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self.shift_us = 0
        self.missing_in: Side | None = None
        self.silent_first = 0

    async def inspect(self, key: Key) -> Inspection:
        record = self.store.records[key]
        version = Version.at(record.version.time_us - self.shift_us)
        version = record.version if not self.shift_us else version
        copies = tuple(
            Copy(side, failure="timeout")
            if self.silent_first and side is Side.S3
            else Copy(side, side is not self.missing_in, version)
            for side in Side
        )
        equal = self.missing_in is None and not self.silent_first
        self.silent_first = max(self.silent_first - 1, 0)
        return Inspection(copies, equal, "object", "nothing to do")


class Lying(MemoryStore):
    """Shows every tenth read what the key held before."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self._before: dict[Key, Record] = {}
        self._asked = count(1)

    def _write(self, write: Any) -> Any:  # noqa: ANN401 - as the store's own
        held = self.records.get(write.key)
        if held is not None:
            self._before[write.key] = held
        return super()._write(write)

    def _read(self, read: Read) -> Any:  # noqa: ANN401 - as the store's own
        if next(self._asked) % 10 == 0 and read.key in self._before:
            return result_of(self._before[read.key], self._clock.now_us(), cached=True)
        return super()._read(read)


def _gateway(store: MemoryStore | None = None) -> tuple[Gateway, Inspecting]:
    store = store or MemoryStore(SystemClock())
    inspecting = Inspecting(store)
    return Gateway(store=store, operations=inspecting), inspecting


def _json(gateway: Gateway, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = gateway.kvctl("adversary", *SMALL, *arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("sessions", [(), ("--sessions",)])
def test_a_good_gateway_breaks_no_promise(sessions: Sequence[str], tmp_path: Path) -> None:
    gateway, _ = _gateway()
    with gateway:
        status, found = _json(gateway, *sessions, "--evidence", str(tmp_path / "e"))
        namespaces = gateway.json("namespace", "list") if gateway.registry.served else []
    assert status == 0
    assert found["operations"] == found["reads"] + found["writes"] + found["deletes"] == 600
    assert min(found["reads"], found["writes"], found["deletes"]) > 20
    assert set(found["violations"].values()) == {0}
    assert (found["converged"], found["unequal"], found["evidence"]) == (3, [], None)
    assert found["convergence_max_us"] >= found["convergence_p50_us"] > 0
    assert not (tmp_path / "e").exists()
    assert "adversary" not in str(namespaces)


@pytest.mark.parametrize("sessions", [(), ("--sessions",)])
def test_a_gateway_that_shows_the_past_is_found_with_evidence(
    sessions: Sequence[str], tmp_path: Path
) -> None:
    gateway, _ = _gateway(Lying())
    with gateway:
        status, found = _json(gateway, *sessions, "--evidence", str(tmp_path / "e"))
    assert status == 1
    assert found["violations"]["read-your-own-writes"] > 0
    assert 0 < found["read_your_own_writes_share"] < 0.2
    cases = [json.loads(line) for line in (tmp_path / "e").read_text().splitlines()]
    assert len(cases) == found["evidence_cases"] == sum(found["violations"].values())
    for case in cases:
        [read] = [one for one in case["operations"] if one["operation"] == case["operation"]]
        newest = case["why"].split()[3]
        assert (read["version"] or "") < newest
        assert (read["gateway"], read["process"]) == (gateway.address, 4711)


def test_a_session_goes_from_gateway_to_gateway(tmp_path: Path) -> None:
    gateway, _ = _gateway(Lying())
    with gateway:
        names = ("--gateway", gateway.address, "--gateway", f"localhost:{gateway.port}")
        _json(gateway, *names, "--sessions", "--evidence", str(tmp_path / "e"))
    asked = defaultdict[int, set[str]](set)
    for line in (tmp_path / "e").read_text().splitlines():
        for operation in json.loads(line)["operations"]:
            asked[operation["session"]].add(operation["gateway"])
    assert asked == {number: set(names[1::2]) for number in range(2)}


def test_homes_that_hold_less_than_was_acknowledged_are_a_lost_write(tmp_path: Path) -> None:
    gateway, inspecting = _gateway()
    inspecting.shift_us = 1
    with gateway:
        status, found = _json(gateway, "--evidence", str(tmp_path / "e"))
    assert (status, found["violations"]["lost-write"]) == (1, 3)
    assert len((tmp_path / "e").read_text().splitlines()) == 3


def test_homes_that_stay_unequal_are_told(tmp_path: Path) -> None:
    gateway, inspecting = _gateway()
    inspecting.missing_in = Side.S3
    with gateway:
        result = gateway.kvctl("adversary", *SMALL, "--converge-within", "200ms")
    assert result.exit_code == 1
    assert result.stdout.count("not equal: adversary/") == 3
    assert "s3 holds nothing" in result.stdout


def test_a_home_that_is_silent_for_a_while_is_waited_for() -> None:
    gateway, inspecting = _gateway()
    inspecting.silent_first = 10
    with gateway:
        status, found = _json(gateway)
    assert (status, found["converged"]) == (0, 3)


def test_a_namespace_that_is_given_is_left_without_its_keys() -> None:
    gateway, _ = _gateway()
    gateway.hold("mine")
    with gateway:
        status, found = _json(gateway, *ARTICLES, "--seed", "s")
    assert (status, found["seed"]) == (0, "s")
    left = [key.name for key in gateway.store.records if gateway.stored(key.name) is not None]
    assert left == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--puts", "0.8", "--deletes", "0.3"), "together at most 1"),
        (("--operations", "0"), "--operations"),
        (("--seconds", "0"), "--seconds"),
        (("--value-bytes", "10"), "--value-bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], message: str) -> None:
    gateway, _ = _gateway()
    with gateway:
        result = gateway.kvctl("adversary", *arguments)
    assert (result.exit_code, gateway.store.reads, gateway.store.writes) == (2, 0, 0)
    assert message in result.stderr


def test_a_gateway_that_does_not_answer_is_named() -> None:
    gateway, _ = _gateway()
    with gateway:
        result = gateway.kvctl(
            "adversary", *SMALL, "--gateway", gateway.address, "--gateway", "127.0.0.1:1"
        )
    assert result.exit_code == 3
    assert "no gateway at 127.0.0.1:1" in result.stderr
