"""The gRPC face of KVSP: streams of batches, scans, status."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import grpc
import grpc.aio

from kvsp.exchange import Exchange
from kvsp.pieces import write_pieces
from kvsp.store import Store
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.reply import Failed
from tandem.errors import InvalidArgument
from tandem.runtime.clock import Clock
from tandem.runtime.rpc_health import HANDSHAKE_LIMIT, PINGS
from tandem.wire import collect_codec as collecting
from tandem.wire import large_codec
from tandem.wire import scan_codec as scanning
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc

SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", codec.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", codec.MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    HANDSHAKE_LIMIT,
    *PINGS,
)

_LARGE_READS_MAX: Final = 32
"""Each holds one piece; what is asked above waits, up to its own deadline."""

_Request = TypeVar("_Request")
_Parsed = TypeVar("_Parsed")
_Message = TypeVar("_Message", pb.StorageReply, pb.LargePiece)
_Context = grpc.aio.ServicerContext[pb.StorageRequest, pb.StorageReply]


@dataclass(slots=True)
class StorageCounters:
    """What the service has done since the start."""

    streams: int = 0
    messages: int = 0
    scans: int = 0
    names: int = 0
    scans_failed: int = 0
    scans_incomplete: int = 0


class StorageService(rpc.StorageServicer):
    """Answers gateways and crawlers out of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._draining = asyncio.Event()
        self._large_reads = asyncio.Semaphore(_LARGE_READS_MAX)
        self.counters = StorageCounters()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Lets `server` serve this."""
        rpc.add_StorageServicer_to_server(self, server)

    def drain(self) -> None:
        """Ends every stream after the answers to what it has brought."""
        self._draining.set()

    async def Exchange(self, _: AsyncIterator[pb.StorageRequest], context: _Context) -> None:
        """See storage.proto."""
        await context.send_initial_metadata(())
        self.counters.streams += 1
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            with closing(
                Exchange(self._store, self._clock, partial(_write, context), tasks)
            ) as exchange:
                sender = tasks.create_task(exchange.send_on())
                drain = tasks.create_task(_when(self._draining, ended))
                reader = tasks.create_task(_read_on(context, exchange, ended, self.counters))
                await ended.wait()
                reader.cancel()
                drain.cancel()
                await exchange.drained()
                sender.cancel()
        if not reader.cancelled() and (refused := reader.result()) is not None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refused))

    async def PutLarge(
        self,
        _: AsyncIterator[pb.LargePut],
        context: grpc.aio.ServicerContext[pb.LargePut, pb.StorageReply],
    ) -> pb.StorageReply:
        """See storage.proto."""
        try:
            outcome = await write_pieces(self._store, partial(_next_piece, context))
        except InvalidArgument as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        reply = codec.new_reply(self._clock.now_us())
        codec.add_written(reply, 0, outcome)
        return reply

    async def GetLarge(
        self,
        request: pb.LargeGet,
        context: grpc.aio.ServicerContext[pb.LargeGet, pb.LargePiece],
    ) -> None:
        """See storage.proto."""
        get = await _parsed(large_codec.parse_large_get, request, context)
        try:
            async with self._large_reads:
                async for piece in self._store.pieces(get):
                    await _write(context, pb.LargePiece(data=piece))
        except FileNotFoundError:
            await context.abort(grpc.StatusCode.NOT_FOUND, "the record was replaced long ago")
        except OSError as error:
            await context.abort(grpc.StatusCode.INTERNAL, f"the value cannot be read: {error}")

    async def Scan(
        self,
        request: pb.ScanRequest,
        context: grpc.aio.ServicerContext[pb.ScanRequest, pb.ScanReply],
    ) -> pb.ScanReply:
        """See storage.proto."""
        scan = await _parsed(scanning.parse_scan, request, context)
        listing = await self._store.scan(scan)
        self.counters.scans += 1
        if isinstance(listing, Failed):
            self.counters.scans_failed += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(listing))
        reply = pb.ScanReply(
            ended=listing.ended, complete=listing.complete, home_time_us=self._clock.now_us()
        )
        self.counters.names += len(listing.rows)
        self.counters.scans_incomplete += not listing.complete
        scanning.add_rows(reply, listing.rows)
        return reply

    async def Clusters(
        self,
        request: pb.ClustersRequest,
        context: grpc.aio.ServicerContext[pb.ClustersRequest, pb.ClustersReply],
    ) -> pb.ClustersReply:
        """See storage.proto."""
        lives = await self._store.lives(floors=request.floors)
        return collecting.clusters_reply(lives, self._clock.now_us(), request.floors)

    async def RaiseFloor(
        self,
        request: pb.RaiseFloorRequest,
        context: grpc.aio.ServicerContext[pb.RaiseFloorRequest, pb.RaiseFloorReply],
    ) -> pb.RaiseFloorReply:
        """See storage.proto."""
        raising = await _parsed(collecting.parse_raise, request, context)
        if raising.span.namespace in RESERVED_NAMESPACES:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a reserved namespace")
        replies = await self._store.raise_floor(raising)
        return collecting.raise_reply(replies, self._clock.now_us())

    async def PurgeRows(
        self,
        request: pb.PurgeRowsRequest,
        context: grpc.aio.ServicerContext[pb.PurgeRowsRequest, pb.PurgeRowsReply],
    ) -> pb.PurgeRowsReply:
        """See storage.proto."""
        purge = await _parsed(collecting.parse_purge, request, context)
        return collecting.purge_reply(await self._store.purge(purge), self._clock.now_us())

    async def RenewCluster(
        self,
        request: pb.RenewClusterRequest,
        context: grpc.aio.ServicerContext[pb.RenewClusterRequest, pb.RenewClusterReply],
    ) -> pb.RenewClusterReply:
        """See storage.proto."""
        renewal = await _parsed(collecting.parse_renewal, request, context)
        return collecting.renew_reply(await self._store.renew(renewal))

    async def PurgeNamespace(
        self,
        request: pb.PurgeNamespaceRequest,
        context: grpc.aio.ServicerContext[pb.PurgeNamespaceRequest, pb.PurgeNamespaceReply],
    ) -> pb.PurgeNamespaceReply:
        """See storage.proto."""
        namespace, limit = await _parsed(collecting.parse_namespace_purge, request, context)
        outcome = await self._store.purge_namespace(namespace, limit)
        return collecting.namespace_purge_reply(outcome)


async def _parsed(
    parse: Callable[[_Request], _Parsed],
    request: _Request,
    context: grpc.aio.ServicerContext[Any, Any],
) -> _Parsed:
    """What the message asks for; ends the call when it can never be done."""
    try:
        return parse(request)
    except InvalidArgument as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


async def _read_on(
    context: _Context, exchange: Exchange, ended: asyncio.Event, counters: StorageCounters
) -> InvalidArgument | None:
    """What is wrong with the message at which the reading stopped; None at the stream's end."""
    try:
        while (request := await _next(context)) is not None:
            counters.messages += 1
            await exchange.accept(request)
    except InvalidArgument as error:
        return error
    finally:
        ended.set()
    return None


async def _next(context: _Context) -> pb.StorageRequest | None:
    request: object = await context.read()
    return request if isinstance(request, pb.StorageRequest) else None


async def _next_piece(
    context: grpc.aio.ServicerContext[pb.LargePut, pb.StorageReply],
) -> large_codec.LargePutMessage | None:
    message: object = await context.read()
    return message if isinstance(message, (pb.LargePut, memoryview)) else None


async def _write(context: grpc.aio.ServicerContext[Any, _Message], message: _Message) -> None:
    try:
        await context.write(message)
    except grpc.aio.BaseError:
        # The gateway is gone, and gRPC is about to cancel the whole stream for it.
        await asyncio.Event().wait()


async def _when(event: asyncio.Event, then: asyncio.Event) -> None:
    await event.wait()
    then.set()
