"""Removing or replacing exactly one object: the one that was seen, whatever its version.

    what the request is answered            next
    204; a PUT: 200 with the ETag of ours   done
    409, 412, 404 for the key               HEAD: absent, another one, or still the one seen
    400, 401, 403                           sign again, if clock or key were to blame
    other 200, 5xx, no answer               HEAD; gone or ours: done; as before: failed, it may land
                                            later (and then hits the same object or none)

A DELETE goes only to a store that was found to obey its condition and to refuse old signatures.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.looking import KnownObjects, Seen, condition, headers_of, look
from tandem.backends.s3.replies import Held, condition_failed, failed, has_put, no_reply
from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.record import Record
from tandem.core.removal import Removal
from tandem.core.reply import Failed, Reason
from tandem.core.timeliness import untimely

_ATTEMPTS_MAX: Final = 2
_READ_BACK_SHARE: Final = 0.25
"""What is kept of the deadline for the HEAD after a request without an answer."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """What takes the place of an object."""

    record: Record
    payload_sha256: str
    read_at_us: int
    """The store's time of the read that it rests on."""


class ExactChange:
    """Used once. `seen` None stands for no object; `new` None removes the one seen."""

    def __init__(
        self,
        bucket: Bucket,
        known: KnownObjects,
        name: str,
        seen: Held | None,
        new: Replacement | None,
        *,
        etag_quotes: bool,
        until_s: float,
    ) -> None:
        assert seen is not None or new is not None
        self._bucket = bucket
        self._known = known
        self._name = name
        self._seen = seen
        self._new = new
        self._etag_quotes = etag_quotes
        self._until_s = until_s

    async def run(self) -> Removal | Failed:
        """Makes the change, or says what is there instead."""
        if not self._bucket.clock.known:
            looked = await self._look()  # without the store's time nothing can be signed in time
            if isinstance(looked, Failed):
                return looked
        for _ in range(_ATTEMPTS_MAX):
            outcome = await self._attempt()
            if outcome is not None:
                return outcome
        return Failed(Reason.CONTENDED, "the store refuses the condition that holds")

    async def _attempt(self) -> Removal | Failed | None:
        """What became of it; None when it may be asked for once more."""
        signed_at_us = self._bucket.clock.now_us()
        late = self._lateness(signed_at_us)
        if late is not None:
            return late
        now_s = asyncio.get_running_loop().time()
        ask_until_s = self._until_s - (self._until_s - now_s) * _READ_BACK_SHARE
        try:
            answer = await self._bucket.send(self._call(), ask_until_s, signed_at_us)
        except TransportError as error:
            failure = no_reply(error)
            return await self._read_back(failure) if error.sent else failure
        return await self._judge(answer)

    async def _judge(self, answer: Answer) -> Removal | Failed | None:
        status = answer.http.status
        if self._is_done(answer):
            self._note_done()
            return Removal.DONE
        failure = failed(answer.http, answer.time_us)
        if condition_failed(answer.http):
            looked = await self._look()
            return looked if isinstance(looked, Failed) else self._found(looked)
        if await self._bucket.amended(answer, self._until_s):
            return None
        is_open = status == 200 or status >= 500
        return await self._read_back(failure) if is_open else failure

    def _is_done(self, answer: Answer) -> bool:
        if self._new is None:
            return answer.http.status == 204  # 200 may be a page of a proxy's own
        return has_put(answer.http, self._new.record.digest)

    async def _read_back(self, failure: Failed) -> Removal | Failed:
        looked = await self._look()
        if isinstance(looked, Failed):
            return failure
        return self._found(looked) or failure

    def _found(self, looked: Seen) -> Removal | None:
        """What is there now; None when it is the object that was seen."""
        ours = self._new and Held.of(self._new.record)
        if looked.held == ours:
            return Removal.DONE
        if looked.held == self._seen:
            return None
        return Removal.ABSENT if looked.held is None else Removal.DIFFERENT

    def _note_done(self) -> None:
        if self._new is None:
            self._known.forget(self._name)
        else:
            self._known.keep(self._name, Held.of(self._new.record))

    def _lateness(self, now_us: int) -> Failed | None:
        if self._new is None:
            return None
        version, read_at_us = self._new.record.version, self._new.read_at_us
        refusal = untimely(version, read_at_us, now_us, WHOLE_SECOND_CLOCK_SKEW_MAX_US)
        return None if refusal is None else Failed(Reason.ERROR, refusal.value, now_us)

    def _call(self) -> Call:
        held = condition(self._seen, etag_quotes=self._etag_quotes)
        if self._new is None:
            return Call("DELETE", self._name, held)
        record = self._new.record
        headers = {**headers_of(record), **held}
        return Call("PUT", self._name, headers, record.envelope, self._new.payload_sha256)

    async def _look(self) -> Seen | Failed:
        return await look(self._bucket, self._known, self._name, self._until_s)
