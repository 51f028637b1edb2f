"""One write to the store: always conditional, never blind, and truthful about a lost answer.

    what is known of the object          next
    nothing                              PUT If-None-Match: *
    older than ours                      PUT If-Match: its ETag
    ours, or newer (only a hint)         HEAD
    ours (seen now)                      stored
    newer (seen now)                     superseded

    what the PUT is answered             next
    200, with the ETag of ours           stored
    412, 409, 404                        HEAD, and on with what it shows
    400, 401, 403                        sign again, if clock or key were to blame
    other 200, 5xx, no answer            HEAD; ours: stored; as before: failed, it may land later;
                                         anything else: the PUT can land no more, on with that

The last line holds because no two writes share an ETag (the version is inside the envelope), so a
condition that has ceased to hold will not hold again. It is also why a repeated PUT harms nobody;
a client library's blind retry would, as it takes our own applied create for another's.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from tandem.backends.port import Heal, basis_of
from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.looking import KnownObjects, Seen, condition, headers_of, look
from tandem.backends.s3.replies import Held, condition_failed, failed, has_put, no_reply
from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.record import Record
from tandem.core.reply import (
    Failed,
    Reason,
    Refusal,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.timeliness import untimely

ROUNDS_MAX: Final = 3
_READ_BACK_S: Final = 2.0
"""What is kept of the deadline for the HEAD after a PUT without an answer."""
_READ_BACK_SHARE: Final = 0.25


class ConditionalPut:
    """Used once. `payload_sha256` is that of the envelope, or says that it is not signed."""

    def __init__(
        self,
        bucket: Bucket,
        known: KnownObjects,
        name: str,
        record: Record,
        heal: Heal | None,
        *,
        etag_quotes: bool,
        payload_sha256: str,
        until_s: float,
    ) -> None:
        self._bucket = bucket
        self._known = known
        self._name = name
        self._record = record
        self._heal = heal
        self._etag_quotes = etag_quotes
        self._payload_sha256 = payload_sha256
        self._until_s = until_s
        self._ours = Held.of(record)

    async def run(self) -> WriteReply:
        """Puts the record unless the store holds a newer one."""
        seen: Seen | WriteReply = await self._first_sight()
        if isinstance(seen, Seen) and self._refusal(self._now_us()) is Refusal.FUTURE:
            seen = await self._look()  # the store's time is known from below; now better, perhaps
        if isinstance(seen, Seen) and (refusal := self._refusal(self._now_us())):
            seen = Refused(refusal, 0)
        rounds = 0
        while isinstance(seen, Seen):
            if seen.held is not None and not self._replaces(seen.held):
                if seen.time_us is not None:
                    return self._outcome(seen.held, seen.time_us)
                seen = await self._look()
            elif rounds == ROUNDS_MAX:
                return Failed(Reason.CONTENDED, f"other writes came first {ROUNDS_MAX} times")
            else:
                rounds += 1
                seen = await self._attempt(seen.held)
        return seen

    async def _first_sight(self) -> Seen | Failed:
        if self._bucket.clock.known:
            return Seen(self._known.get(self._name))
        return await self._look()  # without the store's time no write can be judged

    def _now_us(self) -> int:
        return self._bucket.clock.now_us()

    def _refusal(self, now_us: int) -> Refusal | None:
        basis_us = basis_of(self._heal)
        return untimely(self._record.version, basis_us, now_us, WHOLE_SECOND_CLOCK_SKEW_MAX_US)

    def _replaces(self, held: Held) -> bool:
        if held.version == self._record.version and self._over_corrupt:
            return True
        return (held.version, held.digest) < (self._record.version, self._record.digest)

    @property
    def _over_corrupt(self) -> bool:
        return self._heal is not None and self._heal.over_corrupt

    def _outcome(self, held: Held, time_us: int) -> WriteReply:
        return Stored(time_us) if held == self._ours else Superseded(held.version, time_us)

    async def _attempt(self, held: Held | None) -> WriteReply | Seen:
        signed_at_us = self._now_us()
        refusal = self._refusal(signed_at_us)
        if refusal is not None:
            return Refused(refusal, 0)
        call = Call(
            "PUT", self._name, self._headers(held), self._record.envelope, self._payload_sha256
        )
        try:
            answer = await self._bucket.send(call, self._put_until_s(), signed_at_us)
        except TransportError as error:
            failure = no_reply(error)
            return await self._read_back(held, failure) if error.sent else failure
        return await self._judge(held, answer)

    async def _judge(self, held: Held | None, answer: Answer) -> WriteReply | Seen:
        status = answer.http.status
        if has_put(answer.http, self._record.digest):
            self._known.keep(self._name, self._ours)
            return Stored(answer.time_us)
        failure = failed(answer.http, answer.time_us)
        if condition_failed(answer.http):
            return await self._look()
        if await self._bucket.amended(answer, self._until_s):
            return Seen(held)
        is_open = status == 200 or status >= 500
        return await self._read_back(held, failure) if is_open else failure

    async def _read_back(self, condition: Held | None, failure: Failed) -> Seen | Failed:
        seen = await self._look()
        return failure if isinstance(seen, Failed) or seen.held == condition else seen

    async def _look(self) -> Seen | Failed:
        return await look(self._bucket, self._known, self._name, self._until_s)

    def _headers(self, held: Held | None) -> Mapping[str, str]:
        return {**headers_of(self._record), **condition(held, etag_quotes=self._etag_quotes)}

    def _put_until_s(self) -> float:
        left_s = self._until_s - asyncio.get_running_loop().time()
        return self._until_s - min(_READ_BACK_S, left_s * _READ_BACK_SHARE)
