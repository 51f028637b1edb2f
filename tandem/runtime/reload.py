"""Settings read again while a program runs: it takes what it can, or keeps the last good ones."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from tandem.core.settings_in_force import SettingsInForce
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.runtime.logs import Logger
from tandem.runtime.settings import Change, Loaded, change, load, read_sources
from tandem.runtime.telemetry import Metrics

T = TypeVar("T")


class Reloading(Generic[T]):
    """The settings of one program, from its start on.

    Args:
        named: what files that settings name hold, by setting: new content is a change as well.
            ConfigurationError when one cannot be used.
    """

    def __init__(
        self,
        declared: type[T],
        program: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        loaded: Loaded[T],
        *,
        clock: Clock,
        log: Logger,
        named: Callable[[T], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self._declared = declared
        self._program = program
        self._arguments = arguments
        self._environment = environment
        self._clock = clock
        self._log = log
        self._named = named
        self._readings = 0
        self._loaded = loaded
        self._contents = named(loaded.settings)
        self.in_force = SettingsInForce(clock.now_us())

    @property
    def settings(self) -> T:
        """Those in force."""
        return self._loaded.settings

    async def run(
        self,
        asked: asyncio.Event,
        take: Callable[[Loaded[T]], Awaitable[None]],
        tell: Callable[[SettingsInForce], None] = lambda _: None,
    ) -> None:
        """Reads them whenever `asked` is set, until cancelled; however often it is set while they
        are being read and taken, they are read once more.

        Args:
            take: goes over to other settings; ConfigurationError when it keeps those before.
            tell: hears what came of it.
        """
        while True:
            await asked.wait()
            asked.clear()
            await self.round(take)
            tell(self.in_force)

    async def round(self, take: Callable[[Loaded[T]], Awaitable[None]]) -> None:
        """Reads them once, and says in the log what came of it."""
        self._readings += 1
        read_us = self._clock.now_us()
        try:
            made, contents = await asyncio.to_thread(self._read)
            if made.taken:
                await take(made.loaded)
        except ConfigurationError as error:
            self._refuse(error.mistakes)
        except Exception as error:
            self._refuse([f"a fault of {self._program}: {error!r}"], error)
        else:
            self._loaded, self._contents = made.loaded, contents
            self.in_force = SettingsInForce(read_us, waiting=made.waiting)
            self._tell(made)

    def _read(self) -> tuple[Change[T], Mapping[str, str]]:
        sources = read_sources(self._arguments, self._environment, self._program)
        read = load(self._declared, self._program, sources)
        made = change(self._declared, self._program, self._loaded, read)
        if (made.taken or made.waiting) and sources.file is not None and not sources.file.strip():
            raise ConfigurationError(
                [f"{sources.file_name}: is empty, as one that is being written; a comment is not"]
            )
        contents = self._named(made.loaded.settings)
        renewed = tuple(
            f"{key}: the file holds something else now"
            for key, content in contents.items()
            if content != self._contents.get(key, content)
        )
        return replace(made, taken=(*made.taken, *renewed)), contents

    def _refuse(self, mistakes: Sequence[str], fault: Exception | None = None) -> None:
        self.in_force = replace(self.in_force, mistakes=tuple(mistakes))
        self._log.error(
            "settings_refused",
            operation=self._operation,
            mistakes=list(mistakes),
            effect="the last good settings stay in force",
            exc_info=fault,
        )

    def _tell(self, made: Change[T]) -> None:
        self._log.info("settings_read", changed=list(made.taken), waiting=list(made.waiting))
        if made.waiting:
            self._log.warning(
                "settings_need_a_restart", operation=self._operation, settings=list(made.waiting)
            )

    @property
    def _operation(self) -> str:
        """Keeps two readings apart, which are two events however soon they follow each other."""
        return f"reading {self._readings}"


def show_settings(metrics: Metrics, in_force: Callable[[], SettingsInForce]) -> None:
    """Shows them to whoever watches the program."""
    metrics.gauge(
        "tandem_settings_refused", "1 while the settings that were read last are not in force",
        lambda: float(bool(in_force().mistakes)),
    )  # fmt: skip
    metrics.gauge(
        "tandem_settings_waiting", "settings that wait for a restart",
        lambda: len(in_force().waiting),
    )  # fmt: skip
    metrics.gauge(
        "tandem_settings_read_seconds", "when the settings in force were read, since 1970",
        lambda: in_force().read_us / 1e6,
    )  # fmt: skip
