"""Where a command finds the gateway, how it ends, and what its help says."""

import socket
from pathlib import Path

import click
import pytest

from kvctl.main import cli
from tandem.errors import Overloaded, TandemError, Unavailable
from tests.kvctl.serving import ARTICLES, Gateway, invoke


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


def test_somebody_who_never_answers_is_given_up_after_the_timeout() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        result = invoke("status", "--timeout", "200ms", environment={"TANDEM_GRPC": address})
    assert result.exit_code == 3
    assert f"the gateway at {address} could not answer" in result.stderr


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (Unavailable("kvsp: timeout; s3: timeout"), "could not answer: kvsp: timeout; s3: timeout"),
        (Overloaded("20000 writes wait"), "has too much to do: 20000 writes wait"),
        (TandemError("odd"), "could not answer: the gateway answered INTERNAL"),
    ],
)
def test_a_gateway_that_cannot_answer_is_status_3(
    gateway: Gateway, failure: TandemError, message: str
) -> None:
    gateway.store.failure = failure
    result = gateway.kvctl("key", "put", "k", "v", *ARTICLES, "--timeout", "2s")
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


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_each_command_has_help_and_takes_json(path: tuple[str, ...]) -> None:
    shown = invoke(*path, "--help")
    assert shown.exit_code == 0
    assert "--json" in shown.stdout


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
