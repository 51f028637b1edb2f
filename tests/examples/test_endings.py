"""However the example's one command ends, nothing that it started stays behind.

`kvctl` and `workerd` are stand-ins here: each is a wrapper, like the one of npm's package, that
waits for its child and dies of a signal without it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.test_site import SITE

_WRAPPER = """#!/bin/sh
case "$1" in
    up|serve) sleep 600 & echo $! > "$PIDS/$1.new"; mv "$PIDS/$1.new" "$PIDS/$1"; wait; exit 1 ;;
    health) test -e "$PIDS/up" ;;
    import) exit "$IMPORT_ENDS" ;;
esac
"""
WITHIN_S = 60.0


@dataclass(frozen=True)
class Started:
    """The command while it runs."""

    process: subprocess.Popen[bytes]
    pids: Path

    def child(self, name: str) -> int:
        """The process that a wrapper has started."""
        _wait_until((self.pids / name).exists)
        return int((self.pids / name).read_text())

    def ended(self) -> bool:
        """Whether all that was started is gone."""
        return not any(_lives(int(one.read_text())) for one in self.pids.iterdir())


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _wait_until(true: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Started]]:
    directory, pids, wrapper = tmp_path / "site", tmp_path / "pids", tmp_path / "wrapper"
    shutil.copytree(SITE, directory, ignore=shutil.ignore_patterns("node_modules", "data"))
    pids.mkdir()
    wrapper.write_text(_WRAPPER)
    wrapper.chmod(0o755)
    started: list[Started] = []

    def starting(import_ends: int) -> Started:
        process = subprocess.Popen(
            [directory / "run"], start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={
                **os.environ, "KVCTL": str(wrapper), "WORKERD": str(wrapper),
                "PIDS": str(pids), "IMPORT_ENDS": str(import_ends),
            },
        )  # fmt: skip
        started.append(Started(process, pids))
        return started[-1]

    yield starting
    for one in started:
        one.process.kill()
        one.process.wait()
        for pid in map(int, (path.read_text() for path in pids.iterdir())):
            if _lives(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all(start: Callable[[int], Started], told: signal.Signals) -> None:
    site = start(0)
    site.child("up"), site.child("serve")
    site.process.send_signal(told)
    assert site.process.wait(WITHIN_S) == 130
    _wait_until(site.ended)


def test_a_step_that_fails_ends_what_was_started_before_it(start: Callable[[int], Started]) -> None:
    site = start(1)
    site.child("up")
    assert site.process.wait(WITHIN_S) == 1
    _wait_until(site.ended)


def test_a_workerd_that_ends_ends_the_rest(start: Callable[[int], Started]) -> None:
    site = start(0)
    os.kill(site.child("serve"), signal.SIGKILL)
    assert site.process.wait(WITHIN_S) == 1
    _wait_until(site.ended)
