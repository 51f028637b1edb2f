"""A gateway over memory behind a real server that asks who is there, and a call of every method."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from kvgateway.access.body_room import BodyRoom
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import RpcServer
from tandem import Client
from tandem.core.access import Permission
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import SettingsChange
from tandem.core.reply import Side
from tandem.runtime.clock import SystemClock
from tandem.wire.admission import is_admitted
from tandem.wire.mode_codec import mode_message
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
from tests.kvgateway.access.entered import Entered
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.rpc.running import RecordingLog

READ, WRITE, ADMIN = Permission
NOTHING = SettingsChange()
HEX = "0123456789abcdef"
# What the least credential may be with which a method works: on the one namespace "a" of account
# "mine", on that account as a whole, or on the deployment.
METHODS: dict[str, tuple[str, Permission]] = {
    "KV/Get": ("namespace", READ),
    "KV/Put": ("namespace", WRITE),
    "KV/Delete": ("namespace", WRITE),
    "KV/List": ("namespace", READ),
    "KV/Batch": ("namespace", WRITE),
    "KV/Exchange": ("namespace", WRITE),
    "KV/PutStream": ("namespace", WRITE),
    "KV/GetStream": ("namespace", READ),
    "Namespaces/CreateNamespace": ("account", ADMIN),
    "Namespaces/ListNamespaces": ("anything", READ),
    "Namespaces/GetNamespace": ("namespace", READ),
    "Namespaces/RenameNamespace": ("account", ADMIN),
    "Namespaces/ConfigureNamespace": ("account", ADMIN),
    "Namespaces/DeleteNamespace": ("account", ADMIN),
    "Namespaces/GetNamespaceMode": ("deployment", READ),
    "Namespaces/StepNamespaceMode": ("deployment", ADMIN),
    "Tokens/CreateToken": ("account", ADMIN),
    "Tokens/ListTokens": ("account", ADMIN),
    "Tokens/RevokeToken": ("account", ADMIN),
    "Ops/Status": ("deployment", READ),
    "Ops/Inspect": ("deployment", ADMIN),
    "Ops/CompareKeys": ("deployment", ADMIN),
    "Ops/HealKey": ("deployment", ADMIN),
    "Ops/SetSwitch": ("deployment", ADMIN),
    "Ops/MarkBehind": ("deployment", ADMIN),
    "Ops/ListQueue": ("deployment", ADMIN),
    "Ops/ReportCrawl": ("deployment", ADMIN),
}
SERVICES: dict[str, Any] = {
    "KV": (kv_pb2, kv_pb2_grpc.KVStub),
    "Namespaces": (namespaces_pb2, namespaces_pb2_grpc.NamespacesStub),
    "Tokens": (tokens_pb2, tokens_pb2_grpc.TokensStub),
    "Ops": (ops_pb2, ops_pb2_grpc.OpsStub),
}


@dataclass
class Guarded:
    """A gateway over memory behind a real server that asks who is there."""

    gateway: Entered
    namespace: str = ""
    victim: str = ""
    """A token of the account that may be revoked."""
    port: int = 0
    log: RecordingLog = field(default_factory=RecordingLog)

    async def prepare(self) -> None:
        """The namespace and the token that the methods are tried on, anew."""
        found = await self.gateway.namespaces.list("mine")
        if "a" not in {namespace.title for namespace in found}:
            made = await self.gateway.namespaces.create("a", NOTHING, "mine")
            self.namespace = made.id
        namespace = await self.gateway.namespaces.get(self.namespace)
        self.gateway.operations.registry.changed(namespace)
        if not any(token.id == self.victim for token in await self.gateway.tokens.list()):
            self.victim = (await self.gateway.token(account="mine")).token.id

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, token: str, namespace: str | None = None) -> Client:
        return Client(self.address, namespace, token=token)

    async def call(self, name: str, metadata: tuple[tuple[str, str], ...]) -> str:
        """How a call of a method ends: the name of its status, or of its operations' errors."""
        await self.prepare()
        service, method = name.split("/")
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = SERVICES[service][1](channel)
            try:
                return await self._called(getattr(stub, method), method, metadata)
            except grpc.aio.AioRpcError as error:
                return error.code().name

    async def _called(self, method: Any, name: str, metadata: object) -> str:  # noqa: ANN401
        put = kv_pb2.PutRequest(id=1, namespace=self.namespace, key=b"k", value=b"v")
        about: Any = {"namespace": self.namespace, "key": b"k"}
        requests: dict[str, Any] = {
            "Get": kv_pb2.GetRequest(**about),
            "GetStream": kv_pb2.GetRequest(**about),
            "Put": put,
            "Delete": kv_pb2.DeleteRequest(**about),
            "List": kv_pb2.ListRequest(namespace=self.namespace),
            "Batch": kv_pb2.BatchRequest(puts=[put]),
            "Exchange": kv_pb2.BatchRequest(puts=[put]),
            "PutStream": iter([kv_pb2.PutChunk(head=put, last=True)]),
            "CreateNamespace": namespaces_pb2.CreateNamespaceRequest(
                title=f"t{len(self.gateway.registry.book)}", account="mine"
            ),
            "ListNamespaces": namespaces_pb2.ListNamespacesRequest(),
            "GetNamespace": namespaces_pb2.GetNamespaceRequest(id=self.namespace),
            "RenameNamespace": namespaces_pb2.RenameNamespaceRequest(id=self.namespace, title="a"),
            "ConfigureNamespace": namespaces_pb2.ConfigureNamespaceRequest(id=self.namespace),
            "DeleteNamespace": namespaces_pb2.DeleteNamespaceRequest(id=self.namespace),
            "GetNamespaceMode": namespaces_pb2.GetNamespaceModeRequest(id=self.namespace),
            "StepNamespaceMode": namespaces_pb2.StepNamespaceModeRequest(
                id=self.namespace, wanted=mode_message(Mode(Stage.SHADOW, Side.S3))
            ),
            "CreateToken": tokens_pb2.CreateTokenRequest(
                name="x", permission="PERMISSION_READ", account="mine"
            ),
            "ListTokens": tokens_pb2.ListTokensRequest(account="mine"),
            "RevokeToken": tokens_pb2.RevokeTokenRequest(id=self.victim),
            "Status": ops_pb2.StatusRequest(),
            "Inspect": ops_pb2.InspectRequest(**about),
            "CompareKeys": ops_pb2.CompareKeysRequest(namespace=self.namespace),
            "HealKey": ops_pb2.HealKeyRequest(**about),
            "SetSwitch": ops_pb2.SetSwitchRequest(
                home="HOME_S3", reads_enabled=True, writes_enabled=True
            ),
            "MarkBehind": ops_pb2.MarkBehindRequest(home="HOME_S3"),
            "ListQueue": ops_pb2.ListQueueRequest(limit=1),
            "ReportCrawl": ops_pb2.ReportCrawlRequest(namespace=self.namespace),
        }
        request = requests[name]
        if name == "Exchange":
            reply = await _exchanged(method(metadata=metadata, timeout=60), request)
        elif name == "GetStream":
            [reply] = [message async for message in method(request, metadata=metadata, timeout=60)]
        else:
            reply = await method(request, metadata=metadata, timeout=60)
        errors = [w.error.code for w in getattr(reply, "writes", ()) if w.HasField("error")]
        return next((c.name for c in grpc.StatusCode if c.value[0] in errors), "OK")


@asynccontextmanager
async def guarded_gateway() -> AsyncIterator[Guarded]:
    """Serves until the block ends, and has met no fault of its own by then."""
    guarded = Guarded(Entered(TwoHomes()))
    await guarded.prepare()
    server = RpcServer(
        guarded.gateway.entrance,
        SystemClock(),
        Failures(guarded.log),
        BodyRoom(),
        CallMemory(lambda: False),
    )
    guarded.port = await server.start("127.0.0.1:0")
    await server.set_ready(True)
    yield guarded
    await server.stop(0)
    assert guarded.log.events == []


async def _exchanged(call: Any, request: kv_pb2.BatchRequest) -> Any:  # noqa: ANN401
    """The one reply to a request that is sent once the stream is admitted, or has ended."""
    if await is_admitted(call):
        await call.write(request)
        await call.done_writing()
    [reply] = [message async for message in call]
    return reply


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
