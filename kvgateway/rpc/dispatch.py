"""Takes the operations of a batch apart, starts them, and hands each its own answer.

Answers go to a `Sink`: at once for what is wrong or known, from a callback for the rest, so that no
operation costs a task. A large batch is started in groups, and others get their turn between them:
a client with full batches delays the rest by one group, not by one batch.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from kvgateway.rpc.failures import Failures
from kvgateway.service import KeyValues
from tandem.core.envelope import Value
from tandem.core.request import ReadResult, Write, Written
from tandem.errors import TandemError, Unavailable
from tandem.wire import codec
from tandem.wire.status import is_expected
from tandem.wire.v1 import kv_pb2

READS_AT_ONCE: Final = 256
WRITES_AT_ONCE: Final = 128
"""Started in one turn of the loop: some milliseconds of work. A client's callers who wait together
come back together, so a smaller group would also cut the next messages in two, for good."""

_Request = TypeVar("_Request")
_Change: TypeAlias = kv_pb2.PutRequest | kv_pb2.DeleteRequest
_Message = TypeVar("_Message", kv_pb2.GetRequest, _Change)
_Outcome = TypeVar("_Outcome", ReadResult, Written)
_Begun: TypeAlias = _Outcome | TandemError | asyncio.Future[_Outcome]
_Answer: TypeAlias = Callable[[int, _Outcome | BaseException], None]


class Sink(Protocol):
    """Where answers go; each operation of a batch gets exactly one. One that raises was none."""

    def answer_read(self, operation_id: int, outcome: ReadResult | BaseException) -> None:
        """A read is over."""
        ...

    def answer_write(self, operation_id: int, outcome: Written | BaseException) -> None:
        """A write is over."""
        ...


class Dispatch:
    """Starts batches on one gateway."""

    def __init__(self, keyvalues: KeyValues, failures: Failures) -> None:
        self._keyvalues = keyvalues
        self._failures = failures

    async def start(
        self, batch: kv_pb2.BatchRequest, now_s: int, sink: Sink, value: Value | None = None
    ) -> None:
        """Starts every operation of `batch`; one that is wrong does not touch the others.

        A `value` is that of the one put which is all of the batch.
        """
        for turn, reads in enumerate(_groups(batch.gets, READS_AT_ONCE)):
            if turn:
                await asyncio.sleep(0)
            self._start(reads, codec.read_of, self._keyvalues.read, sink.answer_read)
        changes: list[_Change] = [*batch.puts, *batch.deletes]
        for turn, writes in enumerate(_groups(changes, WRITES_AT_ONCE)):
            if turn:
                await asyncio.sleep(0)
            parse = partial(_write_of, now_s, value)
            self._start(writes, parse, self._keyvalues.write, sink.answer_write)

    def _start(
        self,
        messages: Sequence[_Message],
        parse: Callable[[_Message], _Request],
        begin: Callable[[Sequence[_Request]], Sequence[_Begun[_Outcome]]],
        answer: _Answer[_Outcome],
    ) -> None:
        ids: list[int] = []
        requests: list[_Request] = []
        for message in messages:
            try:
                requests.append(parse(message))
            except TandemError as error:
                answer(message.id, error)
            else:
                ids.append(message.id)
        for operation_id, outcome in zip(ids, self._begun(begin, requests), strict=True):
            if isinstance(outcome, asyncio.Future):
                outcome.add_done_callback(partial(self._over, answer, operation_id))
            else:
                self._answer(answer, operation_id, outcome)

    def _begun(
        self,
        begin: Callable[[Sequence[_Request]], Sequence[_Begun[_Outcome]]],
        requests: list[_Request],
    ) -> Sequence[_Begun[_Outcome] | Exception]:
        if not requests:
            return ()
        try:
            return begin(requests)
        except Exception as error:
            self._failures.unexpected("batch", error)
            return [error] * len(requests)

    def _over(self, answer: _Answer[Any], operation_id: int, future: asyncio.Future[Any]) -> None:
        error = self._error_of(future)
        self._answer(answer, operation_id, error or future.result())

    def _answer(
        self, answer: _Answer[_Outcome], operation_id: int, outcome: _Outcome | BaseException
    ) -> None:
        """Every operation is answered, one whose outcome cannot be told too."""
        try:
            answer(operation_id, outcome)
        except Exception as error:
            self._failures.unexpected("batch", error)
            answer(operation_id, error)

    def _error_of(self, future: asyncio.Future[_Outcome]) -> BaseException | None:
        if future.cancelled():
            return Unavailable("the gateway is stopping; the outcome of a write is unknown")
        error = future.exception()
        if error is not None and not is_expected(error):
            self._failures.unexpected("batch", error)
        return error


def _groups(messages: Sequence[_Message], size: int) -> Iterator[Sequence[_Message]]:
    for start in range(0, len(messages), size):
        yield messages[start : start + size]


def _write_of(now_s: int, value: Value | None, message: _Change) -> Write:
    if isinstance(message, kv_pb2.PutRequest):
        return codec.put_of(message, now_s, value)
    return codec.delete_of(message)
