"""An entrance that lets everybody in, but for the credentials that a test refuses."""

from dataclasses import dataclass, field

from kvgateway.service import KeyValues, NamespaceRegistry, Operations, TokenRegistry
from tandem.core.access import Grant, Permission
from tandem.errors import Unauthenticated
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry, MemoryTokens
from tests.kvgateway.rpc.memory_store import MemoryStore


@dataclass
class OpenCaller:
    """Whoever came in, and may do everything."""

    keyvalues: KeyValues
    namespaces: NamespaceRegistry
    operations: Operations
    tokens: TokenRegistry
    grant: Grant = field(default_factory=lambda: Grant("anyone", Permission.ADMIN))


class OpenEntrance:
    """See `kvgateway.service.Entrance`."""

    def __init__(
        self,
        store: MemoryStore,
        registry: MemoryRegistry,
        operations: MemoryOperations,
        tokens: MemoryTokens | None = None,
    ) -> None:
        registry.served = store.namespaces
        self.caller = OpenCaller(store, registry, operations, tokens or MemoryTokens())
        self.refused: set[str] = set()
        """Credentials that are not let in."""
        self.unknown: set[str] = set()
        """Credentials that have to be looked for."""
        self.seen: list[str] = []

    def known(self, credential: str) -> OpenCaller | None:
        self.seen.append(credential)
        if credential in self.refused:
            raise Unauthenticated("the token is not valid")
        return None if credential in self.unknown else self.caller

    async def find(self, credential: str) -> OpenCaller:
        if credential in self.refused:
            raise Unauthenticated("the token is not valid")
        return self.caller
