"""Opening homes: who has no bucket loads nothing that a bucket needs."""

import subprocess
import sys

import pytest

_LOADED = "import sys, {module}; print('boto3' in sys.modules)"


@pytest.mark.parametrize("module", ["kvgateway.main", "kvgateway.process.worker", "crawler.main"])
def test_a_process_loads_boto3_only_for_a_bucket(module: str) -> None:
    command = [sys.executable, "-c", _LOADED.format(module=module)]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "False\n"
