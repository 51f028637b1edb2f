"""Who needs no token, or has none, takes no place for long that others need."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kvgateway.rpc import failures, kv
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

GET = kv_pb2.GetRequest(namespace=NAMESPACE, key=b"k")
HEAD = kv_pb2.PutChunk(head=kv_pb2.PutRequest(namespace=NAMESPACE, key=b"k"))


async def _watching(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    stub: Any = health_pb2_grpc
    call = stub.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    await call.read()
    return call


async def _reflecting(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    stub: Any = reflection_pb2_grpc
    call = stub.ServerReflectionStub(channel).ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await call.read()
    return call


@pytest.mark.parametrize("begin", [_watching, _reflecting])
async def test_calls_without_a_token_have_a_bound_of_their_own(
    begin: Any,  # noqa: ANN401
    gateway: Running,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "STRANGERS_MAX", 3)
    async with gateway.channel() as channel:
        calls = [await begin(channel) for _ in range(3)]
        with pytest.raises(grpc.aio.AioRpcError, match="too many calls without") as refusal:
            await begin(channel)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await kv_pb2_grpc.KVStub(channel).Get(GET)
        calls[0].cancel()
        while True:
            try:
                await begin(channel)
            except grpc.aio.AioRpcError:
                continue
            break


async def test_a_stranger_is_refused_though_no_message_comes(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv, "PROMPT_S", 0.0)
    await gateway.refuse("stranger")
    async with gateway.channel() as channel:
        stranger = (("authorization", "Bearer stranger"),)
        call = kv_pb2_grpc.KVStub(channel).PutStream(metadata=stranger)
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_an_upload_that_stops_is_given_up(
    pieces: int, gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kv, "ARRIVAL_S", 0.3)
    async with gateway.channel() as channel:
        call = kv_pb2_grpc.KVStub(channel).PutStream()
        for chunk in [HEAD, kv_pb2.PutChunk(data=bytes(100_000))][:pieces]:
            await call.write(chunk)
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await call.details() == "the next message has not come within 0 s"
    assert gateway.room.taken == 0
    assert not gateway.store.records
