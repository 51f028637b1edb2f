"""An outcome that no reply can hold, which is a fault of ours: its operation is answered too."""

import asyncio
from typing import Any

import grpc
import pytest

from kvgateway.rpc.dispatch import Dispatch
from kvgateway.rpc.outbox import ALONE_BYTES, Outbox
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.request import Written
from tandem.core.version import Version
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

UNTELLABLE: Any = "no bytes"
INTERNAL = grpc.StatusCode.INTERNAL.value[0]


def _batch() -> kv_pb2.BatchRequest:
    gets = [kv_pb2.GetRequest(id=at, namespace=NAMESPACE, key=b"%d" % at) for at in range(3)]
    return kv_pb2.BatchRequest(gets=gets)


def _three_of_which_the_second_is_untellable(gateway: Running, size: int) -> None:
    for number in range(3):
        record = seal(Version.at(2**51), bytes(size))
        if number == 1:
            record = record._replace(metadata=UNTELLABLE)
        gateway.store.records[Key(NAMESPACE, str(number))] = record


def _codes(replies: list[kv_pb2.GetReply]) -> dict[int, int]:
    assert len({reply.id for reply in replies}) == len(replies)
    return {reply.id: reply.error.code for reply in replies}


@pytest.mark.parametrize("size", [0, ALONE_BYTES + 1], ids=["small", "alone"])
@pytest.mark.parametrize("deferred", [False, True], ids=["hits", "from a home"])
async def test_a_batch_ends_and_a_stream_goes_on(
    deferred: bool, size: int, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.deferred = deferred
    _three_of_which_the_second_is_untellable(gateway, size)
    batch = await kv.Batch(_batch())
    assert _codes(batch.gets) == {0: 0, 1: INTERNAL, 2: 0}
    assert gateway.failures.count == 1

    stream = kv.Exchange()
    for turn in (2, 3):
        await stream.write(_batch())
        replies: list[kv_pb2.GetReply] = []
        while len(replies) < 3:
            replies += (await stream.read()).gets
        assert _codes(replies) == {0: 0, 1: INTERNAL, 2: 0}
        assert gateway.failures.count == turn
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF, "nothing counts as unanswered"
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_write_that_cannot_be_told_is_answered(gateway: Running) -> None:
    loop = asyncio.get_running_loop()
    told, untold = loop.create_future(), loop.create_future()
    told.set_result(Written(Version.at(1)))
    untold.set_result(Written(UNTELLABLE))
    gateway.store.write = lambda _: [told, untold]  # type: ignore[method-assign, assignment]
    outbox = Outbox(lambda: 0.0, lambda: None)
    puts = [
        kv_pb2.PutRequest(id=number, namespace=NAMESPACE, key=b"k", value=b"v") for number in (6, 7)
    ]
    await Dispatch(gateway.store, gateway.failures).start(kv_pb2.BatchRequest(puts=puts), 0, outbox)
    await asyncio.sleep(0)
    parcel = outbox.take()
    answers = [(reply.id, reply.error.code) for reply in parcel.reply.writes]
    assert answers == [(6, 0), (7, INTERNAL)]
    assert (parcel.operations, bool(outbox)) == (2, False)
