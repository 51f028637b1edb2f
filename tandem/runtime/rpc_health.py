"""What a gRPC server says of itself to whoever looks: its health, its services, and its port."""

from collections.abc import Sequence
from typing import Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tandem.errors import ConfigurationError

HANDSHAKE_LIMIT: Final = ("grpc.server_handshake_timeout_ms", 10_000)
"""An option of every server: whoever has not said enough by then is cut off."""
PINGS: Final = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)
"""Options of a server whose streams may be quiet: it asks whether the other side is still there,
and is asked by it, where gRPC would end a connection that is quiet and asked again and again."""
_STATUS = health_pb2.HealthCheckResponse


class RpcHealth:
    """Adds health checks and reflection to a server that offers `services`."""

    def __init__(self, server: grpc.aio.Server, services: Sequence[str]) -> None:
        self._server = server
        self._services = services
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)

    async def start(
        self,
        address: str,
        credentials: grpc.ServerCredentials | None = None,
        *,
        ready: bool = True,
    ) -> int:
        """Lets the server serve at `address` (host:port, port 0 for any) and returns the port.

        Without `credentials` it speaks plain text. ConfigurationError when the address is taken.
        """
        port = _listen(self._server, address, credentials)
        await self.set_ready(ready)
        await self._server.start()
        return port

    async def set_ready(self, ready: bool) -> None:
        """Says to health checks whether the services answer."""
        for service in ("", *self._services):
            await self._health.set(service, _STATUS.SERVING if ready else _STATUS.NOT_SERVING)

    async def stopping(self) -> None:
        """From now on everything is said to serve no more, for good."""
        await self._health.enter_graceful_shutdown()


def _listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None
) -> int:
    try:
        if credentials is not None:
            return server.add_secure_port(address, credentials)
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ConfigurationError([f"cannot listen on {address}: {error}"]) from error
