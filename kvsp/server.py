"""The gRPC server of KVSP: its services, its address, and how it stops."""

from typing import Final

import grpc.aio

from kvsp.service import SERVER_OPTIONS, StorageCounters, StorageService
from kvsp.store import Store
from tandem.runtime.clock import Clock
from tandem.runtime.rpc_health import RpcHealth
from tandem.wire.large_codec import PUT_LARGE, decode_large_put
from tandem.wire.malformed import MalformedRequests

_DECODERS: Final = {PUT_LARGE: decode_large_put}


class StorageServer:
    """Serves one store from `start` to `stop`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._storage = StorageService(store, clock)
        self._server = grpc.aio.server(
            interceptors=[MalformedRequests(_DECODERS)], options=SERVER_OPTIONS
        )
        self._storage.add_to(self._server)
        self._health = RpcHealth(self._server, ["tandem.v1.Storage"])

    @property
    def counters(self) -> StorageCounters:
        """What it has done."""
        return self._storage.counters

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listens and returns the port; ConfigurationError when the address is taken."""
        return await self._health.start(address, credentials)

    async def stop(self, grace_s: float) -> None:
        """Takes nothing new, answers what has come, and ends within `grace_s`."""
        await self._health.stopping()
        self._storage.drain()
        await self._server.stop(grace_s)
