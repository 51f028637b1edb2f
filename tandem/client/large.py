"""Values in pieces: one stream of its own for each, so nothing small waits behind it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Final

import grpc

from tandem.client.arguments import value_bytes
from tandem.core.limits import KIB
from tandem.core.request import check_value_size
from tandem.core.version import Version
from tandem.errors import Unavailable
from tandem.wire.admission import is_admitted
from tandem.wire.codec import JsonValue
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


async def upload(
    call: _PutCall, head: kv_pb2.PutRequest, source: Source, namespace: str, left_s: float
) -> kv_pb2.WriteReply:
    """Sends a value over a PutStream call and returns its reply.

    Pieces follow once the gateway has admitted the head. When `source` raises or turns out too
    large, nothing is written, and the caller gets the error. `left_s` is for what it takes to give
    its pieces, too.
    """
    try:
        async with asyncio.timeout(left_s) as limit:
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


async def _send(call: _PutCall, source: Source) -> None:
    size = 0
    async for piece in _pieces(source):
        size += len(piece)
        check_value_size(size)
        await call.write(kv_pb2.PutChunk(data=piece))
    await call.write(kv_pb2.PutChunk(last=True))
    await call.done_writing()


async def opened(
    stub: kv_pb2_grpc.KVStub, request: kv_pb2.GetRequest, *, timeout: float
) -> tuple[_GetCall, kv_pb2.GetReply]:
    """A GetStream call, and what it says before the pieces; AioRpcError when it fails before."""
    call: _GetCall = stub.GetStream(request, timeout=timeout)
    chunk = await call.read()
    if not isinstance(chunk, kv_pb2.GetChunk):
        raise Unavailable("the gateway ended the stream without an answer")
    return call, chunk.head


async def remaining(call: _GetCall, first: bytes, namespace: str) -> AsyncGenerator[bytes, None]:
    """The pieces of a GetStream call; it is cancelled when the iteration is given up."""
    try:
        if first:
            yield first
        while isinstance(chunk := await call.read(), kv_pb2.GetChunk):
            yield chunk.data
    except grpc.aio.AioRpcError as error:
        raise error_of_call(error, namespace) from None
    finally:
        call.cancel()


async def _pieces(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, str | bytes | bytearray | memoryview):
        whole = value_bytes(source)
        for start in range(0, len(whole), CHUNK_BYTES):
            yield whole[start : start + CHUNK_BYTES]
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield value_bytes(piece)
    else:
        for piece in source:
            yield value_bytes(piece)
