"""Values in pieces: one stream of its own for each, so nothing small waits behind it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import grpc

from tandem.client.arguments import value_bytes
from tandem.client.calls import Calls
from tandem.client.operations import GetOperation, PutOperation, fill_put
from tandem.client.retries import Retries
from tandem.core.limits import KIB
from tandem.core.request import check_value_size
from tandem.core.version import Version
from tandem.errors import InvalidArgument, Unavailable
from tandem.wire.admission import is_admitted
from tandem.wire.codec import JsonValue, decode_metadata
from tandem.wire.status import error_of_call
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc

CHUNK_BYTES: Final = 256 * KIB

_PutCall = grpc.aio.StreamUnaryCall[kv_pb2.PutChunk, kv_pb2.WriteReply]
_GetCall = grpc.aio.UnaryStreamCall[kv_pb2.GetRequest, kv_pb2.GetChunk]

Piece = bytes | str
"""Whatever has bytes, or text, which is UTF-8: as a value may be given whole."""
Source = Piece | Iterable[Piece] | AsyncIterable[Piece]


@dataclass(frozen=True, slots=True)
class StreamedEntry:
    """An entry whose value is still on its way; iterate it once for the pieces."""

    pieces: AsyncGenerator[bytes, None]
    metadata: JsonValue
    expires_at_s: int | None
    version: Version

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.pieces


class LargeValues:
    """Puts and reads values in pieces, for one client and one namespace."""

    def __init__(self, stub: kv_pb2_grpc.KVStub, calls: Calls, retries: Retries) -> None:
        self._stub = stub
        self._calls = calls
        self._retries = retries

    async def put(self, key: str, put: PutOperation, source: Source) -> Version:
        """See `Client.put_stream`; `put` is all of it but the value."""
        head = kv_pb2.PutRequest()
        fill_put(head, put, self._calls.namespace_id)
        left_s = self._calls.left_s(put)
        with self._retries.under_way():
            call = self._stub.PutStream(timeout=left_s)
            reply = await _upload(call, head, source, self._calls.namespace_id, left_s)
        self._calls.saw(key, reply)
        return Version(reply.version)

    async def get(self, key: str, get: GetOperation) -> StreamedEntry | None:
        """See `Client.get_stream`."""
        request = kv_pb2.GetRequest(
            namespace=self._calls.namespace_id,
            key=get.key,
            min_version=get.min_version,
            cache_ttl_s=get.cache_ttl_s,
        )
        call, head = await self._retries.call(
            partial(_opened, self._stub),
            request,
            self._calls.namespace_id,
            timeout_s=self._calls.left_s(get),
            repeatable=True,
        )
        self._calls.saw(key, head)
        if not head.found:
            return None
        return StreamedEntry(
            self._remaining(call, head.value),
            decode_metadata(head.metadata),
            head.expires_at_s or None,
            Version(head.version),
        )

    async def _remaining(self, call: _GetCall, first: bytes) -> AsyncGenerator[bytes, None]:
        """The pieces; the call is cancelled when the iteration is given up."""
        try:
            if first:
                yield first
            while (chunk := await self._next(call)) is not None:
                yield chunk.data
        finally:
            call.cancel()

    async def _next(self, call: _GetCall) -> kv_pb2.GetChunk | None:
        try:
            with self._retries.under_way():
                chunk = await call.read()
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, self._calls.namespace_id) from None
        return chunk if isinstance(chunk, kv_pb2.GetChunk) else None


async def _upload(
    call: _PutCall, head: kv_pb2.PutRequest, source: Source, namespace: str, left_s: float
) -> kv_pb2.WriteReply:
    """Sends a value over a PutStream call and returns its reply.

    Pieces follow once the gateway has admitted the head. When `source` raises or turns out too
    large, nothing is written, and the caller gets the error. `left_s` is for what it takes to give
    its pieces, too; a call that ends before that is waited for no longer.
    """
    try:
        async with asyncio.timeout(left_s) as limit:
            call.add_done_callback(partial(_expire, limit))
            await call.write(kv_pb2.PutChunk(head=head))
            if await is_admitted(call):
                await _send(call, source)
    except TimeoutError:
        if not limit.expired():  # it is the source's own
            call.cancel()
            raise
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # The gateway has ended the call early; awaiting it tells why.
    except BaseException:
        call.cancel()
        raise
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, namespace) from None


def _expire(limit: asyncio.Timeout, _: object) -> None:
    with suppress(RuntimeError):  # it was left already
        limit.reschedule(0.0)


async def _send(call: _PutCall, source: Source) -> None:
    size = 0
    async for piece in _pieces(source):
        size += len(piece)
        check_value_size(size)
        await call.write(kv_pb2.PutChunk(data=piece))
    await call.write(kv_pb2.PutChunk(last=True))
    await call.done_writing()


async def _opened(
    stub: kv_pb2_grpc.KVStub, request: kv_pb2.GetRequest, *, timeout: float
) -> tuple[_GetCall, kv_pb2.GetReply]:
    """A GetStream call, and what it says before the pieces; AioRpcError when it fails before."""
    call: _GetCall = stub.GetStream(request, timeout=timeout)
    try:
        chunk = await call.read()
    except BaseException:
        call.cancel()  # gRPC does not where the answer has just begun
        raise
    if not isinstance(chunk, kv_pb2.GetChunk):
        raise Unavailable("the gateway ended the stream without an answer")
    return call, chunk.head


async def _pieces(source: object) -> AsyncIterator[bytes]:
    if isinstance(source, str | bytes | bytearray | memoryview):
        whole = value_bytes(source)
        for start in range(0, len(whole), CHUNK_BYTES):
            yield whole[start : start + CHUNK_BYTES]
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield value_bytes(piece)
    elif isinstance(source, Iterable):
        for piece in source:
            yield value_bytes(piece)
    else:
        name = type(source).__name__
        raise InvalidArgument("source", f"must be bytes, text, or pieces of these, not {name}")
