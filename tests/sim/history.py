"""What happened in a universe, line by line, for replay and for comparing two runs."""

import hashlib

from tests.sim.loop import VirtualLoop


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

    def note(self, who: str, what: str) -> None:
        """Enters one line."""
        if self.tracing:
            self.lines.append(f"{self._loop.time():11.6f} {who:8} {what}")

    def digest(self) -> str:
        """Two histories are the same if their digests are."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
