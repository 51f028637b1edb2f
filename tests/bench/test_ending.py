"""A benchmark that is told to end leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.program import all_pids, command_of, environment_of
from tests.e2e.waiting import until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_its_servers_end_with_it(tmp_path: Path, number: signal.Signals) -> None:
    mark = f"TMPDIR={tmp_path}"
    ours = {"TMPDIR": str(tmp_path), "BENCH_RESULTS": str(tmp_path)}
    bench = subprocess.Popen(
        (sys.executable, "-m", "bench"), env={**os.environ, **ours},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        await until(lambda: _serving(mark), "a gateway of the first part runs")
        bench.send_signal(number)
        await until(lambda: bench.poll() is not None, "it ends")
        assert bench.returncode == 130
        await until(lambda: not _marked(mark), "nothing is left of it")
    finally:
        for pid in _marked(mark):
            os.kill(pid, signal.SIGKILL)
        bench.wait()


def _serving(mark: str) -> bool:
    return any(b"kvgateway" in command_of(pid) for pid in _marked(mark))


def _marked(mark: str) -> Sequence[int]:
    return [pid for pid in all_pids() if mark.encode() in environment_of(pid).split(b"\0")]
