"""A running gateway and a client of its one namespace."""

from collections.abc import AsyncIterator

import pytest

from tandem import Client
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, running


@pytest.fixture
async def gateway() -> AsyncIterator[Running]:
    async with running() as gateway:
        yield gateway


@pytest.fixture
async def kv(gateway: Running) -> AsyncIterator[Client]:
    async with Client(gateway.address, NAMESPACE) as kv:
        yield kv
