"""`kvctl up` as a command: its flags are settings, so every mistake is told at once."""

import asyncio
from pathlib import Path

import click

from kvctl.asking import Surroundings
from kvctl.endings import Ended, Ending
from kvctl.output import print_json, print_line
from kvctl.settings import UpSettings, environment_for_parts
from kvctl.up import CannotStart, up
from tandem.runtime.settings import SettingsError, asks_for_help, help_text, load, read_sources
from tandem.runtime.settings.load import CONFIG_ENV

_ABOUT = (
    "Runs all of Tandem on this machine until Ctrl-C: KVSP, the gateway and the crawler, with a\n"
    "data directory and logs. The parts read the same file and variables. --json prints what\n"
    "happens as one JSON object a line."
)


@click.command(
    "up",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Run all of Tandem on this machine; `kvctl up --help` lists its settings.",
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def up_command(surroundings: Surroundings, flags: tuple[str, ...]) -> None:
    """Run all of Tandem on this machine."""
    if asks_for_help(flags):
        click.echo(help_text(UpSettings, "kvctl up", _ABOUT), nl=False)
        return
    arguments = [flag for flag in flags if flag != "--json"]
    environment = dict(surroundings.environment)
    try:
        sources = read_sources(arguments, environment, "kvctl")
        loaded = load(UpSettings, "kvctl", sources)
    except SettingsError as error:
        raise Ended(Ending.USAGE, str(error).removeprefix("kvctl: ")) from None
    if sources.file_name:
        environment[CONFIG_ENV] = str(Path(sources.file_name).resolve())
    environment.update(environment_for_parts(loaded))
    say = _say_json if len(arguments) < len(flags) else print_line
    try:
        status = asyncio.run(up(loaded.settings, environment, surroundings.clock, say))
    except CannotStart as error:
        raise Ended(Ending(error.status), str(error)) from None
    raise click.exceptions.Exit(status)


def _say_json(text: str) -> None:
    print_json({"message": text})
