"""The KV service: each method checks, asks the gateway, and answers."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import grpc

from kvgateway.access.body_room import BodyRoom, Share
from kvgateway.outcome import settled
from kvgateway.rpc.arrival import ARRIVAL_S, PROMPT_S, piece
from kvgateway.rpc.batch_answers import BatchAnswers
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.callers import Callers
from kvgateway.rpc.dispatch import Dispatch
from kvgateway.rpc.exchange import ExchangeStream
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.turns import LargeTurns
from kvgateway.service import KeyValues
from tandem.backends.port import Ahead
from tandem.core.limits import LARGE_BODY_BYTES, PIECE_BYTES, VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.request import ReadResult, Write, Written, check_value_size
from tandem.errors import InvalidArgument, Overloaded, TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.intake import Intake
from tandem.wire import codec
from tandem.wire.admission import admit
from tandem.wire.long_values import GetMessage, PutMessage, get_message
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc

DISCARDED_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX

_Context = grpc.aio.ServicerContext[Any, Any]


class KvService(kv_pb2_grpc.KVServicer):
    """Serves each caller's `KeyValues` over gRPC."""

    def __init__(
        self,
        callers: Callers,
        clock: Clock,
        failures: Failures,
        room: BodyRoom,
        turns: LargeTurns,
        memory: CallMemory,
    ) -> None:
        self._memory = memory
        self._callers = callers
        self._turns = turns
        self._clock = clock
        self._failures = failures
        self._room = room
        self._streams: dict[ExchangeStream, None] = {}
        self._draining = False

    async def Get(self, request: kv_pb2.GetRequest, context: _Context) -> GetMessage:
        """Reads one key."""
        result = await _read(await self._keyvalues_for(context), request)
        message = get_message(request.id, result, self._now_s())
        if message.record is not None:
            self._memory.check()
            await self._turns.next()
        return message

    async def Put(self, message: PutMessage, context: _Context) -> kv_pb2.WriteReply:
        """Writes one key."""
        keyvalues = await self._keyvalues_for(context)
        request, value = message
        put, operation_id = codec.put_of(request, int(self._now_s()), value), request.id
        del message, request, value  # what is large lives on in its envelope alone
        written = _begun(keyvalues, put)
        del put
        return await _written(written, operation_id)

    async def Delete(self, request: kv_pb2.DeleteRequest, context: _Context) -> kv_pb2.WriteReply:
        """Deletes one key; one that is not there is a success too."""
        keyvalues = await self._keyvalues_for(context)
        return await _written(_begun(keyvalues, codec.delete_of(request)), request.id)

    async def List(self, request: kv_pb2.ListRequest, context: _Context) -> kv_pb2.ListReply:
        """Lists one page of live names."""
        keyvalues = await self._keyvalues_for(context)
        listing = codec.listing_of(request)
        return codec.list_reply_of(listing, await keyvalues.list(listing))

    async def Batch(self, request: kv_pb2.BatchRequest, context: _Context) -> kv_pb2.BatchReply:
        """Many operations with one reply; a batch over a limit is refused whole."""
        dispatch = Dispatch(await self._keyvalues_for(context), self._failures)
        codec.check_batch(request, request.ByteSize())
        answers = BatchAnswers(request, self._now_s())
        await dispatch.start(request, int(self._now_s()), answers)
        await answers.complete
        if answers.value_bytes > LARGE_BODY_BYTES:
            self._memory.check()
            await answers.put_long_values(self._turns)
        return answers.reply

    async def Exchange(self, _requests: object, context: _Context) -> None:
        """Batches as they come, answers as they are ready."""
        dispatch = Dispatch(await self._keyvalues_for(context), self._failures)
        stream = ExchangeStream(dispatch, self._clock, self._turns, self._memory)
        if self._draining:
            stream.drain()
        self._streams[stream] = None
        try:
            await stream.run(context)
        finally:
            del self._streams[stream]

    async def PutStream(self, _requests: object, context: _Context) -> kv_pb2.WriteReply:
        """Writes one value that comes in pieces; a stream without its last piece writes nothing.

        The head is waited for before anything is refused, and checked before the client is told
        that it is admitted; a value that is too large, or finds no room, is read on for a while,
        and dropped: a client that is answered while it sends may see its own failed send instead of
        the answer.
        """
        try:
            caller = await self._callers.of(context)
        except TandemError:
            with self._memory.call(context), suppress(TandemError):
                await piece(context, PROMPT_S)
            raise
        with self._memory.call(context):
            chunk = await piece(context, ARRIVAL_S)
        if chunk is grpc.aio.EOF:
            raise InvalidArgument("head", "the stream ended before its first piece")
        codec.put_of(chunk.head, int(self._now_s()))  # what is wrong with it is told here
        keyvalues, namespace = caller.keyvalues, chunk.head.namespace
        await caller.namespaces.get(namespace)
        with keyvalues.admit_body(namespace, None) as ahead, Share(self._room) as share:
            share.count(len(chunk.head.value) + len(chunk.data))
            await admit(context)
            operation_id = chunk.head.id
            with self._memory.call(context):
                put = await self._put_in_pieces(chunk, context, share, ahead)
            written = _begun(keyvalues, put)
            del put
            return await _written(written, operation_id)

    async def _put_in_pieces(
        self,
        chunk: Any,  # noqa: ANN401
        context: _Context,
        share: Share,
        ahead: Ahead | None,
    ) -> Write:
        head = chunk.head
        full: Overloaded | None = None
        intake = Intake(len(head.value) + len(chunk.data), ahead)
        await intake.add(head.value)
        await intake.add(chunk.data)
        size = len(intake)
        while not chunk.last and size <= DISCARDED_BYTES_MAX:
            chunk = await piece(context, ARRIVAL_S)
            if chunk is grpc.aio.EOF:
                raise InvalidArgument("last", "the stream ended before its last piece")
            size += len(chunk.data)
            try:
                if full is None and size <= VALUE_BYTES_MAX:
                    share.count(len(chunk.data))
                    await intake.add(chunk.data)
                    continue
            except Overloaded as error:
                full = error
            intake = Intake(0)
        check_value_size(size)
        if full is not None:
            raise full
        await intake.whole()
        return codec.put_of(head, int(self._now_s()), intake)

    async def GetStream(self, request: kv_pb2.GetRequest, context: _Context) -> None:
        """Reads one value in pieces."""
        result = await _read(await self._keyvalues_for(context), request)
        head = kv_pb2.GetReply(id=request.id)
        codec.fill_read(head, result, self._now_s(), PIECE_BYTES)
        await context.write(kv_pb2.GetChunk(head=head))
        if result.record is not None and head.found:
            with self._memory.call(context):
                await _write_pieces(result.record, context)

    def drain(self) -> None:
        """Asks the clients of open streams to end them; all that they sent is answered first."""
        self._draining = True
        for stream in self._streams:
            stream.drain()

    async def _keyvalues_for(self, context: _Context) -> KeyValues:
        return (await self._callers.of(context)).keyvalues

    def _now_s(self) -> float:
        return self._clock.now_us() / 1e6


async def _write_pieces(record: Record, context: _Context) -> None:
    """Writes what follows the first piece of a value."""
    value = memoryview(record.envelope)[: record.value_size]
    for start in range(PIECE_BYTES, len(value), PIECE_BYTES):
        await context.write(kv_pb2.GetChunk(data=bytes(value[start : start + PIECE_BYTES])))


async def _read(keyvalues: KeyValues, request: kv_pb2.GetRequest) -> ReadResult:
    (outcome,) = keyvalues.read((codec.read_of(request),))
    return await settled(outcome)


def _begun(keyvalues: KeyValues, write: Write) -> TandemError | asyncio.Future[Written]:
    (outcome,) = keyvalues.write((write,))
    return outcome


async def _written(
    outcome: TandemError | asyncio.Future[Written], operation_id: int
) -> kv_pb2.WriteReply:
    reply = kv_pb2.WriteReply(id=operation_id)
    codec.fill_written(reply, await settled(outcome))
    return reply
