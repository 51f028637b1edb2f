"""Credentials in use: on streams that outlive them, by the client library, at an open door."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from kvgateway.access.body_room import BodyRoom
from kvgateway.access.policy import Policy
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import RpcServer
from tandem import Client
from tandem.core.key import Key
from tandem.errors import (
    InvalidArgument,
    NamespaceNotFound,
    PermissionDenied,
    TokenNotFound,
    Unauthenticated,
)
from tandem.runtime.clock import SystemClock
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.access.entered import ADMIN_TOKEN, Entered
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.rpc.guarded import ADMIN, HEX, NOTHING, READ, WRITE, Guarded, bearer
from tests.kvgateway.rpc.running import RecordingLog


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
        call = kv_pb2_grpc.KVStub(channel).Exchange(metadata=bearer(token.text))
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
