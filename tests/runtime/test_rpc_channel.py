"""The way to our own gRPC servers."""

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.rpc_health import RpcHealth
from tests.servers.ports import free_port


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server()
    port = await RpcHealth(server, []).start("127.0.0.1:0")
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def status(channel: grpc.aio.Channel, service: str = "") -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    return int((await stub.Check(request, timeout=60)).status)


@pytest.mark.parametrize("variable", ["grpc_proxy", "https_proxy", "http_proxy"])
async def test_a_proxy_of_the_environment_is_not_asked(
    variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    for exception in ("no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(exception, raising=False)
    async with open_channel(address) as channel:
        assert await status(channel) == health_pb2.HealthCheckResponse.SERVING


async def test_options_hold_for_the_channel(address: str) -> None:
    async with open_channel(address, ("grpc.max_send_message_length", 8)) as channel:
        assert await status(channel) == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await status(channel, "longer than that")
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
