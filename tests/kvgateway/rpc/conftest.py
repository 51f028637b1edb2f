"""A running gateway and a bare stub on it; and one that asks who is there."""

from collections.abc import AsyncIterator

import pytest

from tandem.wire.v1 import kv_pb2_grpc
from tests.kvgateway.rpc.guarded import Guarded, guarded_gateway
from tests.kvgateway.rpc.running import Running, running


@pytest.fixture
async def gateway() -> AsyncIterator[Running]:
    async with running() as gateway:
        yield gateway


@pytest.fixture
async def kv(gateway: Running) -> AsyncIterator[kv_pb2_grpc.KVStub]:
    async with gateway.channel() as channel:
        yield kv_pb2_grpc.KVStub(channel)


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with guarded_gateway() as guarded:
        yield guarded
