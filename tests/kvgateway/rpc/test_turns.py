"""Large messages have turns of the loop to themselves, also those of streams."""

import asyncio

import grpc
import pytest

from kvgateway.rpc.turns import LargeTurns
from tandem.core.limits import MIB
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running


async def test_each_has_another_turn() -> None:
    turns, turn = LargeTurns(), 0
    begun: list[int] = []

    async def one() -> None:
        await turns.next()
        begun.append(turn)

    calls = [asyncio.create_task(one()) for _ in range(5)]
    while not all(call.done() for call in calls):
        await asyncio.sleep(0)
        turn += 1
    assert len(set(begun)) == len(begun) == 5


@pytest.mark.parametrize("method", ["Get", "Put", "Exchange, a put", "Exchange, a get"])
async def test_a_large_message_waits_for_its_turn_and_a_small_one_does_not(
    method: str, gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.Event()
    turn = asyncio.Event()

    async def next_turn(_: LargeTurns) -> None:
        waiting.set()
        await turn.wait()

    def asked(name: str, size: int) -> asyncio.Task[object]:
        put = kv_pb2.PutRequest(namespace=NAMESPACE, key=name.encode(), value=bytes(size))
        get = kv_pb2.GetRequest(namespace=NAMESPACE, key=name.encode())
        match method:
            case "Get":
                return asyncio.create_task(_unary(kv.Get(get)))
            case "Put":
                return asyncio.create_task(_unary(kv.Put(put)))
            case "Exchange, a put":
                return asyncio.create_task(_exchanged(kv, kv_pb2.BatchRequest(puts=[put])))
            case _:
                return asyncio.create_task(_exchanged(kv, kv_pb2.BatchRequest(gets=[get])))

    for name, size in (("large", 3 * MIB), ("small", 3)):
        put = kv_pb2.PutRequest(namespace=NAMESPACE, key=name.encode(), value=bytes(size))
        await kv.Put(put)
    monkeypatch.setattr(LargeTurns, "next", next_turn)
    large = asked("large", 3 * MIB)
    await waiting.wait()
    await asked("small", 3)
    assert not large.done()
    turn.set()
    await large
    assert gateway.failures.count == 0


async def _unary(call: grpc.aio.UnaryUnaryCall[object, object]) -> object:
    return await call


async def _exchanged(kv: kv_pb2_grpc.KVStub, batch: kv_pb2.BatchRequest) -> object:
    stream = kv.Exchange()
    await stream.write(batch)
    return await stream.read()
