"""Where the gateways know of drift, and what follows for the order of crawls."""

from collections.abc import Sequence
from dataclasses import dataclass

from tandem.core.key import SYSTEM_NAMESPACE, Key


@dataclass(frozen=True, slots=True)
class Trouble:
    """Where the gateways know of drift: what is crawled first."""

    namespaces: frozenset[str] = frozenset()
    """For which a home is behind; "*" for all."""
    keys: tuple[Key, ...] = ()
    """Some of those whose repair is queued."""
    unsure: bool = False
    """Whether a gateway does not answer, or has lost track of writes (dirty ranges)."""

    def names(self, namespace: str) -> Sequence[str]:
        """The names among them that belong to one namespace."""
        return [key.name for key in self.keys if key.namespace == namespace]

    def is_dirty(self, namespace: str) -> bool:
        """Whether writes of the namespace may be unknown by name."""
        return self.unsure or bool(self.namespaces & {namespace, "*"})

    def order(self, namespaces: Sequence[str]) -> Sequence[str]:
        """The registry first, then the namespaces in trouble, then the others."""
        queued = {key.namespace for key in self.keys}
        return sorted(
            namespaces,
            key=lambda n: (n != SYSTEM_NAMESPACE, n not in self.namespaces, n not in queued),
        )


NO_TROUBLE = Trouble()
