"""What another reading of its settings means for a program that runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from tandem.runtime.settings.fields import settings_of
from tandem.runtime.settings.load import Loaded, Sources, load

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """Each setting that was read with another value is either in `taken` or in `waiting`."""

    loaded: Loaded[T]
    """What the program goes by once it has taken the change."""
    taken: tuple[str, ...]
    """What is new in there, for the log: "cache_ttl: 1min, now 2min"."""
    waiting: tuple[str, ...]
    """The names of the settings that keep their value until a restart."""


def change(declared: type[T], program: str, running: Loaded[T], read: Loaded[T]) -> Change[T]:
    """From the settings that a program runs with to those that were read.

    Raises SettingsError when what is taken does not go with what has to wait.
    """
    texts, taken, waiting = dict(running.texts), [], []
    for setting in settings_of(declared):
        before = getattr(running.settings, setting.field)
        after = getattr(read.settings, setting.field)
        if not setting.reload:
            if after != before:
                waiting.append(setting.key)
            continue
        texts.pop(setting.field, None)
        if setting.field in read.texts:
            texts[setting.field] = read.texts[setting.field]
        if after != before:
            taken.append(f"{setting.key}: {setting.shown(before)}, now {setting.shown(after)}")
    environment = environment_of(declared, texts)
    loaded = load(declared, program, Sources(environ=environment))
    return Change(loaded, tuple(taken), tuple(waiting))


def environment_of(declared: type, texts: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that give another process of a program the values of these `Loaded.texts`."""
    return {
        setting.env: texts[setting.field]
        for setting in settings_of(declared)
        if setting.field in texts
    }
