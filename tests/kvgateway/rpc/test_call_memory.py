"""What all calls together may hold: messages that never end, and who has to go."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest

from kvgateway.rpc import call_memory
from kvgateway.rpc.call_memory import CallMemory
from tandem.core.limits import MIB
from tandem.runtime.large_memory import bytes_in_use
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.half_sent import half_sent
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

PUT = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"k", value=b"v")
WITHIN_S = 60.0


class Alarm:
    """Says that memory is short, once each time it is rung."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def __call__(self) -> bool:
        rung = self._rung.is_set()
        self._rung.clear()
        return rung

    def ring(self) -> None:
        self._rung.set()


@asynccontextmanager
async def watched(memory: CallMemory) -> AsyncIterator[Running]:
    """A server whose calls may be ended; it met nothing unexpected."""
    gateway = Running(memory=memory)
    await gateway.start()
    watching = asyncio.create_task(memory.watch())
    try:
        async with asyncio.timeout(WITHIN_S):
            yield gateway
        assert gateway.failures.count == 0
        assert not watching.done()
    finally:
        watching.cancel()
        await gateway.stop()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_memory, "LOOK_EACH_S", 0.005)


@pytest.mark.parametrize("method", ["Exchange", "PutStream"])
async def test_messages_that_do_not_end_take_bounded_memory(method: str) -> None:
    """Sent are 512 MiB; 256 are never seen, where calls are ended above 64."""
    before, most = bytes_in_use(), 0

    def too_much() -> bool:
        nonlocal most
        held = bytes_in_use() - before
        most = max(most, held)
        return held > 64 * MIB

    async with (
        watched(CallMemory(too_much)) as gateway,
        gateway.channel() as channel,
        half_sent(gateway.port) as connection,
    ):
        streams = [connection.begin(method, 32 * MIB) for _ in range(32)]
        await asyncio.gather(*(connection.send(stream, 16 * MIB) for stream in streams))
        await connection.until_ended(len(streams) // 2)
        assert not connection.closed
        while bytes_in_use() - before > 64 * MIB:
            await asyncio.sleep(0.001)
        await kv_pb2_grpc.KVStub(channel).Put(PUT)
    assert 64 * MIB < most < 256 * MIB


@contextmanager
def _own_connections(gateway: Running, count: int) -> Iterator[list[grpc.aio.Channel]]:
    own = [("grpc.use_local_subchannel_pool", 1)]
    yield [grpc.aio.insecure_channel(gateway.address, options=own) for _ in range(count)]


async def _opened(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401
    """A stream that the gateway serves."""
    call = kv_pb2_grpc.KVStub(channel).Exchange()
    await call.write(kv_pb2.BatchRequest(puts=[PUT]))
    await call.read()
    return call


async def test_the_connection_with_most_calls_goes_first_then_the_latest() -> None:
    alarm = Alarm()
    async with watched(CallMemory(alarm)) as gateway:
        with _own_connections(gateway, 3) as (first, greedy, last):
            calls = {
                "first": await _opened(first),
                **{f"greedy {number}": await _opened(greedy) for number in range(3)},
                "last": await _opened(last),
            }
            for gone in (["greedy 0", "greedy 1", "greedy 2"], ["last"], ["first"]):
                alarm.ring()
                for name in gone:
                    assert await calls[name].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    assert await calls[name].details() == "all calls together hold too much memory"
                for name in gone:
                    del calls[name]
                assert not any(call.done() for call in calls.values())
            for channel in (first, greedy, last):
                await channel.close()


async def test_a_call_that_is_ended_takes_back_nothing() -> None:
    alarm = Alarm()
    async with watched(CallMemory(alarm)) as gateway, gateway.channel() as channel:
        kv = kv_pb2_grpc.KVStub(channel)
        gateway.store.held = []
        call = kv.Exchange()
        await call.write(kv_pb2.BatchRequest(puts=[PUT]))
        while not gateway.store.held:
            await asyncio.sleep(0.001)
        alarm.ring()
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        gateway.store.release()
        gateway.store.held = None
        found = await kv.Get(kv_pb2.GetRequest(namespace=NAMESPACE, key=b"k"))
        assert found.value == b"v"


async def test_a_call_that_its_client_leaves_is_no_matter_of_memory() -> None:
    alarm = Alarm()
    async with watched(CallMemory(alarm)) as gateway, gateway.channel() as channel:
        call = await _opened(channel)
        call.cancel()
        assert await call.code() is grpc.StatusCode.CANCELLED
        other = await _opened(channel)
        alarm.ring()
        assert await other.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
