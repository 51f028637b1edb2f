"""What a program takes on with the client library."""

import subprocess
import sys

_LOADED = "import sys; from tandem import Client; print('opentelemetry' in sys.modules)"


def test_the_client_library_loads_no_metrics_of_servers() -> None:
    command = [sys.executable, "-c", _LOADED]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout == "False\n"
