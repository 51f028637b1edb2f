"""Opening homes: who has no bucket loads nothing that a bucket needs."""

import subprocess
import sys
from typing import cast

import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.backends.opening import HomeLabel, Homes
from tandem.backends.port import CollectableObjects
from tandem.core.reply import Side

_LOADED = "import sys, {module}; print('boto3' in sys.modules)"


@pytest.mark.parametrize("module", ["kvgateway.main", "kvgateway.process.worker", "crawler.main"])
def test_a_process_loads_boto3_only_for_a_bucket(module: str) -> None:
    command = [sys.executable, "-c", _LOADED.format(module=module)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("kind", "order"),
    [("file", (Side.S3, Side.KVSP)), ("s3", (Side.KVSP, Side.S3))],
)
def test_legs_that_cost_the_loop_least_begin_first(kind: str, order: tuple[Side, Side]) -> None:
    labels = {side: HomeLabel(kind, "somewhere", str) for side in Side}
    homes = Homes(cast(KvspBackend, None), cast(CollectableObjects, None), labels)
    assert homes.leg_order == order
    assert set(order) == set(homes.backends)
