"""How a program begins: its settings, its help, or every mistake in its configuration at once."""

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TypeVar

from tandem.runtime.settings.load import Loaded, SettingsError, load, read_sources
from tandem.runtime.settings.text import help_text

_Settings = TypeVar("_Settings")
MISTAKEN_STATUS = 2
"""How a program ends that its configuration keeps from starting; another try changes nothing."""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether somebody wants to know how, and not that anything begins."""
    return "--help" in arguments or "-h" in arguments


def settings_or_exit(
    settings: type[_Settings],
    section: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    program: str,
    about: str,
) -> Loaded[_Settings]:
    """The settings of a program. Raises SystemExit once it has printed its help or its version,
    which were asked for, or what is wrong with the configuration."""
    if asks_for_help(arguments):
        sys.stdout.write(help_text(settings, program, about))
        raise SystemExit(0)
    if "--version" in arguments:
        sys.stdout.write(f"{program}, version {version('tandem-kv')}\n")
        raise SystemExit(0)
    try:
        return load(settings, section, read_sources(arguments, environment, section))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(MISTAKEN_STATUS) from None
