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


class RegisteredView:
    """A `View` by the registry; `go_by` comes before the first request."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def go_by(self, registry: Registry, stands: Callable[[], bool]) -> None:
        """The registry, which reads by this view itself, and whether the registration stands."""
        self._registry = registry
        self._stands = stands

    def policy_of(self, namespace: str) -> AckPolicy:
        """As the namespace is set, or by both homes."""
        if self._stands() or namespace in RESERVED_NAMESPACES:
            return self._registry.policy_of(namespace)
        return AckPolicy.BOTH

    def read_mode_of(self, namespace: str) -> ReadMode:
        """As the namespace is set, or both homes."""
        return self._registry.read_mode_of(namespace) if self._stands() else ReadMode.RACE

    def mode_of(self, namespace: str) -> Mode:
        """As the namespace is set, or both homes for all."""
        return self._registry.mode_of(namespace) if self._stands() else ACTIVE

    def behind(self, namespace: str) -> tuple[Side, ...]:
        """As is known here, or both homes."""
        if self._stands() or namespace in RESERVED_NAMESPACES:
            return self._trust.behind(namespace)
        return BOTH_SIDES
