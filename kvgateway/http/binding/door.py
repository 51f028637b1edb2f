"""The front door of Workers: one request of the binding to its answer.

What this machine's memory can answer is answered at once, and what waits for the data path alone,
as small writes do, when that has answered: neither takes a task. Whoever is refused, has changed
nothing; the server reads the rest of a refused body before it answers, since workerd may never look
at an answer that comes earlier.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from kvgateway.access.body_room import BodyRoom
from kvgateway.http.binding.answers import JSON, ReadAnswers, answer_to_listing, answer_to_write
from kvgateway.http.binding.operations import Asked, Bulk, Upload, operation_of
from kvgateway.http.binding.refusals import refusal, said
from kvgateway.http.bodies import value_of
from kvgateway.http.bulk_read import BODY_BYTES_MAX, answer_to_bulk, bulk_read_of, read_in_bulk
from kvgateway.http.credentials import credential_of
from kvgateway.http.patience import Patience
from kvgateway.http.session import doubts
from kvgateway.outcome import settled
from kvgateway.service import Caller, Entrance, KeyValues
from tandem.core.request import Delete, Listing, Put, Read, ReadResult, Write, Written
from tandem.errors import TandemError, Unavailable
from tandem.runtime.clock import Clock, now_s
from tandem.runtime.httpd import Answer, HttpError, Later, Request, Response

_Result = TypeVar("_Result", ReadResult, Written)


class BindingDoor:
    """Serves the binding's protocol to whom the entrance lets in.

    Args:
        clock: the homes' time; it says what has expired.
    """

    def __init__(
        self, entrance: Entrance, clock: Clock, room: BodyRoom, patience: Patience
    ) -> None:
        self._entrance = entrance
        self._now_s = partial(now_s, clock)
        self._room = room
        self._read_answers = ReadAnswers()
        self._patience = patience
        self._read = partial(self._made, self._read_answers.of)
        self._wrote = partial(self._made, answer_to_write)

    def answer(self, request: Request, namespace: str, target: bytes) -> Answer:
        """Answers a request for a namespace; `target` is raw, and within the namespace."""
        try:
            credential = credential_of(request)
            let_in = partial(self._let_in, credential, request, namespace, target)
            caller = self._entrance.known(credential)
            return self._stranger(credential, let_in) if caller is None else let_in(caller)
        except TandemError as error:
            return self._refused(error)
        except HttpError as error:
            return said(error)

    def again(self, asked: Asked) -> Answer:
        """Answers a request for what has been asked in the same words before."""
        try:
            caller = self._entrance.known(asked.credential)
            if caller is None:
                return self._stranger(asked.credential, partial(self._found, asked.reads))
            return self._found(asked.reads, caller)
        except TandemError as error:
            return self._refused(error)

    async def _stranger(self, credential: str, let_in: Callable[[Caller], Answer]) -> Response:
        """A caller whose credential has to be looked for first."""
        try:
            answer = let_in(await self._entrance.find(credential))
        except TandemError as error:
            answer = self._refused(error)
        except HttpError as error:
            return said(error)
        return await _awaited(answer)

    def _let_in(
        self, credential: str, request: Request, namespace: str, target: bytes, caller: Caller
    ) -> Answer:
        operation = operation_of(request, namespace, target, self._now_s)
        match operation:
            case Read():
                request.note = asked = Asked(credential, (operation,))
                return self._found(asked.reads, caller)
            case Put() | Delete():
                return self._written(operation, caller.keyvalues)
            case _:
                return self._performed(operation, caller, request, namespace)

    def _found(self, reads: tuple[Read], caller: Caller) -> Answer:
        (outcome,) = caller.keyvalues.read(reads)
        if isinstance(outcome, ReadResult):
            return self._read_answers.of(outcome)
        if isinstance(outcome, TandemError):
            return self._refused(outcome)
        return Later(outcome, self._read)

    def _written(self, write: Write, keyvalues: KeyValues) -> Answer:
        (outcome,) = keyvalues.write((write,))
        if isinstance(outcome, TandemError):
            return self._refused(outcome)
        return Later(outcome, self._wrote)

    def _made(
        self, answer: Callable[[_Result], Response], outcome: asyncio.Future[_Result]
    ) -> Answer:
        if outcome.cancelled():
            stopping = "the gateway is stopping; the outcome of a write is unknown"
            return self._refused(Unavailable(stopping))
        try:
            return answer(outcome.result())
        except TandemError as error:
            return self._refused(error)

    def _refused(self, error: TandemError) -> Answer:
        return self._patience.unhurried(refusal(error))

    async def _performed(
        self,
        operation: Listing | Bulk | Upload,
        caller: Caller,
        request: Request,
        namespace: str,
    ) -> Response:
        keyvalues = caller.keyvalues
        try:
            match operation:
                case Upload():
                    return await self._put(operation, caller, request)
                case Listing():
                    return answer_to_listing(operation, await keyvalues.list(operation))
                case Bulk.READ:
                    bulk = bulk_read_of(await request.body.read(BODY_BYTES_MAX), namespace)
                    found = await read_in_bulk(keyvalues, bulk, self._room)
                    return answer_to_bulk(found, bulk, [JSON, *doubts(found)])
        except TandemError as error:
            return await _awaited(self._refused(error))
        except HttpError as error:
            return said(error)

    async def _put(self, upload: Upload, caller: Caller, request: Request) -> Response:
        keyvalues, namespace = caller.keyvalues, upload.key.namespace
        await caller.namespaces.get(namespace)
        with keyvalues.admit_body(namespace, request.content_length) as ahead:
            value = await value_of(request, self._room, ahead, upload.metadata)
            (written,) = keyvalues.write((upload.put(value, self._now_s()),))
            del value  # a large one need not live beside its envelope until both homes have it
            return answer_to_write(await settled(written))


async def _awaited(answer: Answer) -> Response:
    match answer:
        case Response():
            return answer
        case Later(outcome, made):
            with suppress(TandemError):  # `made` has an answer to it
                await settled(outcome)
            return await _awaited(made(outcome))
        case _:
            return await answer
