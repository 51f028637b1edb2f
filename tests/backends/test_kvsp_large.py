"""The client's side of values in pieces: a KVSP that lies, stops, or is asked for too much."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.backends.kvsp_large import LargeLimits
from tandem.backends.port import Heal
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import KIB, MIB, PIECE_BYTES, WHOLE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Glimpsed, Reason, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc
from tests.kvsp.serving import connected, running_kvsp

Context = grpc.aio.ServicerContext[Any, Any]
Change = Callable[[list[bytes]], list[bytes]]

NAMESPACE = "ab" * 16
KEY = Key(NAMESPACE, "key")
BLOB = "0" * 32


def record(size: int = 3 * MIB) -> Record:
    return seal(Version.at(SystemClock().now_us()), bytes(range(256)) * (size // 256))


class ScriptedStorage(rpc.StorageServicer):
    """Has one large record; sends `pieces` of it, then ends as it is told to."""

    def __init__(self, held: Record) -> None:
        self.held = held
        self.pieces = [
            held.envelope[at : at + PIECE_BYTES] for at in range(0, len(held.envelope), PIECE_BYTES)
        ]
        self.stops_after: int | None = None
        self.stopped = asyncio.Event()
        self.received: list[pb.LargePut] = []
        self.takes: int | None = None
        self.claimed_size = 0
        self.written = [pb.StorageWritten(outcome=pb.WRITE_OUTCOME_STORED)]

    async def Exchange(self, _: object, context: Context) -> None:
        await context.send_initial_metadata(())
        large = pb.LargeRecord(
            blob=BLOB,
            version=self.held.version,
            digest=self.held.digest,
            size=self.claimed_size or len(self.held.envelope),
        )
        while isinstance(request := await context.read(), pb.StorageRequest):
            reads = [pb.StorageRead(id=get.id, large=large) for get in request.gets]
            await context.write(pb.StorageReply(reads=reads, home_time_us=7))

    async def GetLarge(self, request: pb.LargeGet, context: Context) -> None:
        assert request == pb.LargeGet(namespace=NAMESPACE, name=b"key", blob=BLOB)
        for number, piece in enumerate(self.pieces):
            if number == self.stops_after:
                self.stopped.set()
                await asyncio.Event().wait()
            await context.write(pb.LargePiece(data=piece))

    async def PutLarge(self, _: object, context: Context) -> pb.StorageReply:
        while isinstance(message := await context.read(), pb.LargePut):
            self.received.append(message)
            if len(self.received) == self.takes:
                self.stopped.set()
                await asyncio.Event().wait()
        return pb.StorageReply(writes=self.written, home_time_us=9)


@asynccontextmanager
async def scripted(
    held: Record | None = None, large: LargeLimits | None = None
) -> AsyncIterator[tuple[ScriptedStorage, KvspBackend]]:
    storage = ScriptedStorage(held or record())
    server = grpc.aio.server()
    rpc.add_StorageServicer_to_server(storage, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend = KvspBackend(f"127.0.0.1:{port}", SystemEntropy(), large=large or LargeLimits())
    backend.start()
    try:
        yield storage, backend
    finally:
        await backend.aclose()
        await server.stop(None)


def reason(reply: object) -> Reason:
    assert isinstance(reply, Failed), reply
    return reply.reason


@pytest.mark.parametrize("size", [WHOLE_BYTES_MAX, 3 * MIB, 25 * MIB])
async def test_no_message_holds_a_whole_large_value(size: int) -> None:
    async with scripted() as (storage, backend):
        sent = record(size)
        assert await backend.put_if_newer(KEY, sent, 30, Heal(5, over_corrupt=True)) == Stored(9)
        head, *pieces = storage.received
        assert b"".join(message.piece for message in pieces) == sent.value
        assert max(len(message.piece) for message in pieces) <= PIECE_BYTES
        assert head.head == pb.LargeHead(
            namespace=NAMESPACE,
            name=b"key",
            trailer=sent.envelope[sent.value_size :],
            digest=sent.digest,
            size=len(sent.envelope),
            heal_read_at_us=5,
            over_corrupt=True,
        )


async def test_a_large_record_is_put_together() -> None:
    async with scripted() as (storage, backend):
        assert await backend.get(KEY, 30) == Found(storage.held, 7)


@pytest.mark.parametrize(
    "change",
    [
        lambda pieces: pieces[:-1],
        lambda pieces: [],
        lambda pieces: [*pieces, b"x"],
        lambda pieces: [*pieces[:-1], pieces[-1][:-1] + b"?"],
        lambda pieces: [pieces[1], pieces[0], *pieces[2:]],
    ],
    ids=["one lacks", "none comes", "too much", "a byte differs", "another order"],
)
async def test_what_is_not_the_record_is_a_corrupt_copy(change: Change) -> None:
    held = seal(Version.at(1), random.Random(1).randbytes(2 * MIB + 1))
    async with scripted(held) as (storage, backend):
        storage.pieces = change(storage.pieces)
        corrupt = await backend.get(KEY, 30)
        assert reason(corrupt) is Reason.CORRUPT
        assert isinstance(corrupt, Failed)
        assert corrupt.home_time_us == 7


async def test_bytes_that_are_no_envelope_are_corrupt_even_with_their_digest() -> None:
    held = record()._replace(envelope=b"x" * MIB, digest=bytes.fromhex("f" * 32))
    async with scripted(held) as (_, backend):
        assert reason(await backend.get(KEY, 30)) is Reason.CORRUPT


async def test_a_value_that_nobody_needs_any_more_is_left() -> None:
    async with scripted() as (storage, backend):
        storage.stops_after = 2  # all of it can never come
        needed = iter([True, False])
        glimpsed = await backend.get(KEY, 30, lambda: next(needed))
        assert glimpsed == Glimpsed(storage.held.version, storage.held.digest, 7)


async def test_a_value_that_the_other_home_brings_in_its_head_start_is_not_asked_for() -> None:
    async with scripted(large=LargeLimits(head_start_s=0.001)) as (storage, backend):
        storage.pieces = [b"not sent, or it would be corrupt"]
        glimpsed = await backend.get(KEY, 30, lambda: False)
        assert glimpsed == Glimpsed(storage.held.version, storage.held.digest, 7)


async def test_after_its_head_start_the_other_home_is_waited_for_no_longer() -> None:
    async with scripted(large=LargeLimits(head_start_s=0.001)) as (storage, backend):
        assert await backend.get(KEY, 30, lambda: True) == Found(storage.held, 7)


async def test_nobody_has_a_head_start_where_no_other_home_is_asked() -> None:
    async with scripted(large=LargeLimits(head_start_s=1000)) as (storage, backend):
        assert await backend.get(KEY, 30) == Found(storage.held, 7)
        waits = backend.get(KEY, 0.1, lambda: True)
        assert reason(await waits) is Reason.TIMEOUT
        closed = backend.get(KEY, 30, lambda: True)
        await backend.aclose()
        assert reason(await closed) is Reason.UNREACHABLE


@pytest.mark.parametrize("stops_after", range(3))
async def test_a_stream_that_stops_is_a_timeout(stops_after: int) -> None:
    async with scripted() as (storage, backend):
        storage.stops_after = stops_after
        assert reason(await backend.get(KEY, 0.5)) is Reason.TIMEOUT
        storage.stops_after = None
        assert isinstance(await backend.get(KEY, 30), Found)


@pytest.mark.parametrize("takes", range(1, 4))
async def test_a_kvsp_that_stops_taking_is_a_timeout(takes: int) -> None:
    async with scripted() as (storage, backend):
        storage.takes = takes
        assert reason(await backend.put_if_newer(KEY, record(), 0.5)) is Reason.TIMEOUT


async def test_what_is_under_way_fails_when_the_home_is_closed() -> None:
    async with scripted() as (storage, backend):
        storage.stops_after = storage.takes = 1
        read, write = backend.get(KEY, 60), backend.put_if_newer(KEY, record(), 60)
        await storage.stopped.wait()
        await backend.aclose()
        assert reason(await read) is reason(await write) is Reason.UNREACHABLE
        assert reason(await backend.put_if_newer(KEY, record(), 60)) is Reason.UNREACHABLE


async def test_a_fault_of_our_own_is_handed_to_who_reads() -> None:
    def needed() -> bool:
        raise RuntimeError("a fault")

    async with scripted() as (_, backend):
        async with asyncio.timeout(60):
            reply = await backend.get(KEY, 600, needed)
        assert reply == Failed(Reason.ERROR, "RuntimeError('a fault')")


async def test_a_size_that_no_record_has_is_a_corrupt_copy() -> None:
    async with scripted() as (storage, backend):
        storage.claimed_size = 2**32 - 1
        assert reason(await backend.get(KEY, 60)) is Reason.CORRUPT


async def test_an_answer_to_a_put_that_cannot_be_meant_is_a_failure() -> None:
    async with scripted() as (storage, backend):
        storage.written = []
        assert reason(await backend.put_if_newer(KEY, record(), 60)) is Reason.ERROR


async def test_bytes_under_way_are_bounded_and_given_back() -> None:
    async with scripted(large=LargeLimits(bytes_max=4 * MIB)) as (storage, backend):
        storage.takes = 1
        first = backend.put_if_newer(KEY, record(3 * MIB), 1.0)
        assert reason(await backend.put_if_newer(KEY, record(2 * MIB), 1.0)) is Reason.OVERLOADED
        assert reason(await first) is Reason.TIMEOUT
        storage.takes = None
        assert isinstance(await backend.put_if_newer(KEY, record(3 * MIB), 30), Stored)


async def test_reads_wait_for_their_turn_and_no_more_than_may_wait() -> None:
    limits = LargeLimits(gets_at_once_max=1, gets_waiting_max=2)
    async with scripted(large=limits) as (storage, backend):
        storage.stops_after = 1
        first, second, third = (backend.get(KEY, 1.0) for _ in range(3))
        assert reason(await third) is Reason.OVERLOADED
        assert [reason(await each) for each in (first, second)] == [Reason.TIMEOUT] * 2
        storage.stops_after = None
        assert isinstance(await backend.get(KEY, 30), Found)


async def test_a_group_of_all_sizes_has_every_reply(tmp_path: Path) -> None:
    sizes = [256, 100 * KIB, 3 * MIB, 0, WHOLE_BYTES_MAX, 512 * KIB]
    puts = [(Key(NAMESPACE, f"k{at}"), record(size)) for at, size in enumerate(sizes)]
    replies: dict[int, object] = {}
    async with running_kvsp(tmp_path, 2) as kvsp, connected(kvsp) as backend:
        backend.put_all(puts, 30, replies.update)
        assert not replies
        async with asyncio.timeout(60):
            while len(replies) < len(puts):
                await asyncio.sleep(0.01)
        assert {type(reply) for reply in replies.values()} == {Stored}
        for key, wanted in puts:
            found = await backend.get(key, 30)
            assert isinstance(found, Found)
            assert found.record == wanted
