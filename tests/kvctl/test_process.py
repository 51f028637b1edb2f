"""`kvctl` as a process: pipes, interruption, and the settings of `kvctl up`."""

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kvctl.serving import ARTICLES, Gateway

BINARY = bytes(range(256)) * 5000


def run(
    *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "kvctl.main", *arguments],
        input=stdin, capture_output=True, env={**os.environ, **(environment or {})}, check=False,
    )  # fmt: skip


def test_values_pass_through_pipes_unchanged(gateway: Gateway) -> None:
    put = run("key", "put", "k", "-", *ARTICLES, stdin=BINARY, environment=gateway.environment)
    assert (put.returncode, put.stderr) == (0, b"")
    got = run("key", "get", "k", *ARTICLES, environment=gateway.environment)
    assert (got.returncode, got.stdout, got.stderr) == (0, BINARY, b"")


def test_a_value_from_an_input_that_is_closed_is_not_an_empty_one(gateway: Gateway) -> None:
    arguments = ("key", "put", "k", "-", *ARTICLES)
    put = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "kvctl", *arguments],
        capture_output=True, env={**os.environ, **gateway.environment}, check=False,
    )  # fmt: skip
    assert (put.returncode, put.stdout) == (2, b"")
    assert put.stderr == b"kvctl: standard input: Bad file descriptor\n"


def test_names_are_utf_8_in_any_locale(gateway: Gateway) -> None:
    gateway.hold("naïve")
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    listed = run("key", "list", *ARTICLES, environment={**gateway.environment, **locale})
    assert listed.stdout == "naïve\n".encode()


def test_a_reader_that_has_seen_enough_ends_a_listing_quietly(gateway: Gateway) -> None:
    for number in range(5000):
        gateway.hold(f"{number:0500}")
    with gateway.process("key", "list", *ARTICLES) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_output_that_finds_no_room_is_told_in_a_line(gateway: Gateway) -> None:
    gateway.hold("k")
    for command, completion in (
        (("key", "list", *ARTICLES), ""),
        (("key", "list", "--json", *ARTICLES), ""),
        (("key", "get", "k", *ARTICLES), ""),
        (("--help",), ""),
        ((), "bash_source"),
    ):
        with Path("/dev/full").open("wb") as full:
            process = subprocess.run(
                [sys.executable, "-m", "kvctl", *command], stdout=full, stderr=subprocess.PIPE,
                env={**os.environ, **gateway.environment, "_KVCTL_COMPLETE": completion},
                check=False,
            )  # fmt: skip
        said = b"kvctl: the output cannot be written: No space left on device\n"
        assert (process.returncode, process.stderr) == (1, said)


def test_ctrl_c_before_kvctl_is_loaded_ends_it_without_a_word() -> None:
    program = """
import signal, sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "kvctl.main":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from kvctl.__main__ import main
sys.exit(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


def test_a_terminal_gets_no_control_characters(gateway: Gateway) -> None:
    gateway.hold("a\x1b[31mb\nc")
    ours, theirs = pty.openpty()
    process = subprocess.run(
        [sys.executable, "-m", "kvctl.main", "key", "list", *ARTICLES],
        stdout=theirs, env={**os.environ, **gateway.environment}, check=False,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1000)
    os.close(ours)
    assert (process.returncode, shown) == (0, b"a\\x1b[31mb\\nc\r\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_an_import_that_is_interrupted_says_how_far_it_came(
    gateway: Gateway, tmp_path: Path, number: signal.Signals
) -> None:
    for name in range(3000):
        (tmp_path / str(name)).write_bytes(b"%d" % name * 1000)
    with gateway.process("import", str(tmp_path), *ARTICLES) as process:
        while len(gateway.store.records) < 100:
            assert process.poll() is None
        gateway.store.held = []  # so that the import cannot end before the signal
        process.send_signal(number)
        out, err = process.communicate()
    assert process.returncode == 130
    assert out.startswith(b"interrupted after ")
    assert err == b""
    assert 100 <= len(gateway.store.records) < 3000
    for key, record in gateway.store.records.items():
        assert record.value == (tmp_path / key.name).read_bytes()


def test_a_terminal_is_shown_the_progress(gateway: Gateway, tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x" * 1000)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "kvctl.main", "import", str(tmp_path), *ARTICLES],
        stdout=subprocess.PIPE, stderr=theirs,
        env={**os.environ, **gateway.environment, "TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = _all_shown(ours)
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"20 files in ")
    assert b"20/20" in shown


def _all_shown(terminal: int) -> bytes:
    """What is shown there until no process has it; the longer an import takes, the more it is."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen, suppress(OSError):  # its end, on Linux
        while piece := screen.read(4096):
            shown += piece
    return shown


def test_watch_shows_the_status_until_it_is_interrupted(gateway: Gateway) -> None:
    with gateway.process("status", "--watch", "--every", "100ms", "--json") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert all(line.startswith(b'{"gateway_id": ') for line in lines)


def test_sigterm_ends_what_ctrl_c_does_not_reach(gateway: Gateway) -> None:
    """As the jobs that a script has in the background."""
    watch = ("status", "--watch", "--every", "100ms")
    with subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-m", "kvctl", *watch],
        stdout=subprocess.PIPE, env={**os.environ, **gateway.environment},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        try:
            assert process.wait(60) == -signal.SIGTERM
        finally:
            process.kill()


def test_watch_outlives_a_gateway_that_is_away(gateway: Gateway) -> None:
    with gateway.process("status", "--watch", "--every", "100ms", "--timeout", "2s") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        gateway.complete(gateway.stop())
        assert process.stderr.readline().startswith(b"kvctl: no answer: ")
        gateway.complete(gateway.start())
        while b"gateway-1" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130


def test_up_names_every_mistake_and_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "tandem.toml"
    config.write_text("[kvctl]\nstrat = 1\n")
    result = run(
        "up", "--grpc", "nowhere", "--dta=x", "--config", str(config),
        environment={"TANDEM_DATA": str(tmp_path / "data"), "TANDEM_HTTP": "1"},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (2, b"")
    said = result.stderr.decode()
    assert said.startswith("kvctl: 4 mistakes in the configuration, nothing was started:\n")
    for mistake in ('--grpc "nowhere"', "--dta", 'TANDEM_HTTP "1"', "[kvctl] strat"):
        assert mistake in said
    assert not (tmp_path / "data").exists()


def test_up_does_not_start_where_somebody_listens(gateway: Gateway, tmp_path: Path) -> None:
    result = run("up", "--data", str(tmp_path), environment=gateway.environment)
    assert result.returncode == 1
    assert f"{gateway.address} is in use already".encode() in result.stderr


def test_completion_is_there_for_a_shell() -> None:
    script = run(environment={"_KVCTL_COMPLETE": "bash_source"})
    assert script.returncode == 0
    assert b"complete" in script.stdout
