"""One frozen dataclass per program, filled from flags, environment and one TOML file for all."""

from tandem.runtime.settings import shared
from tandem.runtime.settings.change import Change, change, environment_of
from tandem.runtime.settings.command_line import MISTAKEN_STATUS, asks_for_help, settings_or_exit
from tandem.runtime.settings.fields import Relation, setting, settings_of
from tandem.runtime.settings.kinds import (
    ADDRESS,
    BOOLEAN,
    DURATION_S,
    NUMBER,
    OPTIONAL_ADDRESS,
    OPTIONAL_TEXT,
    PATH,
    SIZE,
    TEXT,
    WHOLE,
    Address,
    Kind,
    choice,
)
from tandem.runtime.settings.load import (
    Loaded,
    SettingsError,
    Sources,
    load,
    read_sources,
)
from tandem.runtime.settings.text import docs_table, help_text

__all__ = [
    "ADDRESS",
    "BOOLEAN",
    "DURATION_S",
    "MISTAKEN_STATUS",
    "NUMBER",
    "OPTIONAL_ADDRESS",
    "OPTIONAL_TEXT",
    "PATH",
    "SIZE",
    "TEXT",
    "WHOLE",
    "Address",
    "Change",
    "Kind",
    "Loaded",
    "Relation",
    "SettingsError",
    "Sources",
    "asks_for_help",
    "change",
    "choice",
    "docs_table",
    "environment_of",
    "help_text",
    "load",
    "read_sources",
    "setting",
    "settings_of",
    "settings_or_exit",
    "shared",
]
