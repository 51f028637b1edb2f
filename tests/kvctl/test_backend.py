"""`kvctl backend` with several gateways: each has switches of its own, and all are set at once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tandem.core.reply import Side
from tests.kvctl.serving import Gateway, invoke
from tests.servers.ports import free_port


@pytest.fixture
def other() -> Iterator[Gateway]:
    with Gateway() as other:
        yield other


def _switches(gateway: Gateway) -> dict[str, tuple[bool, bool]]:
    homes = gateway.json("status")["homes"]
    return {home["home"]: (home["reads"], home["writes"]) for home in homes}


def _both(gateway: Gateway, other: Gateway) -> tuple[str, ...]:
    return ("--gateway", gateway.address, "--gateway", other.address)


def test_one_command_sets_the_switch_on_every_gateway_that_is_named(
    gateway: Gateway, other: Gateway
) -> None:
    off = gateway.kvctl("backend", "disable", "s3", *_both(gateway, other))
    assert off.exit_code == 0
    assert off.stdout.count("s3 is not used; what it misses is queued for repair.") == 2
    assert off.stdout.index(gateway.address) < off.stdout.index(other.address)
    for one in (gateway, other):
        assert _switches(one) == {"kvsp": (True, True), "s3": (False, False)}
    on = gateway.kvctl("backend", "enable", "s3", "--reads", *_both(gateway, other), "--json")
    lines: list[Any] = [json.loads(line) for line in on.stdout.splitlines()]
    assert [line["gateway"] for line in lines] == [gateway.address, other.address]
    for one in (gateway, other):
        assert _switches(one) == {"kvsp": (True, True), "s3": (True, False)}


def test_a_gateway_that_is_not_named_keeps_its_own(gateway: Gateway, other: Gateway) -> None:
    assert gateway.kvctl("backend", "disable", "s3", "--gateway", other.address).exit_code == 0
    assert _switches(gateway)["s3"] == (True, True)
    assert _switches(other)["s3"] == (False, False)


def test_the_same_gateway_twice_is_one(gateway: Gateway) -> None:
    result = gateway.kvctl("backend", "disable", "s3", *_both(gateway, gateway), "--json")
    assert len(result.stdout.splitlines()) == 1


def test_where_one_would_lose_its_last_home_none_is_changed(
    gateway: Gateway, other: Gateway
) -> None:
    assert other.kvctl("backend", "disable", "kvsp").exit_code == 0
    before = _switches(gateway), _switches(other)
    refused = gateway.kvctl("backend", "disable", "s3", *_both(gateway, other))
    assert refused.exit_code == 2
    assert f"{other.address}: kvsp is out of reads already" in refused.stderr
    assert (_switches(gateway), _switches(other)) == before
    forced = gateway.kvctl("backend", "disable", "s3", *_both(gateway, other), "--force")
    assert forced.exit_code == 0
    assert _switches(other) == {"kvsp": (False, False), "s3": (False, False)}


def test_a_silent_gateway_keeps_no_other_from_being_set_and_is_told(gateway: Gateway) -> None:
    silent = f"127.0.0.1:{free_port()}"
    result = gateway.kvctl(
        "backend", "disable", "s3", "--gateway", silent, "--gateway", gateway.address
    )
    assert result.exit_code == 3
    assert "1 of 2 gateways were not set, and go on as they were" in result.stderr
    [_, why, advice] = result.stderr.splitlines()
    assert why.startswith(f"no gateway at {silent}: ")
    assert why.count(silent) == 1
    assert advice.startswith("Start one with")
    assert gateway.address in result.stdout
    assert _switches(gateway)["s3"] == (False, False)


def test_the_only_gateway_that_is_silent_is_told_as_ever() -> None:
    silent = f"127.0.0.1:{free_port()}"
    result = invoke("backend", "enable", "s3", "--gateway", silent)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"kvctl: no gateway at {silent}")


def test_namespaces_that_fail_without_the_home_are_named(gateway: Gateway) -> None:
    gateway.kvctl("namespace", "create", "drafts", "--ack", "both")
    gateway.kvctl("namespace", "create", "photos", "--alone", "s3")
    off = gateway.kvctl("backend", "disable", "s3")
    assert off.exit_code == 0
    assert off.stderr == (
        "\nWithout s3 fail:\n"
        "  writes of 'drafts', as its --ack is both: `kvctl namespace configure` changes that\n"
        "  reads and writes of 'photos', as its mode is single(s3)\n"
    )
    only_reads = gateway.kvctl("backend", "enable", "s3", "--writes")
    assert only_reads.stderr == (
        "\nWithout s3 fail:\n  reads of 'photos', as its mode is single(s3)\n"
    )
    assert gateway.kvctl("backend", "enable", "s3").stderr == ""
    other = gateway.kvctl("backend", "disable", "kvsp", "--writes").stderr
    assert "photos" not in other
    assert "writes of 'drafts'" in other


def test_nothing_is_told_of_namespaces_that_either_home_can_serve(gateway: Gateway) -> None:
    assert gateway.kvctl("backend", "disable", "s3").stderr == ""


@pytest.mark.parametrize("breaker", ["open", "half-open"])
def test_the_home_that_still_answers_is_not_taken_out_by_mistake(
    gateway: Gateway, breaker: str
) -> None:
    homes = gateway.operations.homes
    homes[Side.S3] = replace(homes[Side.S3], breaker=breaker)
    refused = gateway.kvctl("backend", "disable", "kvsp", "--reads")
    assert refused.exit_code == 2
    assert f"s3 does not answer (breaker {breaker}): without kvsp all reads" in refused.stderr
    assert _switches(gateway)["kvsp"] == (True, True)
    assert gateway.kvctl("backend", "disable", "s3").exit_code == 0
    assert gateway.kvctl("backend", "disable", "kvsp", "--reads", "--force").exit_code == 0
