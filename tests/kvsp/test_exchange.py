"""One stream of a gateway: everything that was accepted is answered, also when KVSP stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvsp.exchange import Exchange
from kvsp.store import Store
from tandem.core.record import Record
from tandem.core.reply import Failed, Stored, WriteReply
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, START_US, SetClock, put, value
from tests.kvsp.serving import LARGE_VALUE_BYTES

OPERATIONS_MAX = 12
LARGE_AT_ONCE = 8
MESSAGE_OPEN_US = 20_000


class Stream:
    """An exchange over a real store, and a gateway that has its answers while it `reads`."""

    def __init__(self, store: Store, clock: SetClock, tasks: asyncio.TaskGroup) -> None:
        self.exchange = Exchange(store, clock, self._write, tasks, OPERATIONS_MAX)
        self.replies: list[codec.Reply] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def _write(self, reply: codec.Reply) -> None:
        await self.reads.wait()
        await asyncio.sleep(0)  # gRPC lets others run, too
        self.replies.append(reply)

    @property
    def written(self) -> dict[int, WriteReply]:
        return {at: one for reply in self.replies for at, one in codec.write_replies(reply)}

    async def read_back(self, puts: codec.Request) -> None:
        """Writes all of it, then asks for it: `replies` has the answers to that."""
        await self.exchange.accept(puts)
        await self.exchange.drained()
        self.replies.clear()
        gets = [pb.StorageGet(id=p.id, namespace=p.namespace, name=p.name) for p in puts.puts]
        await self.exchange.accept(codec.Request(gets=gets))
        async with asyncio.timeout(60):
            await self.exchange.drained()

    async def fill_large(self) -> None:
        """Takes every turn that large values have."""
        for _ in range(LARGE_AT_ONCE):
            await self.exchange._large.acquire()


@pytest.fixture
async def stream(opening: Opening, clock: SetClock) -> AsyncIterator[Stream]:
    store = (await opening()).store
    async with asyncio.TaskGroup() as tasks:
        stream = Stream(store, clock, tasks)
        sender = tasks.create_task(stream.exchange.send_on())
        yield stream
        sender.cancel()


def message(*records: Record) -> codec.Request:
    """Puts of these records, numbered from 0."""
    request = codec.Request()
    for number, record in enumerate(records):
        one = put(f"key{number}", record)
        codec.add_put(request, number, one.key, record.envelope)
    return request


def refused(count: int) -> codec.Request:
    """So many reads that are answered at once: they name no key."""
    return codec.Request(gets=[pb.StorageGet(namespace=NAMESPACE)] * count)


SMALL, LARGE = value(b"v"), value(b"v" * (LARGE_VALUE_BYTES + 1))


async def test_small_values_of_a_message_do_not_wait_for_large_ones(stream: Stream) -> None:
    await stream.fill_large()
    accepting = asyncio.create_task(stream.exchange.accept(message(LARGE, SMALL)))
    while 1 not in stream.written:
        await asyncio.sleep(0.001)
    assert isinstance(stream.written[1], Stored)
    assert not accepting.done()
    stream.exchange._large.release()
    await accepting
    await stream.exchange.drained()
    assert isinstance(stream.written[0], Stored)


async def test_large_values_that_wait_at_a_stop_are_answered_and_not_begun(stream: Stream) -> None:
    await stream.fill_large()
    accepting = asyncio.create_task(stream.exchange.accept(message(SMALL, LARGE, LARGE)))
    while 0 not in stream.written:
        await asyncio.sleep(0.001)
    accepting.cancel()
    await stream.exchange.drained()
    assert isinstance(stream.written[0], Stored)
    for number in (1, 2):
        answer = stream.written[number]
        assert isinstance(answer, Failed)
        assert "KVSP is stopping" in answer.detail


async def test_whoever_reads_no_answers_is_read_up_to_the_bound(stream: Stream) -> None:
    stream.reads.clear()
    await stream.exchange.accept(refused(OPERATIONS_MAX))
    async with asyncio.timeout(60):
        while stream.exchange._outgoing:  # until the first message is on its way
            await asyncio.sleep(0)
    more = OPERATIONS_MAX + 1  # too many still, when it is sent
    accepting = asyncio.create_task(stream.exchange.accept(refused(more)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not accepting.done()
    stream.reads.set()
    await accepting
    await stream.exchange.drained()
    assert sum(len(reply.reads) for reply in stream.replies) == OPERATIONS_MAX + more


async def test_large_values_that_were_sent_make_room_for_others(stream: Stream) -> None:
    await stream.read_back(message(*[LARGE] * (LARGE_AT_ONCE + 2)))
    found = {read.id: read.envelope for reply in stream.replies for read in reply.reads}
    assert found == dict.fromkeys(range(LARGE_AT_ONCE + 2), LARGE.envelope)


async def test_a_message_that_waits_keeps_the_time_of_what_is_in_it(
    stream: Stream, clock: SetClock
) -> None:
    """A heal may rest on its reads: dated later, they would count as newer than they are."""
    stream.reads.clear()
    for after_us in (0, 0, MESSAGE_OPEN_US - 1, MESSAGE_OPEN_US):
        clock.time_us = START_US + after_us
        await stream.exchange.accept(refused(1))
        await asyncio.sleep(0)  # the first one is on its way now, the second waits behind it
    stream.reads.set()
    await stream.exchange.drained()
    times = [(len(reply.reads), reply.home_time_us - START_US) for reply in stream.replies]
    assert times == [(1, 0), (2, MESSAGE_OPEN_US - 1), (1, MESSAGE_OPEN_US)]


async def test_many_values_of_one_moment_are_parted_into_messages(stream: Stream) -> None:
    await stream.read_back(message(*[value(b"v" * 100_000)] * OPERATIONS_MAX))
    assert [len(reply.reads) for reply in stream.replies] == [11, 1], "after 1 MiB comes another"
