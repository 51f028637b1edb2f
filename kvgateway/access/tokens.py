"""The tokens as one caller sees and may change them: an admin of an account those of the account,
an admin of the deployment all."""

from collections.abc import Sequence

from kvgateway.access.gate import Gate
from kvgateway.service import NamespaceRegistry, TokenRegistry
from tandem.core.access import Permission
from tandem.core.token import CreatedToken, Token, TokenWish
from tandem.errors import NamespaceNotFound, TandemError, TokenNotFound


class GatedTokens:
    """See `kvgateway.service.TokenRegistry`."""

    def __init__(self, gate: Gate, behind: TokenRegistry, namespaces: NamespaceRegistry) -> None:
        self._gate = gate
        self._behind = behind
        self._namespaces = namespaces

    async def create(self, wish: TokenWish) -> CreatedToken:
        """NamespaceNotFound for a namespace that is not the account's."""
        self._demand(wish.account)
        for namespace_id in sorted(wish.namespaces or ()):
            namespace = await self._namespaces.get(namespace_id)
            if wish.account not in (None, namespace.account):
                raise NamespaceNotFound(namespace_id)
        return await self._behind.create(wish)

    async def list(self, account: str | None = None) -> Sequence[Token]:
        """Those that the caller may administer."""
        wanted = self._gate.account_of(account)
        self._demand(wanted)
        return await self._behind.list(wanted)

    async def get(self, token_id: str) -> Token:
        """TokenNotFound also for one that the caller may not administer."""
        self._demand(self._gate.account_of(None))
        token = await self._behind.get(token_id)
        try:
            self._demand(token.account)
        except TandemError:
            raise TokenNotFound(token_id) from None
        return token

    async def revoke(self, token_id: str) -> None:
        """TokenNotFound also for one that the caller may not administer."""
        await self.get(token_id)
        await self._behind.revoke(token_id)

    def _demand(self, account: str | None) -> None:
        if account is None:
            self._gate.demand_deployment(Permission.ADMIN)
        else:
            self._gate.demand_account(Permission.ADMIN, account)
