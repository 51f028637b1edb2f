"""One bucket, spoken to in signed requests. Nothing is repeated here but what was refused unread.

A refusal says that the store did nothing, and may be our fault: a wrong clock or an old key. Both
are put right from the refusal itself, after which a request may be signed and sent again.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.backends.s3.address import Address
from tandem.backends.s3.credentials import CredentialKeeper
from tandem.backends.s3.exchange import HttpReply, HttpRequest, Method
from tandem.backends.s3.replies import error_of
from tandem.backends.s3.sigv4 import EMPTY_SHA256, Credentials, Signer, target
from tandem.backends.s3.store_clock import StoreClock
from tandem.backends.s3.transport import HttpTransport

_CLOCK_TOLERANCE_US: Final = 60_000_000
_REFUSALS: Final = frozenset({400, 401, 403})
"""AWS says of an expired token 400, of a wrong time 403."""
_KEY_REFUSED: Final = frozenset(
    {"", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
     "TokenRefreshRequired"}
)  # fmt: skip
"""Error codes after which another key may do; the answer to a HEAD has no code at all."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request before it is signed; `name` is an object's, or "" for the bucket itself."""

    method: Method
    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    payload_sha256: str = EMPTY_SHA256
    parameters: tuple[tuple[str, str], ...] = ()
    needed: Callable[[], bool] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, the store's time in it, and how its request had been signed."""

    http: HttpReply
    time_us: int
    signed_at_us: int
    signed_with: Credentials


class Bucket:
    """Signs and sends. Every call raises TransportError when there is no reply."""

    def __init__(
        self,
        address: Address,
        transport: HttpTransport,
        credentials: CredentialKeeper,
        clock: StoreClock,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.clock = clock
        self._transport = transport
        self._signer = Signer(host=address.authority, region=address.region)
        self._loop = asyncio.get_running_loop()

    async def send(self, call: Call, until_s: float, signed_at_us: int) -> Answer:
        """Sends once, signed as of `signed_at_us`; `until_s` is a time of the loop."""
        key = self.credentials.current()
        path = target(self.address.path + call.name, call.parameters)
        signed = self._signer.sign(
            key,
            call.method,
            path,
            call.headers,
            payload_sha256=call.payload_sha256,
            signed_at_us=signed_at_us,
        )
        reply = await self._transport.request(
            HttpRequest(call.method, path, signed, call.body),
            deadline_s=max(0.0, until_s - self._loop.time()),
            needed=call.needed,
        )
        time_us = self.clock.heard(reply.headers.get("date"))
        return Answer(reply, time_us, signed_at_us, key)

    async def ask(self, call: Call, until_s: float) -> Answer:
        """Sends what changes nothing; once more when the first was refused for our fault."""
        answer = await self.send(call, until_s, self.clock.now_us())
        if await self.amended(answer, until_s):
            answer = await self.send(call, until_s, self.clock.now_us())
        return answer

    async def amended(self, refusal: Answer, until_s: float) -> bool:
        """Puts right what a refusal complains of; whether the request is worth signing again."""
        if refusal.http.status not in _REFUSALS:
            return False
        if abs(refusal.time_us - refusal.signed_at_us) > _CLOCK_TOLERANCE_US:
            self.clock.step_to(refusal.time_us)
            return True
        if error_of(refusal.http).code not in _KEY_REFUSED:
            return False
        try:
            async with asyncio.timeout_at(until_s):
                return await self.credentials.renew(refusal.signed_with)
        except TimeoutError:
            return False

    async def aclose(self) -> None:
        """Closes the connections; what is under way fails."""
        await self._transport.aclose()
        await self.credentials.aclose()
