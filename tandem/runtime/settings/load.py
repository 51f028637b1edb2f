"""Flags over environment over file over default; every mistake is reported at once.

`load` is pure: it takes the three sources as values, so that a reload is the same call again and a
process whose new configuration is wrong keeps the one it has.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from tandem.errors import ConfigurationError
from tandem.runtime.settings.fields import PROGRAMS, SHARED_KEYS, Setting, settings_of
from tandem.runtime.settings.toml_file import lines_of, other_form, text_of

T = TypeVar("T")

CONFIG_FLAG = "--config"
CONFIG_ENV = "TANDEM_CONFIG"
_DEFAULT = "default"


class SettingsError(ConfigurationError):
    """All mistakes of a program's settings, each with its source and what was expected."""

    def __init__(self, program: str, mistakes: Sequence[str]) -> None:
        super().__init__(mistakes)
        self._program = program

    def __str__(self) -> str:
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in self.mistakes)
        return f"{self._program}: {count} in the configuration, nothing was started:{lines}"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a configuration is made from: arguments, environment, and the file if there is one."""

    argv: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    file: bytes | None = None
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T]):
    settings: T
    origins: Mapping[str, str]  # field -> where its value came from
    texts: Mapping[str, str]  # field -> its value as it was written, unless it is the default

    def is_given(self, field: str) -> bool:
        """Whether somebody has said what this is, be it the default."""
        return self.origins[field] != _DEFAULT


def read_sources(argv: Sequence[str], environ: Mapping[str, str], program: str) -> Sources:
    """The sources with the file that `--config` or TANDEM_CONFIG names; the only IO here."""
    name = _config_flag(argv) or environ.get(CONFIG_ENV)
    if not name:
        return Sources(argv, environ)
    try:
        return Sources(argv, environ, Path(name).read_bytes(), name)
    except OSError as error:
        raise SettingsError(program, [f"{name}: cannot be read: {error.strerror}"]) from error


def load(declared: type[T], program: str, sources: Sources) -> Loaded[T]:
    """The settings of `program` (its table's name in the file); raises `SettingsError`."""
    return _Loading(declared, program, sources).result()


def _config_flag(argv: Sequence[str]) -> str | None:
    for at, argument in enumerate(argv):
        if argument == CONFIG_FLAG:
            return argv[at + 1] if at + 1 < len(argv) else None
        if argument.startswith(CONFIG_FLAG + "="):
            return argument.partition("=")[2]
    return None


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


class _Loading(Generic[T]):
    def __init__(self, declared: type[T], program: str, sources: Sources) -> None:
        self._declared = declared
        self._program = program
        self._sources = sources
        self._settings = settings_of(declared)
        self._mistakes: list[str] = []
        self._failed: set[str] = set()
        self._values: dict[str, Any] = {}
        self._origins: dict[str, str] = {setting.field: _DEFAULT for setting in self._settings}
        self._texts: dict[str, str] = {}
        self._lines: Mapping[tuple[str, str], int] = {}

    def result(self) -> Loaded[T]:
        # Lowest first: what comes later replaces what came before. All are parsed, so that a
        # mistake in the file is told even where a flag hides it.
        self._from_file()
        self._from_environment()
        self._from_flags()
        settings = self._declared(**self._values)
        self._check_relations(settings)
        if self._mistakes:
            raise SettingsError(self._program, self._mistakes)
        return Loaded(settings, self._origins, self._texts)

    def _take(self, setting: Setting, text: str, source: str) -> None:
        try:
            self._values[setting.field] = setting.parse(text)
            self._texts[setting.field] = text
            self._origins[setting.field] = source
        except (ValueError, OverflowError):
            self._refuse(setting, f'"{text}"', source)

    def _refuse(self, setting: Setting, given: str, source: str, form: str = "") -> None:
        shown = "(hidden)" if setting.secret else given
        self._mistakes.append(f"{source} {shown}: expected {setting.expected}{form}")
        self._failed.add(setting.field)

    def _from_environment(self) -> None:
        for setting in self._settings:
            text = self._sources.environ.get(setting.env)
            if text is not None:
                self._take(setting, text, setting.env)

    def _from_flags(self) -> None:
        known = {setting.flag: setting for setting in self._settings}
        seen: set[str] = set()
        rest = list(self._sources.argv)
        while rest:
            argument = rest.pop(0)
            name, equals, text = argument.partition("=")
            setting = known.get(name)
            if setting is None and name != CONFIG_FLAG:
                hint = _suggestion(name, [*known, CONFIG_FLAG])
                what = "unknown flag" if name.startswith("-") else "unexpected argument"
                self._mistakes.append(f"{name}: {what}{hint}")
                if name.startswith("--") and not equals and rest and not rest[0].startswith("-"):
                    rest.pop(0)  # its value is not a second mistake
                continue
            if name in seen:
                self._mistakes.append(f"{name}: given twice")
            seen.add(name)
            if not equals:
                if not rest or rest[0].startswith("--"):
                    expected = setting.expected if setting else "the path of a file"
                    self._mistakes.append(f"{name}: has no value; expected {expected}")
                    continue
                text = rest.pop(0)
            if setting is not None:
                self._take(setting, text, name)

    def _from_file(self) -> None:
        if self._sources.file is None:
            return
        try:
            text = self._sources.file.decode("utf-8")
            document = tomllib.loads(text)
        except ValueError as error:
            self._mistakes.append(f"{self._sources.file_name}: not TOML: {error}")
            return
        self._lines = lines_of(text)
        own = document.pop(self._program, {})
        if not isinstance(own, dict):
            self._mistakes.append(f"{self._at('', self._program)} must be a table")
            own = {}
        self._take_table(own, self._program)
        foreign = {
            name for name, value in document.items() if name in PROGRAMS and isinstance(value, dict)
        }
        self._take_table({name: document[name] for name in document if name not in foreign}, "")

    def _at(self, table: str, name: str) -> str:
        line = self._lines.get((table, name))
        at = f"{self._sources.file_name}:{line}" if line else self._sources.file_name
        return f"{at}: [{table}] {name}" if table else f"{at}: {name}"

    def _take_table(self, content: Mapping[str, object], table: str) -> None:
        shared = not table
        known = {setting.key: setting for setting in self._settings if setting.shared is shared}
        for name, value in content.items():
            source = self._at(table, name)
            setting = known.get(name)
            if setting is None:
                if not (shared and name in SHARED_KEYS):
                    others = [*known, *(PROGRAMS if shared else ())]
                    hint = self._place_of(name) or _suggestion(name, others)
                    self._mistakes.append(f"{source}: unknown setting{hint}")
            elif type(value) in setting.kind.types:
                self._take(setting, text_of(value), source)
            else:
                given = f'"{value}"' if isinstance(value, str) else text_of(value)
                self._refuse(setting, given, source, other_form(setting.kind, value))

    def _place_of(self, name: str) -> str:
        """Where a setting stands that is called so by its flag, or belongs to the other table."""
        for setting in self._settings:
            if name in {setting.key, setting.flag.removeprefix("--").replace("-", "_")}:
                place = (
                    f"{setting.key}, above the tables"
                    if setting.shared
                    else (f"{setting.key} in [{self._program}]")
                )
                return f"; did you mean {place}?"
        return ""

    def _check_relations(self, settings: T) -> None:
        check = getattr(settings, "check", None)
        for relation in check() if check is not None else ():
            if self._failed.isdisjoint(relation.fields):
                by_name = {setting.field: setting for setting in self._settings}
                sources = ", ".join(
                    f"{by_name[name].key} ({self._origins[name]})" for name in relation.fields
                )
                self._mistakes.append(f"{sources}: {relation.must}")
