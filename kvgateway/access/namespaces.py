"""The namespaces as one caller sees and may change them."""

from collections.abc import Sequence

from kvgateway.access.gate import Gate
from kvgateway.service import NamespaceRegistry
from tandem.core.access import DEFAULT_ACCOUNT, Permission
from tandem.core.namespace import Namespace, SettingsChange
from tandem.errors import NamespaceNotFound


class GatedNamespaces:
    """See `kvgateway.service.NamespaceRegistry`."""

    def __init__(self, gate: Gate, behind: NamespaceRegistry) -> None:
        self._gate = gate
        self._behind = behind

    async def create(
        self, title: str, change: SettingsChange, account: str = DEFAULT_ACCOUNT
    ) -> Namespace:
        """For admins of the account."""
        self._gate.demand_account(Permission.ADMIN, account)
        return await self._behind.create(title, change, account)

    async def list(self, account: str | None = None) -> Sequence[Namespace]:
        """Those within reach."""
        self._gate.demand(Permission.READ)
        found = await self._behind.list(self._gate.account_of(account))
        return [namespace for namespace in found if self._gate.objection(namespace) is None]

    async def get(self, namespace_id: str) -> Namespace:
        """The namespace, when it is within reach."""
        self._gate.demand(Permission.READ)
        if not self._gate.names(namespace_id):
            raise self._gate.unnamed(namespace_id)
        namespace = await self._behind.get(namespace_id)
        if (error := self._gate.objection(namespace)) is not None:
            raise error
        return namespace

    async def find(self, title: str, account: str = DEFAULT_ACCOUNT) -> Namespace:
        """The namespace, when it is within reach; else it is not found."""
        self._gate.demand(Permission.READ)
        self._gate.account_of(account)
        namespace = await self._behind.find(title, account)
        if self._gate.objection(namespace) is not None:
            raise NamespaceNotFound(title)
        return namespace

    async def rename(self, namespace_id: str, title: str) -> Namespace:
        """For admins of the account."""
        await self._demand_admin(namespace_id)
        return await self._behind.rename(namespace_id, title)

    async def configure(self, namespace_id: str, change: SettingsChange) -> Namespace:
        """For admins of the account."""
        await self._demand_admin(namespace_id)
        return await self._behind.configure(namespace_id, change)

    async def delete(self, namespace_id: str) -> None:
        """For admins of the account."""
        await self._demand_admin(namespace_id)
        await self._behind.delete(namespace_id)

    async def _demand_admin(self, namespace_id: str) -> None:
        self._gate.demand(Permission.ADMIN)
        namespace = await self.get(namespace_id)
        self._gate.demand_account(Permission.ADMIN, namespace.account)
