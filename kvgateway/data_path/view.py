"""How each namespace is written and read: as the registry says, while this process may go by it.

A process whose registration does not stand does not know which mode is in force: steps may have
been taken without it. What it does then is right in all of them. It writes to both homes and
acknowledges what both have confirmed, so that whoever may answer has the write; and it takes both
homes for behind, so that reads wait for both and the newer record is the answer.
"""

from collections.abc import Callable

from kvgateway.homes.trust import Trust
from kvgateway.registry.namespaces import Registry
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.mode import ACTIVE, Mode
from tandem.core.reading import ReadMode
from tandem.core.reply import BOTH_SIDES, Side
from tandem.core.write_race import AckPolicy


class View:
    """What readers, writers and repair go by; `go_by` comes before the first of their requests."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def go_by(self, registry: Registry, stands: Callable[[], bool]) -> None:
        """The registry, which reads by this view itself, and whether the registration stands."""
        self._registry = registry
        self._stands = stands

    def policy_of(self, namespace: str) -> AckPolicy:
        """How writes are acknowledged."""
        if self._stands() or namespace in RESERVED_NAMESPACES:
            return self._registry.policy_of(namespace)
        return AckPolicy.BOTH

    def read_mode_of(self, namespace: str) -> ReadMode:
        """Which homes are asked first."""
        return self._registry.read_mode_of(namespace) if self._stands() else ReadMode.RACE

    def mode_of(self, namespace: str) -> Mode:
        """Which homes a namespace is written to, and which of them answer."""
        return self._registry.mode_of(namespace) if self._stands() else ACTIVE

    def behind(self, namespace: str) -> tuple[Side, ...]:
        """The homes that must give no first answer."""
        if self._stands() or namespace in RESERVED_NAMESPACES:
            return self._trust.behind(namespace)
        return BOTH_SIDES
