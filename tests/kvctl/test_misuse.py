"""Whatever is given wrongly is told in one style: what is wrong, where, and what is right."""

import shlex
from collections.abc import Callable, Iterator

import click
import pytest
from click.testing import CliRunner, Result

from kvctl.asking import Surroundings
from kvctl.confirming import confirm
from kvctl.main import cli
from kvctl.misuse import Commands
from tandem.runtime.clock import SystemClock


def _result(command: str) -> Result:
    surroundings = Surroundings({}, SystemClock())
    return CliRunner().invoke(cli, shlex.split(command), prog_name="kvctl", obj=surroundings)


@pytest.mark.parametrize(
    ("command", "says", "see"),
    [
        ("key put", "NAME: missing", "kvctl key put"),
        ("token create", "--name: missing", "kvctl token create"),
        ("key get -n x a b", "got unexpected extra argument (b)", "kvctl key get"),
        ("nonsense", "no such command 'nonsense'", "kvctl"),
        ("--nope status", "--nope: unknown flag", "kvctl"),
        ("key list --limt 3", "--limt: unknown flag; did you mean --limit", "kvctl key list"),
        (
            "namespace configure x --ack foo",
            "--ack: 'foo' is not one of 'first', 'first+intent', 'both'",
            "kvctl namespace configure",
        ),
        ("key list -n n --limit 0", "--limit: 0 is below 1", "kvctl key list"),
        ("queue --limit 1001", "--limit: 1001 is not from 1 to 1000", "kvctl queue"),
        ("adversary --seconds 0", "--seconds: 0.0 is not above 0", "kvctl adversary"),
        ("adversary --puts nan", "--puts: 'nan' is not a number", "kvctl adversary"),
        (
            "drift report --days 0",
            "--days: 0.0 is not above 0 and up to 36500",
            "kvctl drift report",
        ),
        ("key list -n n --limit x", "--limit: 'x' is not a whole number", "kvctl key list"),
        ("backend disable foo", "HOME: 'foo' is not one of", "kvctl backend disable"),
        ("--gateway foo status", '--gateway: "foo": expected host:port, such as', "kvctl"),
        ("key put n v --ttl x", '--ttl: "x": expected a duration such as', "kvctl key put"),
        ("key put n v -n n --ttl 60 --expires-at 5", "exclude each other", "kvctl key put"),
        ("import /no/such/place -n n", "DIR: directory '/no/such/place' does", "kvctl import"),
        ("export '' -n n", "an empty DIR is no directory", "kvctl export"),
        (
            "adversary --evidence /no/x",
            "--evidence: no file can be written to /no",
            "kvctl adversary",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_where_to_look(command: str, says: str, see: str) -> None:
    result = _result(command)
    assert result.exit_code == 2
    first, second = result.output.splitlines()
    assert first.startswith("kvctl: ")
    assert says in first
    assert not first.endswith(".")
    assert second == f"See `{see} --help`."


def test_a_group_without_a_command_shows_its_help() -> None:
    assert "Commands:" in _result("key").output
    assert _result("--version").output.startswith("kvctl, version")


def _interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("work", "typed", "status", "says"),
    [
        (lambda: confirm("Go on?", yes=False), "y\n", 0, "Go on? [y/N]: "),
        (lambda: confirm("Go on?", yes=True), "", 0, ""),
        (lambda: confirm("Go on?", yes=False), "n\n", 2, "not confirmed, and nothing was changed"),
        (lambda: confirm("Go on?", yes=False), "", 130, "Go on? [y/N]: "),  # as Ctrl-C there
        (_interrupted, "", 130, "\n"),
    ],
)
def test_a_no_and_ctrl_c_have_statuses_of_their_own(
    work: Callable[[], None], typed: str, status: int, says: str
) -> None:
    group = Commands("kvctl", commands={"work": click.Command("work", callback=work)})
    result = CliRunner().invoke(group, ["work"], input=typed)
    assert result.exit_code == status
    assert says in result.stderr
    assert result.stdout == ""


def _all_commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _all_commands(one, f"{path} {name}")


def test_every_command_and_option_says_what_it_is_for() -> None:
    silent = []
    for path, command in _all_commands(cli, "kvctl"):
        options = [one for one in command.params if isinstance(one, click.Option)]
        silent += [path] * (not command.help)
        silent += [f"{path} --{one.name}" for one in options if not one.help]
    assert silent == []
