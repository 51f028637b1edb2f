"""A real gRPC server over a gateway in memory, on a free port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from kvgateway.access.body_room import BodyRoom
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import MESSAGE_BYTES_MAX, RpcServer
from kvgateway.service import Entrance
from tandem.runtime.clock import SystemClock
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry, MemoryTokens
from tests.kvgateway.rpc.memory_store import MemoryStore
from tests.servers.ports import free_port


class RecordingLog:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def debug(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    info = warning = error = debug


@dataclass
class Running:
    """What stands behind one server, and where it listens."""

    store: MemoryStore = field(default_factory=lambda: MemoryStore(SystemClock()))
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    operations: MemoryOperations = field(default_factory=MemoryOperations)
    tokens: MemoryTokens = field(default_factory=MemoryTokens)
    log: RecordingLog = field(default_factory=RecordingLog)
    room: BodyRoom = field(default_factory=BodyRoom)
    memory: CallMemory = field(default_factory=lambda: CallMemory(lambda: False))
    entrance: Entrance | None = None
    """Who is let in; everybody unless a test says otherwise."""
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.failures = Failures(self.log)
        self.registry.served = self.store.namespaces
        self.operations.registry = self.registry

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts a server, on the port of the one before."""
        everybody = OpenEntrance(self.store, self.registry, self.operations, self.tokens)
        self.server = RpcServer(
            self.entrance or everybody, SystemClock(), self.failures, self.room, self.memory
        )
        await self.server.start(self.address)
        await self.server.set_ready(True)

    async def stop(self, grace_s: float = 0) -> None:
        """Stops the server, at once unless there is a grace."""
        await self.server.stop(grace_s)

    async def refuse(self, credential: str) -> None:
        """Lets nobody in who comes with this credential; the server is started anew."""
        entrance = OpenEntrance(self.store, self.registry, self.operations)
        entrance.refused.add(credential)
        self.entrance = entrance
        await self.stop()
        await self.start()

    def channel(self) -> grpc.aio.Channel:
        """A bare channel that lets even messages over the limit out."""
        sizes = ("grpc.max_receive_message_length", "grpc.max_send_message_length")
        options = [(name, 2 * MESSAGE_BYTES_MAX) for name in sizes]
        return grpc.aio.insecure_channel(self.address, options=options)


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    """A server for one test; whatever it met unexpectedly fails the test."""
    gateway = Running()
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def until(condition: Callable[[], object]) -> None:
    """Waits for what comes about by itself; the test's own timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.001)
