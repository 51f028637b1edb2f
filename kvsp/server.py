"""The gRPC server of KVSP: its services, its address, and how it stops."""

from typing import Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kvsp.service import SERVER_OPTIONS, StorageCounters, StorageService
from kvsp.store import Store
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.wire.malformed import MalformedRequests

_SERVICE: Final = "tandem.v1.Storage"


class StorageServer:
    """Serves one store from `start` to `stop`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._storage = StorageService(store, clock)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=[MalformedRequests()], options=SERVER_OPTIONS)
        self._storage.add_to(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    @property
    def counters(self) -> StorageCounters:
        """What it has done."""
        return self._storage.counters

    async def start(self, address: str) -> int:
        """Listens and returns the port; ConfigurationError when the address is taken."""
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConfigurationError([f"cannot listen on {address}: {error}"]) from error
        await self._server.start()
        for service in ("", _SERVICE):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return int(port)

    async def stop(self, grace_s: float) -> None:
        """Takes nothing new, answers what has come, and ends within `grace_s`."""
        await self._health.enter_graceful_shutdown()
        self._storage.drain()
        await self._server.stop(grace_s)
