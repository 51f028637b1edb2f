"""How each namespace is written and read, as this process sees it."""

from typing import Protocol

from tandem.core.mode import Mode
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy


class View(Protocol):
    """What readers, writers, listers and repair go by."""

    def policy_of(self, namespace: str) -> AckPolicy:
        """How writes are acknowledged."""
        ...

    def read_mode_of(self, namespace: str) -> ReadMode:
        """Which homes are asked first."""
        ...

    def mode_of(self, namespace: str) -> Mode:
        """Which homes a namespace is written to, and which of them answer."""
        ...

    def behind(self, namespace: str) -> tuple[Side, ...]:
        """The homes that may lack writes, so they must give no first answer."""
        ...
