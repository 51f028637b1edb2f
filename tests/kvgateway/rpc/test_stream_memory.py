"""A value that comes and goes in pieces is held once by the gateway: the peak is counted.

The client is in the same process; it keeps nothing.
"""

import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import KIB, MIB, VALUE_BYTES_MAX
from tandem.core.version import Version
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

_PIECE = bytes(256 * KIB)
_PIECES = 96  # 24 MiB


async def _peak_bytes(work: Callable[[], Awaitable[None]]) -> int:
    tracemalloc.start()
    try:
        await work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 256 * KIB, 256 * KIB + 1, VALUE_BYTES_MAX])
async def test_pieces_are_the_value(gateway: Running, kv: kv_pb2_grpc.KVStub, size: int) -> None:
    value = (bytes(range(256)) * (size // 256 + 1))[:size]
    record = seal(Version.at(1_800_000_000_000_000), value, metadata=b"{}")
    gateway.store.records[Key(NAMESPACE, "k")] = record
    chunks = [chunk async for chunk in kv.GetStream(_get())]
    assert chunks[0].head.found
    assert chunks[0].head.metadata == b"{}"
    assert b"".join([chunks[0].head.value, *(chunk.data for chunk in chunks[1:])]) == value
    assert all(0 < len(chunk.data) <= 256 * KIB for chunk in chunks[1:])


async def test_reading_copies_no_more_than_some_pieces(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    record = seal(Version.at(1_800_000_000_000_000), bytes(_PIECES * len(_PIECE)))
    gateway.store.records[Key(NAMESPACE, "k")] = record

    async def read() -> None:
        received = 0
        async for chunk in kv.GetStream(_get()):
            received += len(chunk.head.value) + len(chunk.data)
        assert received == record.value_size

    assert await _peak_bytes(read) < 8 * MIB


async def test_writing_holds_one_buffer_and_some_pieces(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    async def pieces() -> AsyncIterator[kv_pb2.PutChunk]:
        head = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"k")
        yield kv_pb2.PutChunk(head=head)
        for _ in range(_PIECES):
            yield kv_pb2.PutChunk(data=_PIECE)
        yield kv_pb2.PutChunk(last=True)

    async def write() -> None:
        await kv.PutStream(pieces())

    peak = await _peak_bytes(write)
    assert gateway.store.records[Key(NAMESPACE, "k")].value_size == _PIECES * len(_PIECE)
    assert peak < VALUE_BYTES_MAX + 12 * MIB


def _get() -> kv_pb2.GetRequest:
    return kv_pb2.GetRequest(namespace=NAMESPACE, key=b"k")
