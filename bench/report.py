"""Where results go: to the terminal, and under bench/results with command and machine on top."""

import os
import platform
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from tests.e2e.program import PROGRAMS

RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).with_name("results"))
"""Elsewhere where only the way is tried, and no result is to be kept."""
_COMPILED = ".venv-compiled/bin/python"
"""What the programs are started with that `make compiled` has made."""


class Report:
    """One result, printed as it comes and stored when nothing failed.

    Who makes one is ended by SIGTERM as by Ctrl-C, and so ends the servers that it has started.
    """

    def __init__(self, name: str, *arguments: str) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        compiled = "-compiled" if _COMPILED in PROGRAMS[0] else ""
        self._path = RESULTS / f"{name}{compiled}.txt"
        self._lines: list[str] = []
        command = shlex.join(["python", "-m", f"bench.{name}", *arguments])
        self.line(f"$ PROGRAMS_PYTHON={_COMPILED} {command}" if compiled else f"$ {command}")
        self.line(f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, load {os.getloadavg()[0]:.1f}")
        self.line(f"{_python_of_programs()}, grpcio {grpc.__version__}")
        self.line()

    def line(self, text: str = "") -> None:
        """One more line."""
        print(text, flush=True)
        self._lines.append(text.rstrip())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            RESULTS.mkdir(exist_ok=True)
            self._path.write_text("\n".join([*self._lines, ""]))
            sys.stdout.write("\n")


def _python_of_programs() -> str:
    """Its version and where it is from: distributions build with profile-guided optimization, pyenv
    does without, and adds numbers a fifth slower."""
    code = "import os, sys; print(sys.version.split()[0], os.path.realpath(sys.executable))"
    command = (PROGRAMS[0], "-c", code)
    version, path = subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.split()
    return f"Python {version} ({path})"


def _machine() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    models = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return f"{os.cpu_count()} cores of {models[0] if models else platform.machine()}"
