"""What a program takes on with its logs, and with what it draws on a terminal."""

import subprocess
import sys

import pytest

_LOADED = "import sys, {module}; print({package!r} in sys.modules); import rich.traceback"


@pytest.mark.parametrize(
    "module", ["kvsp.main", "kvgateway.main", "kvgateway.process.worker", "crawler.main"]
)
def test_a_service_does_not_load_rich(module: str) -> None:
    assert _says(_LOADED.format(module=module, package="rich")) == "False\n"


def test_a_command_that_draws_nothing_does_not_load_what_draws() -> None:
    assert _says(_LOADED.format(module="kvctl.main", package="rich.console")) == "False\n"


def _says(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
