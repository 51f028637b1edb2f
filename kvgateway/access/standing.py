"""Whether what let a caller in still holds; looked at before everything that the caller does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kvgateway.registry.book import RecordBook
from tandem.core.token import Token
from tandem.errors import Unauthenticated


class Standing(Protocol):
    """What let a caller in."""

    def ended(self) -> Unauthenticated | None:
        """Why it does not hold any more; None while it does."""
        ...


class Lasting:
    """Of this gateway's own configuration: holds for as long as the process runs."""

    def ended(self) -> None:
        """Never."""


@dataclass(frozen=True, slots=True)
class TokenStanding:
    """Of a token: holds until it expires, or its record changes, which is when it is revoked."""

    token: Token
    book: RecordBook[Token]
    now_us: Callable[[], int]

    def ended(self) -> Unauthenticated | None:
        """Expired or revoked."""
        if self.book.get(self.token.id) is not self.token:
            return Unauthenticated("the token has been revoked")
        if self.token.expires_at_s and self.token.expired(self.now_us()):
            return Unauthenticated("the token has expired")
        return None
