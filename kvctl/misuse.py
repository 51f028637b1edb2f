"""One style for all that is given wrongly: what is wrong, in which argument, and what is right.

click has another one, with the usage of the command above every mistake; and Ctrl-C, where no loop
runs, is to it a failure like others.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from kvctl.endings import Ended, Ending

_CLICKS: Final = (click.ClickException.show, click.UsageError.show)
_RANGES: Final = (
    (re.compile(r"not in the range (\S+)<=x<=(\S+)"), r"not from \1 to \2"),
    (re.compile(r"not in the range (\S+)<x<=(\S+)"), r"not above \1 and up to \2"),
    (re.compile(r"not in the range x>=(\S+)"), r"below \1"),
    (re.compile(r"not in the range x>(\S+)"), r"not above \1"),
)


class Commands(click.Group):
    """The group above all commands."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:  # fmt: skip
        """As click's; raises `Ended` for what is given wrongly before the command's name."""
        with _in_our_style():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """As click's; raises `Ended` for what is given wrongly from there on."""
        with _in_our_style():
            return super().invoke(ctx)


@contextmanager
def _in_our_style() -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        if type(error).show not in _CLICKS:  # `Ended`, and the help of a group
            raise
        context = error.ctx if isinstance(error, click.UsageError) else None
        advice = f"\nSee `{context.command_path} --help`." if context else ""
        raise Ended(Ending(error.exit_code), _words(error) + advice) from None
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        raise click.exceptions.Exit(int(Ending.INTERRUPTED)) from None


def _words(error: click.ClickException) -> str:
    match error:
        case click.MissingParameter(param=click.Parameter() as parameter):
            return f"{_name(parameter)}: missing"
        case click.BadParameter(param=click.Parameter() as parameter):
            return f"{_name(parameter)}: {_clause(error.message)}"
        case click.NoSuchOption(option_name=name, possibilities=near):
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            return f"{name}: unknown flag{hint}"
        case _:
            return _clause(error.format_message())


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.human_readable_name


def _clause(sentence: str) -> str:
    """click's sentence as what follows a colon; to it, numbers are integers."""
    text = sentence.replace("a valid integer range", "a whole number")
    text = text.replace("a valid integer", "a whole number").replace(". Did you", "; did you")
    text = (text[:1].lower() + text[1:]).removesuffix(".")
    for given, ours in _RANGES:
        text = given.sub(ours, text)
    return text
