"""What a program does not take on when it begins: who uses it loads it."""

import subprocess
import sys

import pytest

LEFT = {
    "import kvsp.main": {"rich"},
    "import kvgateway.main": {"rich", "boto3"},
    "import kvgateway.process.worker": {"rich", "boto3"},
    "import crawler.main": {"rich", "boto3"},
    "import kvctl.main": {"rich.console"},
    "from tandem import Client": {"opentelemetry"},
}
"""boto3 is for a bucket, rich for a terminal, metrics are for servers."""


@pytest.mark.parametrize("code", LEFT)
def test_what_few_need_is_left_out(code: str) -> None:
    assert not LEFT[code] & _modules(code)


def test_what_logs_hide_from_structlog_can_be_loaded() -> None:
    assert "rich.traceback" in _modules("import tandem.runtime.logs, rich.traceback")


def _modules(code: str) -> set[str]:
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())
