"""Clients that do not read what they asked for: what that holds, and what if they leave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import grpc
import pytest

from kvgateway.rpc import call_memory
from kvgateway.rpc.batch_answers import BatchAnswers
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.turns import LargeTurns
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import LARGE_BODY_BYTES, VALUE_BYTES_MAX
from tandem.core.request import ReadResult
from tandem.core.version import Version
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

GET = kv_pb2.GetRequest(namespace=NAMESPACE, key=b"k")
BATCH = kv_pb2.BatchRequest(gets=[GET])
UNARY = {"Get": GET, "Batch": BATCH}
STREAMS = ["GetStream", "Exchange"]
WITHIN_S = 60.0


@asynccontextmanager
async def _gateway(memory: CallMemory) -> AsyncIterator[Running]:
    """One with a large value."""
    gateway = Running(memory=memory)
    gateway.store.records[Key(NAMESPACE, "k")] = seal(Version.at(2**51), bytes(VALUE_BYTES_MAX))
    await gateway.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            yield gateway
    finally:
        await gateway.stop()


async def _unread(channel: grpc.aio.Channel, method: str) -> Any:  # noqa: ANN401
    """A call whose answer has begun to come, and is read no further."""
    kv: Any = kv_pb2_grpc.KVStub(channel)
    if method in UNARY:
        make: Any = channel.unary_stream
        call = make(f"/tandem.v1.KV/{method}")(UNARY[method].SerializeToString())
    elif method == "GetStream":
        call = kv.GetStream(GET)
    else:
        call = kv.Exchange()
        for _ in range(8):
            await call.write(BATCH)
    await call.initial_metadata()
    for _ in range(50):  # calls of others: time for whatever would move
        await kv.Batch(kv_pb2.BatchRequest())
    assert not call.done()
    return call


@pytest.mark.parametrize("method", [*UNARY, *STREAMS])
async def test_a_client_that_leaves_its_answer_is_no_fault_of_ours(method: str) -> None:
    async with _gateway(CallMemory(lambda: False)) as gateway, gateway.channel() as channel:
        call = await _unread(channel, method)
        call.cancel()
        for _ in range(50):
            await kv_pb2_grpc.KVStub(channel).Batch(kv_pb2.BatchRequest())
    assert gateway.failures.count == 0
    assert not gateway.log.events


@pytest.mark.parametrize("method", STREAMS)
async def test_answers_that_nobody_reads_end_for_want_of_memory(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_memory, "LOOK_EACH_S", 0.005)
    short = False
    async with _gateway(CallMemory(lambda: short)) as gateway, gateway.channel() as channel:
        watching = asyncio.create_task(gateway.memory.watch())
        call = await _unread(channel, method)
        short = True
        with suppress(grpc.aio.AioRpcError):
            while await call.read() is not grpc.aio.EOF:
                pass
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not watching.done()
        watching.cancel()
    assert gateway.failures.count == 0


@pytest.mark.parametrize("method", UNARY)
async def test_no_large_answer_begins_where_memory_is_short(method: str) -> None:
    async with _gateway(CallMemory(lambda: True)) as gateway, gateway.channel() as channel:
        kv: Any = kv_pb2_grpc.KVStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match="hold too much memory") as failure:
            await getattr(kv, method)(UNARY[method])
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await kv.Get(kv_pb2.GetRequest(namespace=NAMESPACE, key=b"small"))


async def test_one_long_value_of_a_batch_is_copied_in_one_turn_of_the_loop() -> None:
    turns, batch = LargeTurns(), kv_pb2.BatchRequest(gets=[GET] * 2)
    batches = [BatchAnswers(batch, 0.0) for _ in range(2)]
    for answers in batches:
        for number in range(2):
            record = seal(Version.at(2**51), bytes(LARGE_BODY_BYTES + 1))
            answers.answer_read(number, ReadResult(record))
        assert answers.complete.done()
    work = [asyncio.create_task(answers.put_long_values(turns)) for answers in batches]
    there, done = [0], [0]
    while done[-1] < len(work):
        await asyncio.sleep(0)
        there.append(sum(bool(get.value) for answers in batches for get in answers.reply.gets))
        done.append(sum(one.done() for one in work))
    assert there[-1] == 4
    assert max(after - before for before, after in (*pairwise(there), *pairwise(done))) == 1
