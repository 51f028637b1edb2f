"""`kvctl up`: the parts as processes, from the first start to the last stop."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from kvctl.parts import left_running
from tandem.runtime.settings import MISTAKEN_STATUS
from tests.kvctl.serving import invoke
from tests.servers.ports import free_port

PARTS = ("crawler", "gateway", "kvsp")
_ADDRESSES = ("TANDEM_GRPC", "TANDEM_HTTP", "TANDEM_KVSP", "TANDEM_CRAWLER")


class Machine:
    """Four free addresses and a data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.environment = {
            **{name: f"127.0.0.1:{free_port()}" for name in _ADDRESSES},
            "TANDEM_DATA": str(data),
            "TANDEM_SHARED_MEMORY": "16MiB",
            "TANDEM_WORKERS": "1",  # and not one for each core
        }

    @contextmanager
    def up(
        self, *flags: str, directory: Path | None = None, stdin: int | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """`kvctl up`, which is stopped at the end of the block."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "kvctl.main", "up", *flags],
            cwd=directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.environment},
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def pids(self) -> dict[str, int]:
        """The process ids that are written down."""
        return {file.stem: int(file.read_text()) for file in (self.data / "run").glob("*.pid")}

    def logs(self, part: str, text: str) -> None:
        """Returns when a part has said this."""
        log = self.data / "logs" / f"{part}.log"
        deadline_s = time.monotonic() + 60.0
        while text not in log.read_text():
            assert time.monotonic() < deadline_s, f"{part} does not say {text!r}"
            time.sleep(0.02)

    def kvctl(self, *arguments: str) -> str:
        """What a command says that must succeed."""
        result = invoke(*arguments, environment=self.environment)
        assert result.exit_code == 0, result.stderr
        return result.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def until(process: subprocess.Popen[str], text: str) -> None:
    """Reads what a process says until it says `text`."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"it ended with {process.wait()} without saying {text!r}")


def test_all_parts_run_until_they_are_stopped(machine: Machine) -> None:
    with machine.up() as up:
        until(up, "export CLOUDFLARE_API_BASE_URL=http://")  # wrangler's
        until(up, "export CLOUDFLARE_BASE_URL=http://")  # the SDKs'
        until(up, "export CLOUDFLARE_API_TOKEN=tdmdev_")
        until(up, "Stop it with Ctrl-C.")
        assert machine.kvctl("health").endswith("SERVING\n")
        machine.kvctl("namespace", "create", "articles")
        machine.kvctl("key", "put", "k", "v", "-n", "articles")
        pids = machine.pids()
        assert sorted(pids) == sorted(PARTS)

        os.kill(pids["kvsp"], signal.SIGKILL)
        until(up, "kvsp died with status -9; starting it again")
        assert machine.kvctl("key", "get", "k", "-n", "articles") == "v"

        second = invoke("up", environment=machine.environment)
        assert second.exit_code == 1
        assert "another `kvctl up` is using" in second.stderr

        up.send_signal(signal.SIGINT)
        until(up, "stopping")
        assert up.wait() == 0
    assert machine.pids() == {}
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    with machine.up("--json") as again:
        until(again, '"message": "Starting')
        until(again, '"message": "Tandem KV is up.')
        assert machine.kvctl("key", "get", "k", "-n", "articles") == "v"
        assert '"equal": true' in machine.kvctl("key", "inspect", "k", "-n", "articles", "--json")


def test_no_file_in_the_working_directory_stands_in_for_a_part(
    machine: Machine, tmp_path: Path
) -> None:
    here = tmp_path / "checkout"
    for program in ("crawler", "kvgateway", "kvsp", "tandem"):
        (here / program).mkdir(parents=True)
        (here / program / "__init__.py").write_text("raise SystemExit('not this one')\n")
    with machine.up(directory=here) as up:
        until(up, "Stop it with Ctrl-C.")
        assert machine.kvctl("health").endswith("SERVING\n")


def test_all_parts_read_their_settings_again_until_their_terminal_is_closed(
    machine: Machine, tmp_path: Path
) -> None:
    """What a flag says stays; what the file says of a shared setting is new in every part."""
    config = tmp_path / "tandem.toml"
    config.touch()
    terminal, stdin = os.openpty()
    with machine.up("--config", str(config), "--log-format", "json", stdin=stdin) as up:
        os.close(stdin)
        until(up, "Stop it with Ctrl-C.")
        pids = machine.pids()
        config.write_text('log_format = "text"\nlog_level = "debug"\n')
        up.send_signal(signal.SIGHUP)
        until(up, "the parts read their settings again")
        for part in PARTS:
            machine.logs(part, "log_level: info, now debug")
        assert machine.pids() == pids
        os.close(terminal)
        up.send_signal(signal.SIGHUP)
        until(up, "stopping")
        assert up.wait() == 0
    assert machine.pids() == {}


def test_a_part_that_refuses_its_configuration_stops_them_all(
    machine: Machine, tmp_path: Path
) -> None:
    config = tmp_path / "tandem.toml"
    config.write_text("[crawler]\nrange_names = 1\n")
    with machine.up("--config", str(config)) as up:
        out, _ = up.communicate()
    assert up.returncode == MISTAKEN_STATUS
    assert "crawler stopped with status 2:" in out
    assert "[crawler] range_names" in out
    assert "Tandem KV is up." not in out
    assert machine.pids() == {}


def test_two_parts_at_one_address_are_refused(tmp_path: Path) -> None:
    for pair in combinations(("--grpc", "--http", "--kvsp", "--crawler"), 2):
        environment = {name: f"127.0.0.1:{free_port()}" for name in _ADDRESSES}
        at = f"127.0.0.1:{free_port()}"
        flags = [text for flag in pair for text in (flag, at)]
        result = invoke("up", "--data", str(tmp_path), *flags, environment=environment)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{pair[0]} and {pair[1]} are both {at}; choose another" in result.stderr


def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("up", "--data", str(tmp_path / "file/data"))
    assert result.exit_code == MISTAKEN_STATUS
    assert "no directory for data: Not a directory; choose another one with --data" in result.stderr


def test_parts_that_outlived_their_keeper_are_named(machine: Machine) -> None:
    with machine.up() as up:
        until(up, "Stop it with Ctrl-C.")
        pids = machine.pids()
        up.kill()
    try:
        second = invoke("up", environment=machine.environment)
        assert second.exit_code == 1
        assert "an earlier `kvctl up` was killed" in second.stderr
        assert f"gateway ({pids['gateway']})" in second.stderr
    finally:
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        while left_running(machine.data):
            time.sleep(0.02)
