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
    async with Client(gateway.address, NAMESPACE, timeout_s=60) as kv:
        yield kv


@pytest.fixture
def at_once(kv: Client) -> Client:
    """The same client without a retry left: what an answer says is told, and not what is said of
    the attempt that the timeout ends."""
    while kv._retries.budget.spend():
        pass
    return kv
