"""A part of `kvctl up` that dies is started again; one that is stopped stays stopped."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from kvctl.log_file import LOG_BYTES_MAX
from kvctl.parts import Part, PartFailed, PartPlan, left_running
from tandem.runtime.clock import SystemClock
from tandem.runtime.settings import MISTAKEN_STATUS

STOP_S: Final = 60.0


class Kept:
    """One part that only sleeps, and what is said of it."""

    def __init__(self, directory: Path) -> None:
        self.main = directory / "sleeper_main.py"
        self.main.write_text("import time\ntime.sleep(600)\n")
        self.data = directory / "data"
        self.pid_file = self.data / "run" / "sleeper.pid"
        self.said: list[str] = []
        self.ready = True
        self.on_say: Callable[[], None] = lambda: None
        self.part = Part(
            PartPlan("sleeper", "sleeper_main", self._is_ready),
            data=self.data,
            environment={"PYTHONPATH": str(directory)},
            clock=SystemClock(),
            say=self._say,
        )

    async def _is_ready(self) -> bool:
        return self.ready

    def _say(self, text: str) -> None:
        self.said.append(text)
        self.on_say()

    def pid(self) -> int:
        process = self.part._process
        assert process is not None
        return process.pid

    def lives(self) -> bool:
        try:
            os.kill(self.pid(), 0)
        except ProcessLookupError:
            return False
        return True

    async def says(self, text: str) -> None:
        while not any(text in line for line in self.said):
            await asyncio.sleep(0.01)

    async def another(self, pid: int) -> None:
        while self.pid() == pid:
            await asyncio.sleep(0.01)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_what_dies_is_started_again_and_what_is_stopped_is_not(kept: Kept) -> None:
    await kept.part.start(STOP_S)
    keeping = asyncio.create_task(kept.part.keep())
    first = kept.pid()
    os.kill(first, signal.SIGKILL)
    await kept.another(first)
    assert kept.said == ["sleeper died with status -9; starting it again"]
    await kept.part.stop(STOP_S)
    await keeping
    assert not kept.lives()
    assert not kept.pid_file.exists()


async def test_a_part_that_is_refused_says_why_and_nothing_of_earlier_runs(kept: Kept) -> None:
    kept.main.write_text(
        """import json, sys
print("earlier or now", flush=True)
print(json.dumps({"mistakes": ["one", "two"], "event": "cannot_start"}), flush=True)
sys.exit(2)
"""
    )
    for _ in range(2):
        kept.ready = False
        with pytest.raises(PartFailed) as failed:
            await kept.part.start(STOP_S)
        assert str(failed.value) == "sleeper stopped with status 2:\n  one\n  two"
        assert failed.value.refused


async def test_a_part_that_may_start_another_time_is_not_refused(kept: Kept) -> None:
    kept.main.write_text("raise SystemExit(1)\n")
    kept.ready = False
    with pytest.raises(PartFailed) as failed:
        await kept.part.start(STOP_S)
    assert not failed.value.refused
    assert f"nothing of this run is in {kept.part.log_file}: is its disk full?" in str(failed.value)


@pytest.mark.parametrize("turns", range(12))
async def test_a_stop_in_the_middle_of_a_new_start_leaves_no_process(
    kept: Kept, turns: int
) -> None:
    async def stop() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await kept.part.stop(STOP_S)

    stopping: list[asyncio.Task[None]] = []
    await kept.part.start(STOP_S)
    kept.on_say = lambda: stopping.append(asyncio.create_task(stop()))
    keeping = asyncio.create_task(kept.part.keep())
    os.kill(kept.pid(), signal.SIGKILL)
    await asyncio.wait_for(keeping, STOP_S)
    await stopping[0]
    assert not kept.lives()


async def test_a_part_that_cannot_be_started_is_tried_until_it_can(kept: Kept) -> None:
    await kept.part.start(STOP_S)
    keeping = asyncio.create_task(kept.part.keep())
    kept.part.log_file.unlink()
    kept.part.log_file.mkdir()
    first = kept.pid()
    os.kill(first, signal.SIGKILL)
    await kept.says("sleeper could not be started: [Errno 21] Is a directory")
    kept.part.log_file.rmdir()
    await kept.another(first)
    assert kept.lives()
    await kept.part.stop(STOP_S)
    await keeping


async def test_a_part_that_is_ready_and_then_refuses_its_configuration_is_not_kept(
    kept: Kept,
) -> None:
    """As a crawler does that listens already when it finds its store unfit."""
    kept.main.write_text(f"print('no such store')\nraise SystemExit({MISTAKEN_STATUS})\n")
    await kept.part.start(STOP_S)
    with pytest.raises(PartFailed, match=r"(?s)sleeper cannot start:.*no such store") as failed:
        await kept.part.keep()
    assert failed.value.refused
    assert not kept.said


async def test_a_process_id_that_cannot_be_written_ends_nothing(kept: Kept) -> None:
    await kept.part.start(STOP_S)
    keeping = asyncio.create_task(kept.part.keep())
    kept.pid_file.unlink()
    kept.pid_file.mkdir()
    first = kept.pid()
    os.kill(first, signal.SIGKILL)
    await kept.says("sleeper runs, but its process id could not be written")
    assert kept.lives()
    kept.pid_file.rmdir()
    await kept.part.stop(STOP_S)
    await keeping


async def test_a_full_log_is_begun_anew_as_soon_as_that_can_be(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvctl.parts.LOG_LOOK_S", 0.01)
    await kept.part.start(STOP_S)
    log = kept.part.log_file
    in_the_way = log.with_name("sleeper.log.new")
    in_the_way.mkdir()
    os.truncate(log, LOG_BYTES_MAX + 1)
    tending = asyncio.create_task(kept.part.tend_log())
    async with asyncio.timeout(STOP_S):
        await kept.says("sleeper.log is full and cannot be begun anew: [Errno 21]")
        in_the_way.rmdir()
        while log.stat().st_size:
            await asyncio.sleep(0.01)
    assert log.with_name("sleeper.log.1").stat().st_size == LOG_BYTES_MAX + 1
    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    await kept.part.stop(STOP_S)


def test_only_what_runs_is_left_running(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name, text in (("gone", "4194305\n"), ("empty", ""), ("strange", "not a number\n")):
        (run / f"{name}.pid").write_text(text)
    (run / "other.pid").write_text(f"{os.getpid()}\n")
    assert left_running(tmp_path) == []


def test_a_program_that_has_the_number_of_one_that_ended_is_no_part(tmp_path: Path) -> None:
    (run := tmp_path / "run").mkdir()
    told = ("-s", "print('here', flush=True)")  # a process has no command line for a moment
    command = (sys.executable, "-m", "timeit", "-n", "1", *told, "import time; time.sleep(60)")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == b"here\n"
            (run / "gateway.pid").write_text(f"{other.pid}\n")
            (run / "timeit.pid").write_text(f"{other.pid}\n")
            assert left_running(tmp_path) == [("timeit", other.pid)]
        finally:
            other.kill()
