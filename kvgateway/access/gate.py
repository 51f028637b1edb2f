"""One caller's grant, asked before each thing that the caller does.

What is out of reach is answered in a way that tells nothing of whether it exists: a namespace that
a grant for some namespaces does not name is denied without a look at it; a namespace of another
account is not found, like one that nobody has.
"""

from dataclasses import dataclass

from kvgateway.access.standing import Standing
from tandem.core.access import Grant, Permission
from tandem.core.namespace import Namespace
from tandem.errors import NamespaceNotFound, PermissionDenied, TandemError


@dataclass(frozen=True, slots=True)
class Gate:
    """What stands between a caller and the gateway."""

    grant: Grant
    standing: Standing

    @property
    def wide_open(self) -> bool:
        """Whether every namespace is within reach."""
        return self.grant.account is None and self.grant.namespaces is None

    def closed_to(self, permission: Permission) -> TandemError | None:
        """Why this cannot be done to any namespace; None when it can be to some."""
        return self.grant.lacks(permission) or self.standing.ended()

    def demand(self, permission: Permission) -> None:
        """Raises what `closed_to` says."""
        if (error := self.closed_to(permission)) is not None:
            raise error

    def names(self, namespace_id: str) -> bool:
        """Whether an id could be within reach, as far as can be told without a look at it."""
        return self.grant.namespaces is None or namespace_id in self.grant.namespaces

    def unnamed(self, namespace_id: str) -> PermissionDenied:
        """The answer about an id that the grant does not name."""
        return PermissionDenied(f"{self.grant.holder} does not reach namespace {namespace_id}")

    def objection(self, namespace: Namespace) -> TandemError | None:
        """Why a namespace is out of reach; None when it is within."""
        if not self.names(namespace.id):
            return self.unnamed(namespace.id)
        if self.grant.account not in (None, namespace.account):
            return NamespaceNotFound(namespace.id)
        return None

    def demand_account(self, permission: Permission, account: str) -> None:
        """Raises Unauthenticated or PermissionDenied unless this may be done to a whole account."""
        self.demand(permission)
        self.grant.demand_account(permission, account)

    def demand_deployment(self, permission: Permission) -> None:
        """Raises Unauthenticated or PermissionDenied unless this may be done to everything."""
        self.demand(permission)
        self.grant.demand_deployment(permission)

    def account_of(self, wanted: str | None) -> str | None:
        """The account to list: what was asked for, narrowed to what the grant reaches.

        Raises PermissionDenied for an account that it does not reach.
        """
        if self.grant.account is None or wanted == self.grant.account:
            return wanted
        if wanted is None:
            return self.grant.account
        raise PermissionDenied(f"{self.grant.holder} does not reach account {wanted}")
