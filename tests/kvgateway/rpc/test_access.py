"""Every gRPC method with every kind of credential, through a real server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from kvgateway.access.body_room import BodyRoom
from kvgateway.access.policy import Policy
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import RpcServer
from tandem import Client
from tandem.core.access import Permission
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import SettingsChange
from tandem.core.reply import Side
from tandem.errors import (
    InvalidArgument,
    NamespaceNotFound,
    PermissionDenied,
    TokenNotFound,
    Unauthenticated,
)
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
from tests.kvgateway.access.entered import ADMIN_TOKEN, Entered
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
REACHES = ("namespace", "account", "deployment")


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


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
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


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_every_method_is_in_the_table() -> None:
    methods = {
        f"{name}/{method.name}"
        for name, (module, _) in SERVICES.items()
        for method in module.DESCRIPTOR.services_by_name[name].methods
    }
    assert methods == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_with_every_token(guarded: Guarded, name: str) -> None:
    reach_needed, needed = METHODS[name]
    for permission in Permission:
        for at, reach in enumerate(REACHES):
            await guarded.prepare()
            account = None if reach == "deployment" else "mine"
            only = frozenset({guarded.namespace}) if reach == "namespace" else None
            token = await guarded.gateway.token(permission, account, only)
            enough = reach_needed == "anything" or at >= REACHES.index(reach_needed)
            expected = "OK" if permission >= needed and enough else "PERMISSION_DENIED"
            assert await guarded.call(name, _bearer(token.text)) == expected, (permission, reach)
    assert await guarded.call(name, _bearer(ADMIN_TOKEN)) == "OK"


FOREIGN_REFUSALS = {
    "KV/Batch": "NOT_FOUND",
    "Namespaces/ListNamespaces": "OK",
    "Namespaces/CreateNamespace": "PERMISSION_DENIED",
    "Namespaces/GetNamespaceMode": "PERMISSION_DENIED",
    "Namespaces/StepNamespaceMode": "PERMISSION_DENIED",
    "Tokens/CreateToken": "PERMISSION_DENIED",
    "Tokens/ListTokens": "PERMISSION_DENIED",
}


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_with_the_token_of_another_account(guarded: Guarded, name: str) -> None:
    token = await guarded.gateway.token(ADMIN, "theirs")
    refusal = "PERMISSION_DENIED" if name.startswith("Ops/") else "NOT_FOUND"
    assert await guarded.call(name, _bearer(token.text)) == FOREIGN_REFUSALS.get(name, refusal)


@pytest.mark.parametrize("name", METHODS)
async def test_every_method_without_a_valid_credential(guarded: Guarded, name: str) -> None:
    revoked = await guarded.gateway.token(ADMIN)
    await guarded.gateway.tokens.revoke(revoked.token.id)
    expired = await guarded.gateway.token(ADMIN, ttl_s=1)
    guarded.gateway.homes.clock.advance(2)
    for metadata in (
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", f"Basic {ADMIN_TOKEN}"),),
        (("authorization", ADMIN_TOKEN),),
        (("x-auth-key", ADMIN_TOKEN),),
        _bearer("nonsense"),
        _bearer(f"tdm_{HEX}_{HEX * 4}"),
        _bearer(revoked.text),
        _bearer(expired.text),
    ):
        assert await guarded.call(name, metadata) == "UNAUTHENTICATED", metadata


async def test_health_and_reflection_ask_nobody(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        reply = health_pb2.HealthCheckResponse.FromString(await check(b""))
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        method: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = method()
        await call.write(b"\x3a\x00")
        assert await call.read() is not grpc.aio.EOF
        call.cancel()


async def test_a_stream_outlives_its_token_and_does_nothing_more(guarded: Guarded) -> None:
    token = await guarded.gateway.token(WRITE)
    async with guarded.client(token.text, guarded.namespace) as client:
        await client.put("k", b"v")
        await guarded.gateway.tokens.revoke(token.token.id)
        for asked in (client.put("k", b"w"), client.get("k"), client.delete("k")):
            with pytest.raises(Unauthenticated, match="has been revoked"):
                await asked
        results = await client.get_many(["k", "l"])
        assert {type(result) for result in results.values()} == {Unauthenticated}
    async with guarded.client(ADMIN_TOKEN, guarded.namespace) as client:
        assert await client.get("k") == b"v"


async def test_no_piece_of_a_value_is_asked_for_before_its_head_is_admitted(
    guarded: Guarded,
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        asked.append(len(asked))
        yield b"v"

    asked: list[int] = []
    async with guarded.client("nonsense", guarded.namespace) as client:
        with pytest.raises(Unauthenticated):
            await client.put_stream("k", pieces())
    reader = await guarded.gateway.token(READ)
    async with guarded.client(reader.text, guarded.namespace) as client:
        with pytest.raises(PermissionDenied):
            await client.put_stream("k", pieces())
    assert asked == []


async def test_one_stream_reaches_some_namespaces_and_not_others(guarded: Guarded) -> None:
    other = await guarded.gateway.namespaces.create("b", NOTHING, "mine")
    token = await guarded.gateway.token(WRITE, "mine", frozenset({guarded.namespace}))
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        call = kv_pb2_grpc.KVStub(channel).Exchange(metadata=_bearer(token.text))
        puts = [
            kv_pb2.PutRequest(id=at, namespace=namespace, key=b"k", value=b"v")
            for at, namespace in enumerate((guarded.namespace, other.id, guarded.namespace))
        ]
        await call.write(kv_pb2.BatchRequest(puts=puts))
        await call.done_writing()
        codes = {}
        while isinstance(reply := await call.read(), kv_pb2.BatchReply):
            codes.update({written.id: written.error.code for written in reply.writes})
    assert codes == {0: 0, 1: grpc.StatusCode.PERMISSION_DENIED.value[0], 2: 0}


async def test_the_client_library_as_admin_of_one_account(guarded: Guarded) -> None:
    token = await guarded.gateway.token(ADMIN, "mine")
    theirs = await guarded.gateway.namespaces.create("a", NOTHING, "theirs")
    async with guarded.client(token.text) as client:
        made = await client.namespaces.create("b")
        assert made.account == "mine"
        assert {n.title for n in await client.namespaces.list()} == {"a", "b"}
        assert {n.title for n in await client.namespaces.list(all_accounts=True)} == {"a", "b"}
        assert (await client.namespaces.get("a")).id == guarded.namespace
        with pytest.raises(PermissionDenied, match="does not reach account theirs"):
            await client.namespaces.get("a", account="theirs")
        with pytest.raises(NamespaceNotFound):
            await client.namespaces.get(theirs.id)
        created = await client.tokens.create("ci", READ, namespaces=[made.id], ttl=3600)
        assert (created.token.account, created.token.namespaces) == ("mine", frozenset({made.id}))
        assert created.token.expires_at_s == created.token.created_at_s + 3600
        assert created.token.id in {t.id for t in await client.tokens.list(all_accounts=True)}
        with pytest.raises(PermissionDenied):
            await client.tokens.create("x", READ, all_accounts=True)
        with pytest.raises(NamespaceNotFound):
            await client.tokens.create("x", READ, namespaces=[theirs.id])
        with pytest.raises(InvalidArgument, match="ttl"):
            await client.tokens.create("x", READ, ttl=0)
        with pytest.raises(InvalidArgument, match=r"'tdm_.*\.\.\.' is not a token's id"):
            await client.tokens.revoke(created.text)
        with pytest.raises(TokenNotFound, match=HEX):
            await client.tokens.revoke(HEX)
        async with guarded.client(created.text, "b") as reader:
            assert await reader.get("k") is None
            with pytest.raises(PermissionDenied, match="may read, and this needs write"):
                await reader.put("k", b"v")
            await client.tokens.revoke(created.token.id)
            with pytest.raises(Unauthenticated):
                await reader.get("k")
    with pytest.raises(Unauthenticated):
        async with guarded.client(created.text, "b"):
            pass


async def test_the_client_library_as_admin_of_everything(guarded: Guarded) -> None:
    async with Client(guarded.address, token=ADMIN_TOKEN, account="theirs") as client:
        made = await client.namespaces.create("a")
        assert made.account == "theirs"
        assert [n.account for n in await client.namespaces.list()] == ["theirs"]
        assert [n.account for n in await client.namespaces.list(all_accounts=True)] == [
            "mine",
            "theirs",
        ]
        token = (await client.tokens.create("x", READ)).token
        assert (token.account, token.namespaces) == ("theirs", None)
        assert (await client.tokens.create("y", READ, all_accounts=True)).token.account is None
    async with Client(guarded.address, "a", token=ADMIN_TOKEN, account="theirs") as client:
        await client.put("k", b"v")
        await asyncio.sleep(0)
    [held] = await asyncio.gather(guarded.gateway.homes.s3.memory.get(Key(made.id, "k"), 1.0))
    assert held is not None


@pytest.mark.parametrize("text", ["a b", "a\nb", "é", "\x7f"])
def test_a_token_that_cannot_travel_is_refused_by_the_client(text: str) -> None:
    with pytest.raises(InvalidArgument, match="token: must consist of printable ASCII"):
        Client("127.0.0.1:1", token=text)


async def test_an_open_door_refuses_what_is_wrong() -> None:
    gateway = Entered(TwoHomes(), policy=Policy(open=True))
    server = RpcServer(
        gateway.entrance,
        SystemClock(),
        Failures(RecordingLog()),
        BodyRoom(),
        CallMemory(lambda: False),
    )
    port = await server.start("127.0.0.1:0")
    async with Client(f"127.0.0.1:{port}") as client:
        await client.namespaces.create("a")
    async with Client(f"127.0.0.1:{port}", token="wrong") as client:
        with pytest.raises(Unauthenticated):
            await client.namespaces.list()
    await server.stop(0)
