"""The administration of tokens, as the client library offers it."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from tandem.client.arguments import account_name, check_kind, check_text, ttl_s
from tandem.client.channel import GatewayChannel
from tandem.client.retries import Asking, Retries
from tandem.core.access import Permission
from tandem.core.quota import NO_QUOTA, Quota
from tandem.core.token import CreatedToken, Token
from tandem.wire import token_codec
from tandem.wire.v1 import tokens_pb2, tokens_pb2_grpc


class Tokens:
    """Creates, lists and revokes tokens; the client must be an admin of the account.

    Each method may raise PermissionDenied and Unavailable; after Unavailable, a token may exist
    whose text nobody knows, and a revocation may count or not.
    """

    def __init__(
        self, channel: GatewayChannel, retries: Retries, timeout_s: float, account: str
    ) -> None:
        self._stub = tokens_pb2_grpc.TokensStub(channel)
        self._ask = Asking(retries, timeout_s)
        self._account = account

    async def create(
        self,
        name: str,
        permission: Permission,
        *,
        namespaces: Iterable[str] = (),
        account: str | None = None,
        all_accounts: bool = False,
        ttl: int | timedelta | None = None,
        quota: Quota = NO_QUOTA,
    ) -> CreatedToken:
        """A new token and its text, which is never shown again.

        It reaches the namespaces with these ids, or all of an account (without `account` the
        client's), or all accounts; `ttl` (seconds, or a timedelta) is how long,
        and `quota` how much its holder may use on each gateway machine.
        """
        check_text(name, "name")
        check_kind(permission, Permission, "permission")
        check_kind(quota, Quota, "quota")
        wanted = None if all_accounts else self._account_of(account)
        lasts_s = ttl_s(ttl, 1, "ttl")
        request = token_codec.wish_message(name, permission, wanted, namespaces, lasts_s, quota)
        reply = await self._ask(self._stub.CreateToken, request, name, repeatable=False)
        return CreatedToken(token_codec.token_of(reply.token), reply.text)

    async def list(
        self, *, account: str | None = None, all_accounts: bool = False
    ) -> Sequence[Token]:
        """The tokens of an account, or all that the client may administer, by name."""
        request = tokens_pb2.ListTokensRequest(
            account="" if all_accounts else self._account_of(account), all_accounts=all_accounts
        )
        reply = await self._ask(self._stub.ListTokens, request, "", repeatable=True)
        return [token_codec.token_of(message) for message in reply.tokens]

    async def revoke(self, token_id: str) -> None:
        """Ends a token, at this gateway at once and at the others within seconds.

        Raises TokenNotFound.
        """
        request = tokens_pb2.RevokeTokenRequest(
            id=token_codec.token_id_of(check_text(token_id, "id"))
        )
        await self._ask(self._stub.RevokeToken, request, token_id, repeatable=False)

    def _account_of(self, given: str | None) -> str:
        return self._account if given is None else account_name(given)
