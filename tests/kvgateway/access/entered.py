"""A gateway with its entrance, over two homes in memory."""

from kvgateway.access.caller import GatewayCaller, Inside
from kvgateway.access.entrance import GatewayEntrance
from kvgateway.access.policy import Policy
from kvgateway.access.standing import Lasting
from kvgateway.data_path.gateway import Gateway
from tandem.core.access import Grant, Permission
from tandem.core.token import CreatedToken, TokenWish
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.rpc.memory_admin import MemoryOperations
from tests.kvgateway.served import Served

ADMIN_TOKEN = "an-admin-token-of-the-configuration"
CLOSED = Policy(open=False, own_tokens={ADMIN_TOKEN: Grant("admin token", Permission.ADMIN)})


class Entered(Served):
    """One gateway that asks who is there."""

    def __init__(self, homes: TwoHomes, number: int = 1, policy: Policy = CLOSED) -> None:
        super().__init__(homes, number)
        self.homes = homes
        self.charged: list[Grant] = []
        self.operations = MemoryOperations()
        self.inside = Inside(
            keyvalues_of=self._charging,
            namespaces=self.namespaces,
            tokens=self.tokens,
            operations=self.operations,
            registry=self.registry,
            lookups=self.lookups,
        )
        self.entrance = GatewayEntrance(
            policy, self.inside, self.token_records, self.gateway.time, homes.clock
        )

    def _charging(self, grant: Grant) -> Gateway:
        self.charged.append(grant)
        return self.door

    def caller(self, grant: Grant) -> GatewayCaller:
        """Somebody with a grant, however that came to be."""
        return self.inside.caller(grant, Lasting())

    async def token(
        self,
        permission: Permission = Permission.WRITE,
        account: str | None = None,
        namespaces: frozenset[str] | None = None,
        ttl_s: int = 0,
    ) -> CreatedToken:
        """A new token."""
        return await self.tokens.create(TokenWish("t", permission, account, namespaces, ttl_s))
