"""One operation on its way through a lane: what it says on the wire and who waits for it."""

from asyncio import Future
from typing import ClassVar

from tandem.errors import TandemError
from tandem.wire.v1 import kv_pb2

Reply = kv_pb2.GetReply | kv_pb2.WriteReply
Outcome = Reply | TandemError
"""A failure is a value until the caller takes it, so nobody must take it."""


class Operation:
    """An operation that waits for its reply until `deadline_s` of the loop's clock."""

    __slots__ = ("deadline_s", "future", "key")
    repeatable: ClassVar[bool]
    """Whether doing it twice is the same as doing it once."""
    size: int

    def __init__(self, key: bytes, future: Future[Outcome], deadline_s: float) -> None:
        self.key = key
        self.future = future
        self.deadline_s = deadline_s

    def write_to(self, batch: kv_pb2.BatchRequest, operation_id: int, namespace: str) -> None:
        """Adds the operation to a message."""
        raise NotImplementedError

    def finish(self, outcome: Outcome) -> None:
        """Hands the outcome over, unless the caller has gone."""
        if not self.future.done():
            self.future.set_result(outcome)


class GetOperation(Operation):
    """Reads a key."""

    __slots__ = ("cache_ttl_s", "min_version")
    repeatable = True
    size = 0

    def __init__(
        self,
        key: bytes,
        future: Future[Outcome],
        deadline_s: float,
        min_version: bytes,
        cache_ttl_s: int,
    ) -> None:
        super().__init__(key, future, deadline_s)
        self.min_version = min_version
        self.cache_ttl_s = cache_ttl_s

    def write_to(self, batch: kv_pb2.BatchRequest, operation_id: int, namespace: str) -> None:
        """Adds the operation to a message."""
        message = batch.gets.add()
        message.id = operation_id
        message.namespace = namespace
        message.key = self.key
        if self.min_version:
            message.min_version = self.min_version
        if self.cache_ttl_s:
            message.cache_ttl_s = self.cache_ttl_s


class PutOperation(Operation):
    """Writes a key."""

    __slots__ = ("above", "expires_at_s", "metadata", "size", "ttl_s", "value")
    repeatable = False

    def __init__(
        self,
        key: bytes,
        future: Future[Outcome],
        deadline_s: float,
        value: bytes,
        metadata: bytes,
        expires_at_s: int,
        ttl_s: int,
        above: bytes,
    ) -> None:
        super().__init__(key, future, deadline_s)
        self.value = value
        self.metadata = metadata
        self.expires_at_s = expires_at_s
        self.ttl_s = ttl_s
        self.above = above
        self.size = len(value)

    def write_to(self, batch: kv_pb2.BatchRequest, operation_id: int, namespace: str) -> None:
        """Adds the operation to a message."""
        message = batch.puts.add()
        message.id = operation_id
        fill_put(message, self, namespace)


class DeleteOperation(Operation):
    """Deletes a key."""

    __slots__ = ("above",)
    repeatable = False
    size = 0

    def __init__(
        self, key: bytes, future: Future[Outcome], deadline_s: float, above: bytes
    ) -> None:
        super().__init__(key, future, deadline_s)
        self.above = above

    def write_to(self, batch: kv_pb2.BatchRequest, operation_id: int, namespace: str) -> None:
        """Adds the operation to a message."""
        message = batch.deletes.add()
        message.id = operation_id
        message.namespace = namespace
        message.key = self.key
        if self.above:
            message.above = self.above


def fill_put(message: kv_pb2.PutRequest, put: PutOperation, namespace: str) -> None:
    """Writes a put into its message."""
    message.namespace = namespace
    message.key = put.key
    message.value = put.value
    if put.metadata:
        message.metadata = put.metadata
    if put.expires_at_s:
        message.expires_at_s = put.expires_at_s
    if put.ttl_s:
        message.expiration_ttl_s = put.ttl_s
    if put.above:
        message.above = put.above
