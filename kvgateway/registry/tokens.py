"""Which tokens there are; creating and revoking them."""

from collections.abc import Sequence
from typing import Final

from kvgateway.homes.home_time import HomeTime
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.records import RECORDS_MAX, SystemRecords
from tandem.core.token import (
    ID_BYTES,
    SECRET_BYTES,
    CreatedToken,
    Token,
    TokenWish,
    hash_of,
    token_text,
)
from tandem.errors import Overloaded, TokenNotFound, Unavailable
from tandem.runtime.randomness import Entropy

TOKENS_MAX: Final = 10_000
"""Of the whole store, expired ones included until they are revoked."""


class Tokens:
    """See `kvgateway.service.TokenRegistry`."""

    def __init__(
        self,
        *,
        records: SystemRecords[Token],
        changes: RecordChanges[Token],
        time: HomeTime,
        entropy: Entropy,
    ) -> None:
        self._records = records
        self._changes = changes
        self._time = time
        self._entropy = entropy

    async def create(self, wish: TokenWish) -> CreatedToken:
        """Raises Overloaded at TOKENS_MAX, Unavailable as `RecordChanges.put`: where the token
        exists all the same, nobody knows its text."""
        book = self._records.book
        async with self._changes.turn():
            if len(book.items()) >= TOKENS_MAX:
                raise Overloaded(f"there are {TOKENS_MAX} tokens, the most there can be")
            if len(book) >= RECORDS_MAX:
                raise Overloaded(f"{RECORDS_MAX} ids are used up, and none is used again")
            secret = self._entropy.token(SECRET_BYTES).hex()
            now_s = self._time.now_us() // 1_000_000
            token = Token(
                id=self._new_id(),
                name=wish.name,
                permission=wish.permission,
                secret_hash=hash_of(secret),
                account=wish.account,
                namespaces=wish.namespaces,
                created_at_s=now_s,
                expires_at_s=now_s + wish.ttl_s if wish.ttl_s else 0,
                quota=wish.quota,
            )
            await self._changes.put(token)
            return CreatedToken(token, token_text(token.id, secret))

    async def list(self, account: str | None = None) -> Sequence[Token]:
        """The tokens for one account, or all, by name; those that have expired are there too."""
        await self._records.refresh()
        self._changes.check_ready()
        found = (t for t in self._records.book.items() if account in (None, t.account))
        return sorted(found, key=lambda token: (token.name, token.id))

    async def get(self, token_id: str) -> Token:
        """The token with this id; TokenNotFound."""
        token = await self._records.find(token_id)
        if token is None:
            raise TokenNotFound(token_id)
        return token

    async def revoke(self, token_id: str) -> None:
        """Ends a token for ever.

        Raises Unavailable when not both homes confirm it. It then counts all the same wherever the
        home that has it is looked at, which is here at once.
        """
        async with self._changes.turn():
            await self.get(token_id)
            kept = self._records.book.kept(token_id)
            assert kept is not None
            try:
                await self._changes.bury(token_id, kept.version)
            except Unavailable:
                await self._records.refresh()
                raise

    def _new_id(self) -> str:
        while True:
            token_id = self._entropy.token(ID_BYTES).hex()
            if self._records.book.kept(token_id) is None:
                return token_id
