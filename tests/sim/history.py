"""What happened in a universe, line by line, for replay and for comparing two runs."""

import hashlib
from typing import Final

from tandem.backends.port import ScanPage
from tandem.backends.s3.exchange import HttpReply
from tandem.core.reply import Found, Missing, Stored, Superseded
from tandem.core.version import Version
from tests.sim.loop import VirtualLoop

NOTHING: Final = ("", 0.0)


class Crashed(BaseException):
    """Raised to whatever of a dead process still runs: it must not touch anything any more."""


class ConnectionLost(Exception):
    """The worker died before it answered: the outcome is unknown."""


class History:
    """Events in the order in which they happened; only counted unless `tracing`."""

    def __init__(self, loop: VirtualLoop, *, tracing: bool = False) -> None:
        self._loop = loop
        self.tracing = tracing
        self.lines: list[str] = []
        self.numbers: dict[Version, int] = {}
        """Of the writes with these versions."""
        self.applying = NOTHING
        """Over which link came what a home does now, and when it was sent."""

    @property
    def now_s(self) -> float:
        """The time of the loop."""
        return self._loop.time()

    def note(self, who: str, what: str) -> None:
        """Enters one line."""
        if self.tracing:
            self.lines.append(f"{self._loop.time():11.6f} {who:8} {what}")

    def called(
        self, who: str, what: str, name: str, version: Version | None, outcome: object
    ) -> None:
        """Enters what a home did for a call."""
        if self.tracing and not name.endswith("store-id"):
            which = "" if version is None else f" {self._named(version)}"
            self.note(who, f"{what} {name}{which} -> {self._shown(outcome)}")

    def _named(self, version: Version) -> str:
        number = self.numbers.get(version)
        return version.hex()[:16] if number is None else f"#{number}"

    def _shown(self, outcome: object) -> str:
        match outcome:
            case Found(record):
                return f"{record.kind.name} {self._named(record.version)}"
            case Missing() | Stored():
                return type(outcome).__name__
            case Superseded(newest):
                return f"superseded by {self._named(newest)}"
            case ScanPage(entries, next_after):
                return f"{len(entries)} names, next {next_after}"
            case HttpReply(status):
                return str(status)
            case _:
                return str(outcome)

    def digest(self) -> str:
        """Two histories are the same if their digests are."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
