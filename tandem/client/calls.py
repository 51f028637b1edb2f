"""Operations from a caller's arguments to the outcome: checked, sent, tried again, remembered."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from tandem.client.arguments import (
    cache_ttl,
    check_items,
    check_names,
    expiration_s,
    key_bytes,
    known_version,
    timeout,
    ttl_s,
    value_bytes,
)
from tandem.client.lane import Lane
from tandem.client.operations import (
    DeleteOperation,
    GetOperation,
    Operation,
    Outcome,
    PutOperation,
    Reply,
)
from tandem.client.retries import Retries
from tandem.client.session import Session
from tandem.client.values import Item
from tandem.core.limits import BATCH_OPERATIONS_MAX, KIB
from tandem.core.version import Version
from tandem.errors import InvalidArgument, TandemError
from tandem.runtime.randomness import Entropy
from tandem.wire.codec import JsonText, JsonValue, encode_metadata
from tandem.wire.status import error_of
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc

BULK_BYTES: Final = 64 * KIB
"""Values from this size on are sent on a stream of their own, so that small ones overtake them."""

_T = TypeVar("_T")
BatchResult = dict[str, _T | TandemError]
"""For each key what the single call would return, or the exception that it would raise."""


class Calls:
    """The operations of one client on one namespace."""

    def __init__(
        self,
        stub: kv_pb2_grpc.KVStub,
        namespace_id: str,
        session: Session,
        retries: Retries,
        entropy: Entropy,
        timeout_s: float,
    ) -> None:
        self.namespace_id = namespace_id
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._retries = retries
        self._timeout_s = timeout_s
        self._small = Lane(stub, namespace_id, retries.budget, entropy)
        self._bulk = Lane(stub, namespace_id, retries.budget, entropy)

    async def aclose(self) -> None:
        """Ends the streams; whatever still waits gets Unavailable."""
        await self._small.aclose()
        await self._bulk.aclose()

    def get(
        self, key: str, cache_ttl_s: int, min_version: Version | None, timeout_s: float | None
    ) -> GetOperation:
        """The read that a caller asks for."""
        return GetOperation(
            key_bytes(key),
            self._loop.create_future(),
            self._ends_at_s(timeout_s),
            self._session.newest(key, known_version(min_version, "min_version")),
            cache_ttl(cache_ttl_s),
        )

    def put(
        self,
        key: str,
        value: bytes | str,
        metadata: JsonValue | JsonText,
        expires_at: int | datetime | None,
        ttl: int | timedelta | None,
        above: Version | None,
        timeout_s: float | None,
    ) -> PutOperation:
        """The put that a caller asks for."""
        return PutOperation(
            key_bytes(key),
            self._loop.create_future(),
            self._ends_at_s(timeout_s),
            value_bytes(value),
            encode_metadata(metadata),
            expiration_s(expires_at),
            ttl_s(ttl),
            self._session.newest(key, known_version(above, "above")),
        )

    def delete(self, key: str, above: Version | None, timeout_s: float | None) -> DeleteOperation:
        """The delete that a caller asks for."""
        return DeleteOperation(
            key_bytes(key),
            self._loop.create_future(),
            self._ends_at_s(timeout_s),
            self._session.newest(key, known_version(above, "above")),
        )

    def _ends_at_s(self, timeout_s: float | None) -> float:
        if asyncio.get_running_loop() is not self._loop:
            raise TandemError("the client was opened in another event loop, and works in that only")
        return self._loop.time() + (self._timeout_s if timeout_s is None else timeout(timeout_s))

    def left_s(self, operation: Operation) -> float:
        """How long an operation may still take."""
        return operation.deadline_s - self._loop.time()

    async def read(
        self, key: str, cache_ttl_s: int, min_version: Version | None, timeout_s: float | None
    ) -> kv_pb2.GetReply:
        """Sees a read through."""
        get = self.get(key, cache_ttl_s, min_version, timeout_s)
        self._submit(get)
        reply = await get.future
        if not isinstance(reply, kv_pb2.GetReply) or reply.HasField("error"):
            reply = as_read(await self._reply(get))
        self.saw(key, reply)
        return reply

    async def written(self, write: Operation, key: str) -> Version:
        """Sees a write through."""
        self._submit(write)
        reply = as_written(await self._reply(write))
        self.saw(key, reply)
        return Version(reply.version)

    def saw(self, key: str, reply: Reply) -> None:
        """Remembers what a reply says of a key."""
        self._session.saw(key, _newest_in(reply))

    def _submit(self, operation: Operation) -> None:
        (self._small if operation.size < BULK_BYTES else self._bulk).submit(operation)

    async def _reply(self, operation: Operation) -> Reply:
        """The reply to an operation that was submitted; what is safe is tried again."""
        attempt = 0
        while True:
            outcome = await operation.future
            if isinstance(outcome, TandemError):
                error: TandemError = outcome
            elif outcome.HasField("error"):
                error = error_of(outcome.error, self.namespace_id)
            else:
                return outcome
            attempt += 1
            left_s = self.left_s(operation)
            if not await self._retries.pause(attempt, error, operation.repeatable, left_s):
                raise error
            operation.future = self._loop.create_future()
            self._submit(operation)

    async def many(
        self,
        keys: Iterable[str],
        operation_for: Callable[[str], Operation],
        result_of: Callable[[Reply], _T],
    ) -> BatchResult[_T]:
        """Sees many operations through, as many at a time as a batch holds."""
        check_names(keys)
        results: BatchResult[_T] = {}
        remaining_keys = iter(keys)
        while batch := list(islice(remaining_keys, BATCH_OPERATIONS_MAX)):
            started: dict[str, Operation] = {}
            for key in batch:
                try:
                    started[key] = operation = operation_for(key)
                except InvalidArgument as error:
                    results[key] = error
                else:
                    self._submit(operation)
            try:
                outcomes = await self._outcomes(started)
            finally:  # who has given up has nothing sent any more
                for operation in started.values():
                    operation.future.cancel()
            for key, outcome in outcomes.items():
                if isinstance(outcome, TandemError):
                    results[key] = outcome
                else:
                    self.saw(key, outcome)
                    results[key] = result_of(outcome)
        return results

    async def put_many(
        self, items: Mapping[str, Item | bytes | str], timeout_s: float | None
    ) -> BatchResult[Version]:
        """Sees many puts through."""
        check_items(items)

        def put(key: str) -> PutOperation:
            item = items[key]
            if not isinstance(item, Item):
                item = Item(item)
            return self.put(
                key, item.value, item.metadata, item.expires_at, item.ttl, None, timeout_s
            )

        return await self.many(items, put, lambda reply: Version(reply.version))

    async def _outcomes(self, submitted: dict[str, Operation]) -> dict[str, Outcome]:
        """What becomes of operations; those that failed are tried again together."""
        outcomes = {key: await operation.future for key, operation in submitted.items()}
        failed = [key for key, outcome in outcomes.items() if _failed(outcome)]
        again = await asyncio.gather(*(self._outcome(submitted[key]) for key in failed))
        return outcomes | dict(zip(failed, again, strict=True))

    async def _outcome(self, operation: Operation) -> Outcome:
        try:
            return await self._reply(operation)
        except TandemError as error:
            return error


def as_read(reply: Reply) -> kv_pb2.GetReply:
    """The reply to a read."""
    assert isinstance(reply, kv_pb2.GetReply)
    return reply


def as_written(reply: Reply) -> kv_pb2.WriteReply:
    """The reply to a write."""
    assert isinstance(reply, kv_pb2.WriteReply)
    return reply


def _failed(outcome: Outcome) -> bool:
    return isinstance(outcome, TandemError) or outcome.HasField("error")


def _newest_in(reply: Reply) -> bytes:
    """The highest version of its key that a reply speaks of."""
    match reply:
        case kv_pb2.WriteReply():
            return max(reply.version, reply.superseded_by)
        case _:
            return reply.version
