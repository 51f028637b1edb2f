"""What a machine, or a session, knows, and must not go back behind."""

from dataclasses import dataclass, field
from typing import Final

from tandem.core.key import Key
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.request import ReadResult
from tandem.core.version import NO_VERSION, Version

_LANDS_S: Final = LEG_DEADLINE_S + 1.0
"""By then what a write has left unequal is in the repair queue."""


@dataclass(slots=True)
class Scope:
    """What a machine, or a session with a token, must not go back behind."""

    name: str
    demands: bool = False
    """Whether its reads demand what it knows; else a machine's memory must, which ends."""
    floors: dict[Key, Version] = field(default_factory=dict)
    written: dict[Key, Version] = field(default_factory=dict)
    """The same from writes alone."""
    seen: dict[Key, set[int]] = field(default_factory=dict)
    """Operations that were acknowledged or read here."""
    shown_s: dict[Key, float] = field(default_factory=dict)
    """When a read began that some home answered with as much as is known."""
    buried: dict[Key, set[int]] = field(default_factory=dict)
    """Operations that were seen before a write began that is acknowledged now."""
    forgot: int = 0
    """How often its cache was lost."""
    emptied_s: float = float("-inf")
    """When its memory was last emptied while it went on."""

    def forget_reads(self) -> None:
        """The cache is gone: only what was written here is still promised."""
        self.forgot += 1
        self.floors = dict(self.written)

    def empty(self, now_s: float) -> None:
        """Its memory knows nothing of the writes that are under way any more: until they have
        landed, what one home alone says is told with a mark."""
        self.forget_reads()
        self.emptied_s = now_s

    def is_emptied(self, now_s: float) -> bool:
        """Whether its memory was emptied so lately."""
        return now_s - self.emptied_s < _LANDS_S

    def forget_all(self) -> None:
        """The disk is gone too: only what both homes have, or a crawl has made equal, is known."""
        self.forgot += 1
        for known in (self.floors, self.written, self.seen, self.buried, self.shown_s):
            known.clear()

    def shown(self, key: Key, result: ReadResult, began_s: float) -> None:
        """A read has found this."""
        if not (result.cached or result.stale) and result.version >= self.floors.get(
            key, NO_VERSION
        ):
            self.shown_s[key] = began_s
        self.raise_floor(key, result.version)

    def is_past(self, key: Key, stamped_s: float, before_s: float) -> bool:
        """Whether nobody need remember what it knows, stamped then: no home has shown it since."""
        return not self.demands and max(self.shown_s.get(key, 0.0), stamped_s) < before_s

    def raise_floor(self, key: Key, version: Version) -> None:
        if version > self.floors.get(key, NO_VERSION):
            self.floors[key] = version
