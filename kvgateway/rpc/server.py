"""The gRPC server of one worker process: its options, its services, and how it stops."""

from typing import Final

import grpc

from kvgateway.access.body_room import BodyRoom
from kvgateway.rpc.arrival import Arrivals
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.callers import Callers
from kvgateway.rpc.failures import FailureInterceptor, Failures
from kvgateway.rpc.kv import KvService
from kvgateway.rpc.namespaces import NamespacesService
from kvgateway.rpc.ops import OpsService
from kvgateway.rpc.tokens import TokensService
from kvgateway.rpc.turns import LargeTurns
from kvgateway.service import Entrance
from tandem.core.limits import BATCH_BYTES_MAX, MIB
from tandem.runtime.clock import Clock
from tandem.runtime.rpc_health import HANDSHAKE_LIMIT, PINGS, RpcHealth
from tandem.wire.v1 import (
    kv_pb2,
    kv_pb2_grpc,
    namespaces_pb2,
    namespaces_pb2_grpc,
    ops_pb2,
    ops_pb2_grpc,
    tokens_pb2,
    tokens_pb2_grpc,
)

MESSAGE_BYTES_MAX: Final = BATCH_BYTES_MAX + 1 * MIB
CALLS_MAX: Final = 1000
"""Calls at once in one worker process; above it RESOURCE_EXHAUSTED. A stream counts as one call."""

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 1),
    HANDSHAKE_LIMIT,
    *PINGS,
)
_SERVICES: Final = (
    kv_pb2.DESCRIPTOR.services_by_name["KV"].full_name,
    namespaces_pb2.DESCRIPTOR.services_by_name["Namespaces"].full_name,
    tokens_pb2.DESCRIPTOR.services_by_name["Tokens"].full_name,
    ops_pb2.DESCRIPTOR.services_by_name["Ops"].full_name,
)


def grpc_server(failures: Failures, arrivals: Arrivals) -> grpc.aio.Server:
    """A gRPC server with the gateway's limits, without services."""
    return grpc.aio.server(
        interceptors=[FailureInterceptor(failures, arrivals)],
        options=_SERVER_OPTIONS,
        maximum_concurrent_rpcs=CALLS_MAX,
    )


class RpcServer:
    """Serves the public API on one address, which several processes may share."""

    def __init__(
        self,
        entrance: Entrance,
        clock: Clock,
        failures: Failures,
        room: BodyRoom,
        memory: CallMemory,
    ) -> None:
        callers, turns = Callers(entrance), LargeTurns()
        self._kv = KvService(callers, clock, failures, room, turns, memory)
        self._server = grpc_server(failures, Arrivals(callers, room, turns))
        kv_pb2_grpc.add_KVServicer_to_server(self._kv, self._server)
        namespaces_pb2_grpc.add_NamespacesServicer_to_server(
            NamespacesService(callers), self._server
        )
        tokens_pb2_grpc.add_TokensServicer_to_server(TokensService(callers), self._server)
        ops_pb2_grpc.add_OpsServicer_to_server(OpsService(callers), self._server)
        self._health = RpcHealth(self._server, _SERVICES)

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens on `address` (host:port, port 0 for any) and returns the port.

        Raises ConfigurationError when the address cannot be bound.
        """
        return await self._health.start(address, credentials, ready=False)

    async def set_ready(self, ready: bool) -> None:
        """Says to health checks whether the gateway serves; until then it does not."""
        await self._health.set_ready(ready)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, answers what has been read, and ends within `grace_s`."""
        await self._health.stopping()
        self._kv.drain()
        await self._server.stop(grace_s)
