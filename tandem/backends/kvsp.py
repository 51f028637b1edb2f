"""The SQL home as its gateways see it: KVSP behind two streams of batches and a unary scan.

Longer envelopes travel on a stream of their own, so that small messages do not wait behind them;
those above WHOLE_BYTES_MAX in pieces, each in a call of its own (`kvsp_large`).
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import grpc.aio

from tandem.backends.group_replies import reply_alone, reply_for, reply_into
from tandem.backends.kvsp_call import CLOSED, failed_call, is_cancelled, unreadable
from tandem.backends.kvsp_lane import Lane, LaneLimits
from tandem.backends.kvsp_large import LargeCalls, LargeLimits
from tandem.backends.port import Gets, Got, Heal, Needed, Puts, Replied, ScanPage
from tandem.core.cluster_life import ClusterLife, shown_lives
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US, KIB, WHOLE_BYTES_MAX
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
from tandem.core.reply import Failed, ReadReply, Side, WriteReply
from tandem.errors import InvalidArgument
from tandem.runtime.done import done
from tandem.runtime.randomness import Entropy
from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.tls import TlsFiles
from tandem.wire import collect_codec as collecting
from tandem.wire import large_codec
from tandem.wire import scan_codec as scanning
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc

_Message = TypeVar("_Message")
_Reply = TypeVar("_Reply")

_LONGER_BYTES: Final = 64 * KIB
_SMALL: Final = LaneLimits()
_LARGE: Final = LargeLimits()
_LONGER: Final = LaneLimits(operations_max=1_024)

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
        large: LargeLimits = _LARGE,
        tls: TlsFiles | None = None,
    ) -> None:
        """ConfigurationError when the files of `tls` are no good."""
        self._channel = open_channel(address, *_CHANNEL_OPTIONS, tls=tls)
        self._stub = rpc.StorageStub(self._channel)

        def lane(limits: LaneLimits) -> Lane:
            random = lambda: entropy.uniform(0.0, 1.0)  # noqa: E731
            return Lane(self._stub.Exchange, random, limits, self._large.fetch)

        self._closed = False
        put_large = self._channel.stream_unary(
            large_codec.PUT_LARGE,
            request_serializer=large_codec.encode_large_put,
            response_deserializer=pb.StorageReply.FromString,
        )
        self._large = LargeCalls(put_large, self._stub.GetLarge, large)
        self._small = lane(small)
        self._longer = lane(_LONGER)

    def start(self) -> None:
        """Begins to connect; what is asked before the first connection waits for it."""
        self._small.start()
        self._longer.start()

    @property
    def reached(self) -> int:
        """See `tandem.backends.port.ReachedAnew`."""
        return self._small.connections + self._longer.connections

    def get(self, key: Key, deadline_s: float, needed: Needed = None) -> "Future[ReadReply]":
        """Reads one record."""
        future: Future[ReadReply] = asyncio.get_running_loop().create_future()
        self._small.get([(key, needed)], deadline_s, reply_into(future))
        return future

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """Reads a group of records."""
        self._small.get(gets, deadline_s, got)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> "Future[WriteReply]":
        """Stores `record` unless KVSP holds a newer one."""
        size = len(record.envelope)
        if size > WHOLE_BYTES_MAX:
            return self._put_large(key, record, deadline_s, heal)
        lane = self._small if size <= _LONGER_BYTES else self._longer
        future: Future[WriteReply] = asyncio.get_running_loop().create_future()
        lane.put([(key, record)], deadline_s, heal, reply_into(future))
        return future

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        """Stores a group of records."""
        sizes = [len(record.envelope) for _, record in puts]
        if max(sizes, default=0) <= _LONGER_BYTES:
            self._small.put(puts, deadline_s, None, replied)
            return
        large = [at for at, size in enumerate(sizes) if size > WHOLE_BYTES_MAX]
        longer = [at for at, size in enumerate(sizes) if _LONGER_BYTES < size <= WHOLE_BYTES_MAX]
        small = [at for at, size in enumerate(sizes) if size <= _LONGER_BYTES]
        for lane, positions in ((self._small, small), (self._longer, longer)):
            if positions:
                part = [puts[position] for position in positions]
                lane.put(part, deadline_s, None, reply_for(positions, replied))
        for position in large:
            reply_alone(self._put_large(*puts[position], deadline_s, None), position, replied)

    def _put_large(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None
    ) -> "Future[WriteReply]":
        failure = self._small.failure
        return self._large.put(key, record, deadline_s, heal) if failure is None else done(failure)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists names over all clusters."""
        request = scanning.scan_request(
            scanning.Scan(
                namespace, after.encode(), prefix.encode(), min(limit, scanning.SCAN_LIMIT_MAX)
            )
        )

        def page(reply: pb.ScanReply) -> ScanPage:
            entries = scanning.parse_entries(reply)
            next_after = None if reply.ended else entries[-1].name
            return ScanPage(entries, next_after, reply.home_time_us, reply.complete)

        return await self._answer(lambda: self._stub.Scan(request, timeout=deadline_s), page)

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        """Which life every cluster is in."""
        request = pb.ClustersRequest(floors=floors)
        return await self._answer(
            lambda: self._stub.Clusters(request, timeout=deadline_s), collecting.parse_clusters
        )

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
        return await self._answer(
            lambda: self._stub.RaiseFloor(request, timeout=deadline_s), collecting.parse_raised
        )

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        """Removes dead rows, PURGED_ROWS_MAX at most."""
        request, count = collecting.purge_request(purge), len(purge.rows)
        outcomes = await self._answer(
            lambda: self._stub.PurgeRows(request, timeout=deadline_s),
            lambda reply: collecting.parse_purged(reply, count),
        )
        return [outcomes] * count if isinstance(outcomes, Failed) else outcomes

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        """Begins a new life of one cluster."""
        request = collecting.renew_request(renewal)
        return await self._answer(
            lambda: self._stub.RenewCluster(request, timeout=deadline_s), collecting.parse_renewed
        )

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        """Removes up to `limit` rows of a deleted namespace from each cluster."""
        request = pb.PurgeNamespaceRequest(namespace=namespace, limit=limit)
        return await self._answer(
            lambda: self._stub.PurgeNamespace(request, timeout=deadline_s),
            collecting.parse_namespace_purged,
        )

    async def _answer(
        self, call: Callable[[], Awaitable[_Message]], parse: Callable[[_Message], _Reply]
    ) -> _Reply | Failed:
        """What KVSP answers; a failure for no answer, and for one that cannot be meant. Nothing is
        asked before the streams have noticed that it is reached anew."""
        if self._closed:
            return CLOSED
        if self._small.failure is not None:
            return self._small.failure
        try:
            return parse(await call())
        except asyncio.CancelledError:
            # gRPC cancels its calls when the channel is closed; our own cancellation goes on.
            if is_cancelled():
                raise
            return CLOSED
        except grpc.aio.AioRpcError as error:
            return failed_call(error)
        except (ValueError, LookupError, InvalidArgument) as error:
            return unreadable(error)

    async def aclose(self) -> None:
        """Closes the streams; what is under way fails."""
        self._closed = True
        await self._small.aclose()
        await self._longer.aclose()
        await self._large.aclose()
        await self._channel.close()
