"""One Exchange stream: reads batches as long as there is room, writes answers as they are ready.

Two coroutines share it. The reader starts what a message asks for and stops reading at a bound on
operations or bytes in flight, so a client that sends faster than it reads is held back by gRPC's
flow control and grows nothing here. The writer sends whatever became ready in a loop turn.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import grpc

from kvgateway.access.quotas import REFUSAL_PAUSE_S
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.dispatch import Dispatch, Sink
from kvgateway.rpc.outbox import Outbox
from kvgateway.rpc.turns import LargeTurns
from tandem.core.limits import BATCH_OPERATIONS_MAX, KIB, MIB
from tandem.core.request import ReadResult, Written
from tandem.errors import InvalidArgument
from tandem.runtime.clock import Clock, now_s
from tandem.wire import codec
from tandem.wire.admission import admit
from tandem.wire.long_values import BatchMessage, BatchReplyMessage
from tandem.wire.v1 import kv_pb2

OPERATIONS_MAX: Final = 4 * BATCH_OPERATIONS_MAX
BYTES_MAX: Final = 64 * MIB
"""Bounds of one stream; one more message of full size may be on top."""

LIGHT_BYTES: Final = 1 * KIB
"""Messages with less than this for each operation are bounded by the number of these alone."""

REFUSED_OPERATION_PAUSE_S: Final = 0.002
"""A stream is not read for so long for each operation that a quota has refused, nor for less than
REFUSAL_PAUSE_S: who asks again at once, whatever it is told, leaves the worker to others."""
REFUSED_PAUSE_S_MAX: Final = 1.0

_Context = grpc.aio.ServicerContext[BatchMessage, BatchReplyMessage]


class ExchangeStream:
    """The state of one stream from its first message to its status."""

    def __init__(
        self, dispatch: Dispatch, clock: Clock, turns: LargeTurns, memory: CallMemory
    ) -> None:
        self._memory = memory
        self._dispatch = dispatch
        self._turns = turns
        self._clock = clock
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._outbox = Outbox(lambda: clock.now_us() / 1e6, self._ready.set)
        self._operations = 0
        self._heavy_bytes = 0
        self._ended = False
        self._broken = False

    async def run(self, context: _Context) -> None:
        """Serves the stream until the client has ended it and everything is answered.

        Raises what reading has met unexpectedly.
        """
        await admit(context)
        reader = asyncio.create_task(self._read(context))
        reader.add_done_callback(self._reading_ended)
        try:
            with self._memory.call(context):
                await self._write(context)
        finally:
            reader.cancel()
        if not reader.cancelled() and (error := reader.exception()):
            raise error

    def drain(self) -> None:
        """Asks the client to end its side; what it sends until then is still answered."""
        self._outbox.announce_drain()

    async def _read(self, context: _Context) -> None:
        while True:
            message: Any = await context.read()
            if message is grpc.aio.EOF:
                return
            refused_before = self._outbox.over_quota
            await self._accept(message)
            del message
            if refused := self._outbox.over_quota - refused_before:
                pause_s = max(REFUSAL_PAUSE_S, refused * REFUSED_OPERATION_PAUSE_S)
                await asyncio.sleep(min(pause_s, REFUSED_PAUSE_S_MAX))
            while self._full():
                self._room.clear()
                await self._room.wait()

    async def _accept(self, message: BatchMessage) -> None:
        batch, size, value = message
        try:
            codec.check_batch(batch, size)
        except InvalidArgument as error:
            await self._refuse(batch, error)
            return
        operations = len(batch.gets) + len(batch.puts) + len(batch.deletes)
        self._operations += operations
        sink: Sink = self._outbox
        if operations and size > operations * LIGHT_BYTES:
            self._heavy_bytes += size
            sink = _HeavyBatch(self._outbox, operations, partial(self._lighten, size))
        if value is not None:
            await self._turns.next()
        await self._dispatch.start(batch, now_s(self._clock), sink, value)

    def _lighten(self, size: int) -> None:
        self._heavy_bytes -= size

    async def _refuse(self, batch: kv_pb2.BatchRequest, error: InvalidArgument) -> None:
        """Answers every operation of a batch that is too large, never more than fit in flight."""
        for is_get, operation_id in _operations_of(batch):
            self._operations += 1
            if is_get:
                self._outbox.answer_read(operation_id, error)
            else:
                self._outbox.answer_write(operation_id, error)
            while self._full():
                self._room.clear()
                await self._room.wait()

    async def _write(self, context: _Context) -> None:
        while True:
            if self._outbox:
                parcel = self._outbox.take()
                if parcel.record is not None:
                    await self._turns.next()
                await context.write(BatchReplyMessage(parcel.reply, parcel.record))
                self._operations -= parcel.operations
                del parcel  # it need not live until there is another one
                self._room.set()
            elif self._ended and (self._broken or not self._operations):
                return
            else:
                self._ready.clear()
                await self._ready.wait()

    def _full(self) -> bool:
        return (
            self._operations >= OPERATIONS_MAX
            or self._heavy_bytes + self._outbox.value_bytes >= BYTES_MAX
        )

    def _reading_ended(self, reader: asyncio.Task[None]) -> None:
        """What a reader that broke has begun may never be answered: nobody waits for it then."""
        self._ended = True
        self._broken = not reader.cancelled() and reader.exception() is not None
        self._ready.set()


class _HeavyBatch:
    """Passes answers on, and says when the last one has made the request's bytes free."""

    __slots__ = ("_answered", "_left", "_sink")

    def __init__(self, sink: Sink, operations: int, answered: Callable[[], None]) -> None:
        self._sink = sink
        self._left = operations
        self._answered = answered

    def answer_read(self, operation_id: int, outcome: ReadResult | BaseException) -> None:
        self._sink.answer_read(operation_id, outcome)
        self._count()

    def answer_write(self, operation_id: int, outcome: Written | BaseException) -> None:
        self._sink.answer_write(operation_id, outcome)
        self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            self._answered()


def _operations_of(batch: kv_pb2.BatchRequest) -> Iterator[tuple[bool, int]]:
    yield from ((True, message.id) for message in batch.gets)
    yield from ((False, message.id) for message in batch.puts)
    yield from ((False, message.id) for message in batch.deletes)
