"""What is asked before a command changes what cannot simply be changed back."""

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kvctl.endings import Ended, Ending

_Command = TypeVar("_Command", bound=Callable[..., Any])
YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")


def check_may_ask(yes: bool) -> None:
    """Refuses to go on where somebody has to be asked and nobody can be."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("not asking without a terminal; confirm with --yes")


def confirm(question: str, yes: bool) -> None:
    """Asks, unless `yes` was given; Ended where the answer is no."""
    if not yes and not click.confirm(question, err=True):
        raise Ended(Ending.USAGE, "not confirmed, and nothing was changed")
