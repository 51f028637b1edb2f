"""The gRPC server of one worker process: its options, its services, and how it stops."""

from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from kvgateway.rpc.failures import FailureInterceptor, Failures
from kvgateway.rpc.kv import KvService
from tandem.core.limits import BATCH_BYTES_MAX, MIB
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc

MESSAGE_BYTES_MAX: Final = BATCH_BYTES_MAX + 1 * MIB
CALLS_MAX: Final = 1000
"""Calls at once in one worker process; above it RESOURCE_EXHAUSTED. A stream counts as one call."""

_SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)
_KV_SERVICE: Final = kv_pb2.DESCRIPTOR.services_by_name["KV"].full_name


class RpcServer:
    """Serves the public API on one address, which several processes may share."""

    def __init__(self, kv: KvService, failures: Failures) -> None:
        self._kv = kv
        self._health = HealthServicer()
        self._server = grpc.aio.server(
            interceptors=[FailureInterceptor(failures)],
            options=_SERVER_OPTIONS,
            maximum_concurrent_rpcs=CALLS_MAX,
        )
        kv_pb2_grpc.add_KVServicer_to_server(kv, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self, address: str) -> int:
        """Listens on `address` (host:port, port 0 for any) and returns the port.

        Raises RuntimeError when the address cannot be bound.
        """
        names = [_KV_SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self._server)
        port = self._server.add_insecure_port(address)
        await self._server.start()
        await self.serving(True)
        return port

    async def serving(self, ready: bool) -> None:
        """Says to health checks whether the gateway is ready."""
        status = health_pb2.HealthCheckResponse
        await self._health.set(_KV_SERVICE, status.SERVING if ready else status.NOT_SERVING)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, answers what has been read, and ends within `grace_s`."""
        await self._health.enter_graceful_shutdown()
        self._kv.drain()
        await self._server.stop(grace_s)
