"""`kvctl adversary` against real processes: several workers and gateways, and a home that fails."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.waiting import until
from tests.servers.failing_s3 import failing_s3
from tests.servers.rgw import Rgw

HAMMER = (
    "--namespace",
    "n",
    "--callers",
    "256",
    "--connections",
    "8",
    "--keys",
    "12",
    "--converge-within",
    "120s",
)


@pytest.fixture
async def gateways(rgw: Rgw, tmp_path: Path) -> AsyncIterator[tuple[Deployment, Deployment]]:
    """Two gateways of one store, one with two workers, where half of all calls to S3 fail."""
    async with failing_s3(rgw.endpoint) as s3:
        bucket = replace(new_bucket(rgw), endpoint=s3.endpoint)
        async with deployed(tmp_path / "one", bucket, workers=2) as one:
            await one.start()
            kvsp = one.kvsp_address
            async with deployed(tmp_path / "two", bucket, TANDEM_KVSP=kvsp) as two:
                two.gateway.start()
                await two.serving(two.gateway, two.grpc)
                await until(lambda: len(one.workers()) == 2, "two workers run")
                async with one.client() as client:
                    await client.namespaces.create("n")  # which both homes have to confirm
                await s3.fail(0.5)
                yield one, two


async def _hammered(tandem: Deployment, *arguments: str) -> dict[str, Any]:
    """What it found where it found no violation; a failure that shows the evidence if it did."""
    evidence = tandem.directory / "evidence.jsonl"
    status, output = await tandem.kvctl(
        "adversary", *HAMMER, *arguments, "--evidence", str(evidence), "--json"
    )
    shown = evidence.read_text() if evidence.exists() else "no violation"
    assert status == 0, f"{output}\n{shown[:20_000]}"
    found: dict[str, Any] = json.loads(output)
    return found


async def test_each_machine_keeps_its_promises_while_a_home_fails_half_of_its_calls(
    gateways: tuple[Deployment, Deployment],
) -> None:
    one, two = gateways
    both = ("--gateway", one.grpc, "--gateway", two.grpc)
    found = await _hammered(one, *both, "--operations", "10000")
    assert (found["failed"], found["ambiguous"]) == (0, 0)
    assert found["reads"] > 4000
    assert found["converged"] == 12
    sessions = await _hammered(one, *both, "--operations", "10000", "--sessions")
    assert (sessions["failed"], sessions["ambiguous"]) == (0, 0)
    assert sessions["converged"] == 12
    assert "worker_died" not in one.gateway.words() + two.gateway.words()
