"""The front door of Workers: one request of the binding to its answer.

What this machine's memory can answer is answered at once, without a task. Whoever is refused, has
changed nothing; the server reads the rest of a refused body before it answers, since workerd may
never look at an answer that comes earlier.
"""

import asyncio
from collections.abc import Awaitable

from kvgateway.http.binding.answers import ReadAnswers, answer_to_listing, answer_to_write
from kvgateway.http.binding.bulk import answer_to_bulk_read
from kvgateway.http.binding.operations import Bulk, Reads, Upload, operation_of
from kvgateway.http.binding.refusals import refusal, said
from kvgateway.http.bodies import BodyRoom, value_of
from kvgateway.http.bulk_read import BODY_BYTES_MAX, bulk_read_of
from kvgateway.http.credentials import credential_of
from kvgateway.outcome import settled
from kvgateway.service import Caller, Entrance, KeyValues
from tandem.core.request import Delete, Listing, Read, ReadResult
from tandem.errors import TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.httpd import HttpError, Request, Response


class BindingDoor:
    """Serves the binding's protocol to whom the entrance lets in.

    Args:
        clock: the homes' time; it says what has expired.
    """

    def __init__(self, entrance: Entrance, clock: Clock, room: BodyRoom) -> None:
        self._entrance = entrance
        self._clock = clock
        self._room = room
        self._reads = Reads()
        self._read_answers = ReadAnswers()

    def answer(
        self, request: Request, namespace: str, target: bytes
    ) -> Response | Awaitable[Response]:
        """Answers a request for a namespace; `target` is raw, and within the namespace."""
        try:
            credential = credential_of(request)
            caller = self._entrance.known(credential)
            if caller is None:
                return self._stranger(credential, request, namespace, target)
            return self._let_in(caller, request, namespace, target)
        except TandemError as error:
            return refusal(error)
        except HttpError as error:
            return said(error)

    async def _stranger(
        self, credential: str, request: Request, namespace: str, target: bytes
    ) -> Response:
        """A caller whose credential has to be looked for first."""
        try:
            caller = await self._entrance.find(credential)
            answer = self._let_in(caller, request, namespace, target)
        except TandemError as error:
            return refusal(error)
        except HttpError as error:
            return said(error)
        return answer if isinstance(answer, Response) else await answer

    def _let_in(
        self, caller: Caller, request: Request, namespace: str, target: bytes
    ) -> Response | Awaitable[Response]:
        read = self._reads.known(request, namespace, target)
        if read is None:
            operation = operation_of(request, namespace, target, int(self._now_s()))
            if not isinstance(operation, Read):
                return self._performed(operation, caller.keyvalues, request, namespace)
            self._reads.remember(operation, namespace, target)
            read = operation
        (outcome,) = caller.keyvalues.read((read,))
        if isinstance(outcome, ReadResult):
            return self._read_answers.of(outcome)
        if isinstance(outcome, TandemError):
            return refusal(outcome)
        return self._raced(outcome)

    async def _raced(self, outcome: asyncio.Future[ReadResult]) -> Response:
        try:
            return self._read_answers.of(await settled(outcome))
        except TandemError as error:
            return refusal(error)

    async def _performed(
        self,
        operation: Listing | Bulk | Upload | Delete,
        keyvalues: KeyValues,
        request: Request,
        namespace: str,
    ) -> Response:
        try:
            match operation:
                case Upload():
                    return await self._put(operation, keyvalues, request)
                case Delete():
                    (deleted,) = keyvalues.write((operation,))
                    return answer_to_write(await settled(deleted))
                case Listing():
                    return answer_to_listing(operation, await keyvalues.list(operation))
                case Bulk.READ:
                    bulk = bulk_read_of(await request.body.read(BODY_BYTES_MAX), namespace)
                    return await answer_to_bulk_read(keyvalues, bulk)
        except TandemError as error:
            return refusal(error)
        except HttpError as error:
            return said(error)

    async def _put(self, upload: Upload, keyvalues: KeyValues, request: Request) -> Response:
        with keyvalues.admit_body(upload.key.namespace, request.content_length):
            value = await value_of(request, self._room)
            (written,) = keyvalues.write((upload.put(value, int(self._now_s())),))
            del value  # a large one need not live beside its envelope until both homes have it
            return answer_to_write(await settled(written))

    def _now_s(self) -> float:
        return self._clock.now_us() / 1e6
