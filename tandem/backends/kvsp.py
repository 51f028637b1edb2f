"""The SQL home as its gateways see it: KVSP behind two streams of batches and a unary scan.

Large envelopes travel on a stream of their own, so that small messages do not wait behind them.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

import grpc
import grpc.aio

from tandem.backends.kvsp_lane import CLOSED, Lane, LaneLimits
from tandem.backends.port import Heal, Puts, Replied, ScanPage
from tandem.core.cluster_life import ClusterLife, shown_lives
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US, KIB, MIB
from tandem.core.record import Record
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.runtime.randomness import Entropy
from tandem.wire import collect_codec as collecting
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc

_Reply = TypeVar("_Reply")

_LARGE_BYTES: Final = 64 * KIB
_SMALL: Final = LaneLimits()
_LARGE: Final = LaneLimits(operations_max=1_024, bytes_max=256 * MIB)

_CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", codec.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", codec.MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.use_local_subchannel_pool", 1),
)


class KvspBackend:
    """A home (`tandem.backends.port`, `CollectableRows`); make and `start` it inside the loop."""

    side = Side.KVSP
    clock_skew_max_us = CLOCK_SKEW_MAX_US

    def __init__(
        self,
        address: str,
        entropy: Entropy,
        *,
        small: LaneLimits = _SMALL,
        large: LaneLimits = _LARGE,
    ) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = rpc.StorageStub(self._channel)

        def lane(limits: LaneLimits) -> Lane:
            return Lane(self._stub.Exchange, lambda: entropy.uniform(0.0, 1.0), limits)

        self._closed = False
        self._small = lane(small)
        self._large = lane(large)

    def start(self) -> None:
        """Begins to connect; what is asked before the first connection waits for it."""
        self._small.start()
        self._large.start()

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> "Future[ReadReply]":
        """Reads one record. KVSP sends a record whole, so `needed` is never asked."""
        return self._small.get(key, deadline_s)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> "Future[WriteReply]":
        """Stores `record` unless KVSP holds a newer one."""
        lane = self._small if len(record.envelope) <= _LARGE_BYTES else self._large
        future: Future[WriteReply] = asyncio.get_running_loop().create_future()
        lane.put([(key, record)], deadline_s, heal, partial(_resolve, future))
        return future

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        """Stores a group of records."""
        large = [at for at, (_, record) in enumerate(puts) if len(record.envelope) > _LARGE_BYTES]
        if not large:
            self._small.put(puts, deadline_s, None, replied)
            return
        small = sorted(set(range(len(puts))) - set(large))
        for lane, positions in ((self._small, small), (self._large, large)):
            part = [puts[position] for position in positions]
            lane.put(part, deadline_s, None, partial(_replaced, positions, replied))

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists names over all clusters."""
        request = codec.scan_request(
            codec.Scan(namespace, after.encode(), prefix.encode(), min(limit, codec.SCAN_LIMIT_MAX))
        )
        reply = await self._answer(lambda: self._stub.Scan(request, timeout=deadline_s))
        if isinstance(reply, Failed):
            return reply
        try:
            entries = codec.parse_entries(reply)
        except (ValueError, KeyError) as error:
            return Failed(Reason.ERROR, f"not a listing: {error!r}", reply.home_time_us)
        next_after = None if reply.ended else entries[-1].name
        return ScanPage(entries, next_after, reply.home_time_us, reply.complete)

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        """Which life every cluster is in."""
        request = pb.ClustersRequest(floors=floors)
        reply = await self._answer(lambda: self._stub.Clusters(request, timeout=deadline_s))
        return reply if isinstance(reply, Failed) else collecting.parse_clusters(reply)

    async def incarnation(self, deadline_s: float) -> str | Failed:
        """The incarnations of all clusters."""
        clusters = await self.clusters(deadline_s)
        if isinstance(clusters, Failed):
            return clusters
        return shown_lives(clusters)

    async def raise_floor(
        self, raising: FloorRaise, deadline_s: float
    ) -> Mapping[str, FloorReply | Failed] | Failed:
        """Raises the floor of a range in the clusters that are named."""
        request = collecting.raise_request(raising)
        reply = await self._answer(lambda: self._stub.RaiseFloor(request, timeout=deadline_s))
        return reply if isinstance(reply, Failed) else collecting.parse_raised(reply)

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        """Removes dead rows, PURGED_ROWS_MAX at most."""
        request = collecting.purge_request(purge)
        reply = await self._answer(lambda: self._stub.PurgeRows(request, timeout=deadline_s))
        if isinstance(reply, Failed):
            return [reply] * len(purge.rows)
        return collecting.parse_purged(reply)

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        """Begins a new life of one cluster."""
        request = collecting.renew_request(renewal)
        reply = await self._answer(lambda: self._stub.RenewCluster(request, timeout=deadline_s))
        return reply if isinstance(reply, Failed) else collecting.parse_renewed(reply)

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        """Removes up to `limit` rows of a deleted namespace from each cluster."""
        request = pb.PurgeNamespaceRequest(namespace=namespace, limit=limit)
        reply = await self._answer(lambda: self._stub.PurgeNamespace(request, timeout=deadline_s))
        return reply if isinstance(reply, Failed) else collecting.parse_namespace_purged(reply)

    async def _answer(self, call: Callable[[], Awaitable[_Reply]]) -> _Reply | Failed:
        if self._closed:
            return CLOSED
        try:
            return await call()
        except asyncio.CancelledError:
            # gRPC cancels its calls when the channel is closed; our own cancellation goes on.
            if _is_cancelled():
                raise
            return CLOSED
        except grpc.aio.AioRpcError as error:
            return _failed(error)

    async def aclose(self) -> None:
        """Closes the streams; what is under way fails."""
        self._closed = True
        await self._small.aclose()
        await self._large.aclose()
        await self._channel.close()


def _resolve(future: "Future[WriteReply]", replies: Sequence[tuple[int, WriteReply]]) -> None:
    if not future.done():
        future.set_result(replies[0][1])


def _replaced(
    positions: Sequence[int], replied: Replied, replies: Sequence[tuple[int, WriteReply]]
) -> None:
    replied([(positions[at], reply) for at, reply in replies])


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(error: grpc.aio.AioRpcError) -> Failed:
    text = error.details() or error.code().name
    match error.code():
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Failed(Reason.TIMEOUT, text)
        case grpc.StatusCode.UNAVAILABLE:
            return Failed(Reason.UNREACHABLE, text)
        case _:
            return Failed(Reason.ERROR, text)
