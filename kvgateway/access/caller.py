"""Makes callers: one grant in front of everything that a gateway does."""

from collections.abc import Callable
from dataclasses import dataclass

from kvgateway.access.gate import Gate
from kvgateway.access.keyvalues import GatedKeyValues
from kvgateway.access.namespaces import GatedNamespaces
from kvgateway.access.operations import GatedOperations
from kvgateway.access.standing import Standing
from kvgateway.access.tokens import GatedTokens
from kvgateway.data_path.lookups import Lookups
from kvgateway.registry.namespaces import Registry
from kvgateway.service import KeyValues, NamespaceRegistry, Operations, TokenRegistry
from tandem.core.access import Grant


@dataclass(frozen=True, slots=True)
class GatewayCaller:
    """See `kvgateway.service.Caller`."""

    grant: Grant
    standing: Standing
    keyvalues: GatedKeyValues
    namespaces: GatedNamespaces
    tokens: GatedTokens
    operations: GatedOperations


@dataclass(frozen=True, slots=True)
class Inside:
    """What is behind the entrance."""

    keyvalues_of: Callable[[Grant], KeyValues]
    """The data path for what a grant has let through; here the quotas of its holder are charged.
    Callers of one holder come and go, so whatever counts must be kept by holder."""
    namespaces: NamespaceRegistry
    tokens: TokenRegistry
    operations: Operations
    registry: Registry
    lookups: Lookups

    def caller(self, grant: Grant, standing: Standing) -> GatewayCaller:
        """The view of somebody with this grant."""
        gate = Gate(grant, standing)
        namespaces = GatedNamespaces(gate, self.namespaces)
        return GatewayCaller(
            grant,
            standing,
            GatedKeyValues(gate, self.keyvalues_of(grant), self.registry, self.lookups),
            namespaces,
            GatedTokens(gate, self.tokens, namespaces),
            GatedOperations(gate, self.operations),
        )
