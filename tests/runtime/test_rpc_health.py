"""Health, reflection and port of a gRPC server, as a load balancer and grpcurl see them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tandem.errors import ConfigurationError
from tandem.runtime.rpc_health import RpcHealth

SERVICES = ("tandem.v1.One", "tandem.v1.Other")
STATUS = health_pb2.HealthCheckResponse


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[RpcHealth, grpc.aio.Channel, int]]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    health = RpcHealth(server, SERVICES)
    port = await health.start("127.0.0.1:0", ready=False)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield health, channel, port
    finally:
        await server.stop(0)


async def status(channel: grpc.aio.Channel, service: str = "") -> int:
    check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return int(STATUS.FromString(await check(request, timeout=60)).status)


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_health_is_what_was_said_last_and_not_serving_once_it_stops(service: str) -> None:
    async with serving() as (health, channel, _):
        assert await status(channel, service) == STATUS.NOT_SERVING
        for ready in (True, False, True):
            await health.set_ready(ready)
            expected = STATUS.SERVING if ready else STATUS.NOT_SERVING
            assert await status(channel, service) == expected
        await health.stopping()
        await health.set_ready(True)
        assert await status(channel, service) == STATUS.NOT_SERVING


async def test_reflection_names_the_services() -> None:
    async with serving() as (_, channel, _port):
        ask: Any = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = ask()
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        await call.write(request.SerializeToString())
        reply = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
        call.cancel()
    names = {one.name for one in reply.list_services_response.service}
    assert {*SERVICES, "grpc.health.v1.Health"} <= names


async def test_an_address_that_is_taken_is_told() -> None:
    async with serving() as (_, _channel, port):
        other = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            await RpcHealth(other, SERVICES).start(f"127.0.0.1:{port}")
        await other.stop(0)
