"""Lets callers in: by a token of the store, by one of the configuration, or without any.

A caller that was let in is found again by the hash of its credential, which costs one hash and one
look into a dictionary, and whose time tells nothing about any secret. Those of the latest requests
are found by their credential itself: in a dictionary, whose own hash has a key that nobody knows.
What is refused is refused with one answer, whether the id, the secret or the form is wrong.
"""

from dataclasses import dataclass
from typing import Final

from kvgateway.access.caller import GatewayCaller, Inside
from kvgateway.access.policy import Policy
from kvgateway.access.standing import Lasting, TokenStanding
from kvgateway.homes.home_time import HomeTime
from kvgateway.registry.lookup_bound import LookupBound
from kvgateway.registry.records import SystemRecords
from tandem.core.access import Grant, Permission
from tandem.core.token import Credential, Token, hash_of, parse_credential
from tandem.errors import Overloaded, Unauthenticated
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.latest import Latest

_LOG = logs.get("access")
CALLERS_MAX: Final = 10_000
"""Callers that are remembered; one that was forgotten is checked anew."""
LATEST_MAX: Final = 256
"""Of them, those whose credential itself is remembered; from there on it begins anew."""
LOOKUPS_PER_S_MAX: Final = 50
"""Tokens that are looked for in the homes. What is not found so is listed by them within a second
or two."""
LOOKUPS_MAX: Final = 100
"""The same, at once: homes may be slow."""


@dataclass(slots=True)
class EntranceCounters:
    """Who was not let in."""

    missing: int = 0
    """No credential where one is needed."""
    invalid: int = 0
    """Unknown, wrong, expired or revoked."""
    looked_for: int = 0
    """Tokens that the homes were asked for."""
    not_looked_for: int = 0
    """Refused at the bound of lookups."""


class GatewayEntrance:
    """See `kvgateway.service.Entrance`."""

    def __init__(
        self,
        policy: Policy,
        inside: Inside,
        tokens: SystemRecords[Token],
        time: HomeTime,
        clock: Clock,
    ) -> None:
        self._inside = inside
        self._tokens = tokens
        self._time = time
        self._anyone = None
        if policy.open:
            self._anyone = inside.caller(Grant("anyone", Permission.ADMIN), Lasting())
        self._own = {
            hash_of(text): inside.caller(grant, Lasting())
            for text, grant in policy.own_tokens.items()
        }
        self._callers = Latest[bytes, GatewayCaller](CALLERS_MAX)
        self._latest = Latest[str, GatewayCaller](LATEST_MAX)
        self._lookups = LookupBound(clock, LOOKUPS_MAX, LOOKUPS_PER_S_MAX)
        self.counters = EntranceCounters()

    def known(self, credential: str) -> GatewayCaller | None:
        """See `kvgateway.service.Entrance`."""
        if not credential:
            return self._without()
        latest = self._latest.get(credential)
        if latest is not None and latest.standing.ended() is None:
            return latest
        digest = hash_of(credential)
        caller = self._own.get(digest) or self._callers.get(digest)
        if caller is not None:
            if (ended := caller.standing.ended()) is None:
                self._latest.keep(credential, caller)
                return caller
            self._callers.forget(digest)
            raise self._refused(caller.grant.holder, ended)
        parts = parse_credential(credential)
        if parts is None or self._tokens.missing(parts.id):
            raise self._refused(parts.id if parts else "")
        token = self._tokens.book.get(parts.id)
        return None if token is None else self._checked(token, parts, digest)

    async def find(self, credential: str) -> GatewayCaller:
        """See `kvgateway.service.Entrance`."""
        caller = self.known(credential)
        if caller is not None:
            return caller
        parts = parse_credential(credential)
        assert parts is not None  # or it was refused
        self._take_lookup()
        try:
            token = await self._tokens.find(parts.id)
        finally:
            self._lookups.ended()
        if token is None:
            raise self._refused(parts.id)
        return self._checked(token, parts, hash_of(credential))

    def _without(self) -> GatewayCaller:
        if self._anyone is None:
            self.counters.missing += 1
            error = Unauthenticated("a token is needed: Authorization: Bearer TOKEN")
            _LOG.warning("authentication_failed", token="none", why=str(error))
            raise error
        return self._anyone

    def _checked(self, token: Token, parts: Credential, digest: bytes) -> GatewayCaller:
        if not token.opened_by(parts.secret):
            raise self._refused(token.id)
        standing = TokenStanding(token, self._tokens.book, self._time.reckoned_us)
        if (ended := standing.ended()) is not None:
            raise self._refused(token.id, ended)
        caller = self._inside.caller(token.grant(), standing)
        self._callers.keep(digest, caller)
        return caller

    def _refused(self, token_id: str, why: Unauthenticated | None = None) -> Unauthenticated:
        """Only who knows the secret is told more than that it is not valid."""
        self.counters.invalid += 1
        error = why or Unauthenticated("the token is not valid")
        _LOG.warning("authentication_failed", token=token_id or "not of our form", why=str(error))
        return error

    def _take_lookup(self) -> None:
        if not self._lookups.begins():
            self.counters.not_looked_for += 1
            raise Overloaded("too many unknown tokens are being looked for; try again in a second")
        self.counters.looked_for += 1
