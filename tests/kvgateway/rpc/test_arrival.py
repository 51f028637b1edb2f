"""The one message of a unary call: who may send it, what it takes, and one that does not come."""

import asyncio
from typing import Any

import grpc
import pytest

from kvgateway.access.body_room import UNCOUNTED_BYTES
from kvgateway.rpc import arrival
from kvgateway.rpc.arrival import Arrivals
from kvgateway.rpc.callers import Callers
from kvgateway.rpc.turns import LargeTurns
from tandem.core.limits import LARGE_BODY_BYTES, MIB, VALUE_BYTES_MAX
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, until

FULL = 256 * MIB
LARGE = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"large", value=bytes(3 * MIB))
SMALL = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"small", value=bytes(UNCOUNTED_BYTES // 2))


def _stalled(channel: grpc.aio.Channel, method: str, **call: object) -> Any:  # noqa: ANN401
    """A unary call whose message does not come until it is written."""
    make: Any = channel.stream_unary(f"/tandem.v1.KV/{method}")
    return make(**call)


async def _refusal(call: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401
    return await call.code(), await call.details()


@pytest.mark.parametrize("method", ["Put", "Batch"])
async def test_a_large_message_takes_room_while_its_call_runs(
    method: str, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    request = LARGE if method == "Put" else kv_pb2.BatchRequest(puts=[LARGE])
    gateway.store.held = []
    call = getattr(kv, method)(request)
    await until(lambda: gateway.store.held)
    assert gateway.room.taken == request.ByteSize()
    gateway.store.release()
    await call
    assert gateway.room.taken == 0


async def test_without_room_a_large_message_is_refused_and_small_ones_are_not(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.room.take(FULL - 2 * MIB)
    code, text = await _refusal(kv.Put(LARGE))
    assert (code, text) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "too many large values are arriving at once",
    )
    assert not gateway.store.records
    await kv.Put(SMALL)
    gateway.room.give_back(2 * MIB)
    await kv.Put(LARGE)
    assert gateway.room.taken == FULL - 4 * MIB


async def test_a_message_is_not_read_before_its_sender_is_known(gateway: Running) -> None:
    await gateway.refuse("stranger")
    async with gateway.channel() as channel:
        call = _stalled(channel, "Put", metadata=(("authorization", "Bearer stranger"),))
        assert (await _refusal(call))[0] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_message_that_takes_long_counts_as_a_whole_value(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there is room for are waited for; what comes after all of it is served."""
    monkeypatch.setattr(arrival, "PROMPT_S", 0.0)
    most = FULL // VALUE_BYTES_MAX
    async with gateway.channel() as channel:
        calls = [_stalled(channel, "Put") for _ in range(most)]
        await until(lambda: gateway.room.taken == most * VALUE_BYTES_MAX)
        code, text = await _refusal(_stalled(channel, "Put"))
        assert (code, text) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "too many large values are arriving at once",
        )
        for call in calls[1:]:
            call.cancel()
        await until(lambda: gateway.room.taken == VALUE_BYTES_MAX)
        await calls[0].write(LARGE.SerializeToString())
        await calls[0].done_writing()
        assert kv_pb2.WriteReply.FromString(await calls[0]).version
    assert gateway.room.taken == 0
    assert gateway.failures.count == 0


async def test_a_message_that_does_not_come_is_given_up(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PROMPT_S", 0.0)
    monkeypatch.setattr(arrival, "ARRIVAL_S", 0.0)
    async with gateway.channel() as channel:
        code, text = await _refusal(_stalled(channel, "GetStream"))
    assert (code, text) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the message has not come within 0 s",
    )
    assert gateway.room.taken == 0


@pytest.mark.parametrize("method", ["Put", "GetStream"])
async def test_a_call_without_a_message_is_a_bad_one(method: str, gateway: Running) -> None:
    async with gateway.channel() as channel:
        call = _stalled(channel, method)
        await call.done_writing()
        code, text = await _refusal(call)
    assert (code, text) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "request: the call ended before its message",
    )


class _Here:
    """A call whose message has come already."""

    def __init__(self, size: int) -> None:
        self._size = size

    def invocation_metadata(self) -> tuple[()]:
        return ()

    async def read(self) -> bytes:
        return bytes(self._size)


def _arrivals(gateway: Running) -> Arrivals:
    everybody = OpenEntrance(gateway.store, gateway.registry, gateway.operations)
    return Arrivals(Callers(everybody), gateway.room, LargeTurns())


async def test_a_message_that_is_here_takes_no_more_room_when_it_would_have_been_late(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrival, "PROMPT_S", 0.0)
    context: Any = _Here(1)
    async with _arrivals(gateway).message(context, bytes):
        for _ in range(5):
            await asyncio.sleep(0)
        assert gateway.room.taken == 0


@pytest.mark.parametrize(("size", "turns"), [(LARGE_BODY_BYTES + 1, 5), (LARGE_BODY_BYTES, 1)])
async def test_no_two_large_messages_are_taken_up_in_one_turn_of_the_loop(
    size: int, turns: int, gateway: Running
) -> None:
    arrivals = _arrivals(gateway)
    turn = 0
    begun: list[int] = []

    async def handled() -> None:
        context: Any = _Here(size)
        async with arrivals.message(context, bytes):
            begun.append(turn)

    calls = [asyncio.create_task(handled()) for _ in range(5)]
    while not all(call.done() for call in calls):
        await asyncio.sleep(0)
        turn += 1
    assert len(begun) == 5
    assert len(set(begun)) == turns
