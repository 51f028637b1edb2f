"""Files that may be replaced while a program runs: the last good ones are in use."""

import asyncio
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.tls.files import Contents, TlsFiles, read

LOOK_S: Final = 5.0
"""How soon replaced files are noticed."""
_LOG = logs.get("tls")
T = TypeVar("T")


class Watched(Generic[T]):
    """What is made of the files. New ones that cannot be read, do not fit together, or are not
    valid now change nothing, and are told: in `trouble`, and in the log."""

    def __init__(self, files: TlsFiles, make: Callable[[Contents], T], clock: Clock) -> None:
        """Blocking. Raises ConfigurationError when nothing good is there; `make` may raise
        ssl.SSLError and OSError for what it cannot use. An expired certificate is used when there
        is no better one: not every client looks at it."""
        self._files = files
        self._make = make
        self._clock = clock
        self._looked_us = clock.monotonic_us()
        self.trouble = ""
        self.contents = self._first()
        self.current = self._made(self.contents)
        self._keep()

    def look(self) -> None:
        """Uses the files if they have changed for the better; blocking."""
        self._looked_us = self._clock.monotonic_us()
        try:
            found = read(self._files)
            if not found.same(self.contents):
                if why := self._untimely(found):
                    raise ConfigurationError([why])
                self.current = self._made(found)
                self.contents = found
                self._keep()
                _LOG.info("certificate_replaced", **_words(found))
            self._tell(self._untimely(self.contents))
        except ConfigurationError as error:
            self._tell("; ".join(error.mistakes))

    def look_when_due(self) -> None:
        """The same, if the last look was a while ago: for those who have no task that looks."""
        if self._clock.monotonic_us() - self._looked_us > LOOK_S * 1e6:
            self.look()

    async def keep_looking(self) -> None:
        """Looks for ever; run it in a task."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def _first(self) -> Contents:
        """The files' contents; what is kept of good ones where it is better."""
        kept = self._files.kept()
        try:
            found = read(self._files)
        except ConfigurationError as error:
            if kept is None:
                raise
            self._tell("; ".join(error.mistakes))
            return read(kept)
        why = self._untimely(found)
        self._tell(why)
        return read(kept) if why and kept is not None else found

    def _made(self, contents: Contents) -> T:
        try:
            made = self._make(contents)
        except (ssl.SSLError, OSError) as error:
            names = ", ".join(filter(None, (contents.files.certificate, contents.files.ca)))
            raise ConfigurationError([f"tls: {names}: cannot be used: {error}"]) from None
        return made

    def _untimely(self, contents: Contents) -> str:
        """Why the certificate is of no use at this time; empty when it is."""
        shown, now_us = contents.shown, self._clock.now_us()
        if shown is None or shown.not_before_us <= now_us < shown.not_after_us:
            return ""
        expired = now_us >= shown.not_after_us
        word, at_us = (
            ("expired at", shown.not_after_us) if expired else
            ("is not valid before", shown.not_before_us)
        )  # fmt: skip
        return f"tls_certificate {contents.files.certificate}: {word} {_date(at_us)}"

    def _keep(self) -> None:
        if self.contents.files != self._files:
            return
        try:
            self._files.keep(self.contents, str(os.getpid()))
        except OSError as error:
            _LOG.warning("certificate_not_kept", why=str(error))

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            _LOG.error("certificate_trouble", why=trouble, effect="the last good one is in use")
        self.trouble = trouble


def _words(contents: Contents) -> dict[str, str]:
    shown = contents.shown
    if shown is None:
        return {"ca": contents.files.ca}
    return {
        "subject": shown.subject, "serial": shown.serial, "not_after": _date(shown.not_after_us),
    }  # fmt: skip


def _date(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
