"""Where a command finds the gateway, how it ends, and what its help says."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import click
import grpc
import pytest

from kvctl.endings import ending_of
from kvctl.main import cli
from tandem.errors import Overloaded, TandemError, Unavailable
from tandem.runtime.settings import Address
from tests.kvctl.serving import ARTICLES, Gateway, invoke


@contextmanager
def http_server() -> Iterator[str]:
    """Where HTTP is spoken."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield "{}:{}".format(*server.server_address)
        server.shutdown()
        thread.join()


@contextmanager
def rpc_server() -> Iterator[str]:
    """Where gRPC is spoken, and none of our services is there."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_options_stand_before_or_behind_the_command(gateway: Gateway) -> None:
    at = ("--gateway", gateway.address)
    elsewhere = ("--gateway", "127.0.0.1:1")
    assert invoke(*at, "--json", "status").stdout.startswith("{")
    assert invoke("status", *at, "--json").stdout.startswith("{")
    assert invoke(*elsewhere, "status", *at).exit_code == 0
    assert invoke(*at, "status", *elsewhere).exit_code == 3


def test_the_address_comes_from_where_up_would_listen(gateway: Gateway, tmp_path: Path) -> None:
    config = tmp_path / "tandem.toml"
    config.write_text(f'grpc_address = "{gateway.address}"\n')
    assert invoke("status", environment={"TANDEM_CONFIG": str(config)}).exit_code == 0
    wrong = invoke("status", environment={"TANDEM_GRPC": "x", "TANDEM_LOG_LEVEL": "loud"})
    assert wrong.exit_code == 2
    assert 'TANDEM_GRPC "x": expected host:port' in wrong.stderr
    assert 'TANDEM_LOG_LEVEL "loud": expected one of' in wrong.stderr


def test_a_gateway_that_is_not_there_is_told_at_once(gateway: Gateway) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unheard.getsockname()[1]}"
        result = invoke("status", environment={"TANDEM_GRPC": address})
    assert result.exit_code == 3
    assert result.stderr == (
        f"kvctl: no gateway at {address}: connection refused\n"
        "Start one with `kvctl up`, or name another one with --gateway HOST:PORT or TANDEM_GRPC.\n"
    )


def test_a_host_that_is_not_known_is_told_without_numbers() -> None:
    result = invoke("status", "--gateway", "no-such-host.invalid:8781")
    assert result.exit_code == 3
    assert result.stderr.startswith("kvctl: no gateway at no-such-host.invalid:8781: ")
    assert "Errno" not in result.stderr


@pytest.mark.usefixtures("at_once")
def test_a_port_where_no_grpc_is_spoken_is_told_from_the_right_one() -> None:
    with http_server() as address:
        health = invoke("health", "--gateway", address, "--timeout", "60s")
        crawler = invoke("crawl", "status", "--crawler", address, "--timeout", "60s")
    assert f"kvctl: no crawler at {address}: gRPC is not spoken there\n" in crawler.stderr
    assert health.stdout == f"{address}: UNAVAILABLE: gRPC is not spoken there\n"
    theirs = "failed to connect to all addresses; last error: INTERNAL: Failed parsing HTTP/2 (80)"
    ending = ending_of(Unavailable(theirs), Address("gw", 8780))
    assert ending.exit_code == 3
    assert ending.message.startswith(
        "the gateway at gw:8780 takes no connection: gRPC is not spoken there\n"
        "Is that its gRPC port (8781 by default)?"
    )


def test_a_server_without_the_services_of_a_gateway_is_none() -> None:
    with rpc_server() as address:
        result = invoke("status", "--gateway", address, "--timeout", "60s")
    assert result.exit_code == 3
    assert f"at {address} is no gateway, or one of another version" in result.stderr


@pytest.mark.parametrize("text", ["0", "0ms", "soon", "-1s"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_timeout_in_which_nobody_can_answer_is_refused(text: str, place: int) -> None:
    arguments = ["status"]
    arguments[place:place] = ["--timeout", text]
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert f'kvctl: --timeout: "{text}": ' in result.stderr


def test_somebody_who_never_answers_is_given_up_after_the_timeout() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        result = invoke("status", "--timeout", "200ms", environment={"TANDEM_GRPC": address})
    assert result.exit_code == 3
    assert f"the gateway at {address} did not answer in time" in result.stderr
    assert "may still be changed" in result.stderr


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Unavailable("kvsp: timeout; s3: timeout"), "could not answer: kvsp: timeout; s3: timeout"),
        (Overloaded("20000 writes wait"), "has too much to do: 20000 writes wait"),
        (TandemError("odd"), "could not answer: INTERNAL: unexpected failure inside; the log"),
    ],
)
def test_a_gateway_that_cannot_answer_is_status_3(
    gateway: Gateway, failure: TandemError, message: str
) -> None:
    gateway.store.failure = failure
    result = gateway.kvctl("key", "put", "k", "v", *ARTICLES)
    assert result.exit_code == 3
    assert message in result.stderr


def test_health_follows_the_health_service(gateway: Gateway) -> None:
    serving = gateway.kvctl("health")
    assert (serving.exit_code, serving.stdout) == (0, f"{gateway.address}: SERVING\n")
    gateway.complete(gateway.server.set_ready(False))
    starting = gateway.kvctl("health")
    assert (starting.exit_code, starting.stdout) == (1, f"{gateway.address}: NOT_SERVING\n")
    absent = invoke("health", "--json", "--gateway", "127.0.0.1:1", "--timeout", "500ms")
    assert absent.exit_code == 1
    assert '"serving": false' in absent.stdout


def commands(
    group: click.Group = cli, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """All commands with their full names."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


def groups() -> list[tuple[str, ...]]:
    """All commands that have commands of their own."""
    return sorted({path[:-1] for path, _ in commands()} - {()})


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_each_command_has_help_and_takes_json(path: tuple[str, ...]) -> None:
    shown = invoke(*path, "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.stdout


@pytest.mark.parametrize("path", [(), *groups()], ids=" ".join)
def test_the_help_of_a_group_says_in_whole_sentences_what_each_command_does(
    path: tuple[str, ...],
) -> None:
    listed = invoke(*path, "--help").stdout.partition("Commands:")[2].partition("Exit status")[0]
    assert listed
    assert "..." not in listed


def test_the_help_names_the_exit_statuses() -> None:
    shown = invoke("--help").stdout
    for line in ("1    the answer is no", "2    the command was given wrongly", "3    no gateway"):
        assert line in shown


@pytest.mark.parametrize(("path", "command"), commands(), ids=lambda value: str(value))
def test_each_command_and_option_is_documented(
    path: tuple[str, ...], command: click.Command
) -> None:
    text = (Path(__file__).parents[2] / "docs/kvctl.md").read_text()
    assert f"kvctl {' '.join(path)}" in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in text, parameter.opts
