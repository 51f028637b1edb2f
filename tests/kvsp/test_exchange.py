"""One stream of a gateway: everything that was accepted is answered, also when KVSP stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kvsp.exchange import Exchange
from tandem.core.record import Record
from tandem.core.reply import Failed, Stored, WriteReply
from tandem.wire import storage_codec as codec
from tests.kvsp.conftest import Opening
from tests.kvsp.records import SetClock, put, value
from tests.kvsp.serving import LARGE_VALUE_BYTES

LARGE_AT_ONCE = 8


class Stream:
    """An exchange over a real store, and what it has answered to writes."""

    def __init__(self, exchange: Exchange, written: dict[int, WriteReply]) -> None:
        self.exchange = exchange
        self.written = written

    async def fill_large(self) -> None:
        """Takes every turn that large values have."""
        for _ in range(LARGE_AT_ONCE):
            await self.exchange._large.acquire()


@pytest.fixture
async def stream(opening: Opening, clock: SetClock) -> AsyncIterator[Stream]:
    store = (await opening()).store
    written: dict[int, WriteReply] = {}

    async def write(reply: codec.Reply) -> None:
        written.update(codec.write_replies(reply))

    async with asyncio.TaskGroup() as tasks:
        exchange = Exchange(store, clock, write, tasks)
        sender = tasks.create_task(exchange.send_on())
        yield Stream(exchange, written)
        sender.cancel()


def message(*records: Record) -> codec.Request:
    """Puts of these records, numbered from 0."""
    request = codec.Request()
    for number, record in enumerate(records):
        one = put(f"key{number}", record)
        codec.add_put(request, number, one.key, record.envelope)
    return request


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
