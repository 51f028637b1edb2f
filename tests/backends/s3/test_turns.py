"""Taking turns, without a store: every order of endings, and what becomes of those that wait."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tandem.backends.s3.turns import WAITING_MAX, Turns
from tandem.core.envelope import seal
from tandem.core.record import Record
from tandem.core.reply import Failed, Reason, Refusal, Refused, Stored, Superseded, WriteReply
from tandem.core.version import Version

PLENTY_S = 60.0


def record(number: int, text: bytes = b"v") -> Record:
    return seal(Version.at(number), text)


class Stage:
    """Writes on one object; each write that is sent waits for `end`."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.sent: list[Record] = []
        self._ends: list[asyncio.Future[WriteReply]] = []

    def put(self, written: Record, wait_s: float = PLENTY_S) -> "asyncio.Task[WriteReply]":
        until_s = asyncio.get_running_loop().time() + wait_s
        return asyncio.create_task(self.turns.take("name", written, until_s, self._send(written)))

    def _send(self, written: Record) -> Callable[[], Awaitable[WriteReply]]:
        async def write() -> WriteReply:
            self.sent.append(written)
            self._ends.append(asyncio.get_running_loop().create_future())
            return await self._ends[-1]

        return write

    def under_way(self) -> "asyncio.Future[WriteReply]":
        return self._ends[-1]

    async def end(self, reply: WriteReply) -> None:
        """Answers the write under way and lets all that follows from it happen."""
        self._ends[-1].set_result(reply)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_after_the_other_and_only_the_newest_of_those_that_wait() -> None:
    stage = Stage()
    first = stage.put(record(5))
    await settle()
    waiting = [stage.put(record(number)) for number in (7, 9, 6, 8)]
    await settle()
    assert stage.sent == [record(5)]
    await stage.end(Stored(100))
    assert await first == Stored(100)
    assert stage.sent == [record(5), record(9)]
    await stage.end(Stored(200))
    newest = Superseded(record(9).version, 200)
    assert [await put for put in waiting] == [newest, Stored(200), newest, newest]
    assert stage.sent == [record(5), record(9)]


async def test_who_comes_while_the_newest_is_sent_is_not_settled_by_it() -> None:
    stage = Stage()
    stage_first = stage.put(record(9))
    await settle()
    late = stage.put(record(8))
    await settle()
    await stage.end(Stored(100))
    assert await stage_first == Stored(100)
    assert stage.sent == [record(9), record(8)], "its reply must be newer than its call"
    await stage.end(Superseded(record(9).version, 200))
    assert await late == Superseded(record(9).version, 200)


async def test_the_same_record_shares_its_reply_and_the_smaller_digest_loses() -> None:
    stage = Stage()
    low, high = sorted((record(2, b"a"), record(2, b"b")), key=lambda it: it.digest)
    first = stage.put(record(1))
    await settle()
    waiting = [stage.put(it) for it in (low, high, high)]
    await settle()
    await stage.end(Stored(1))
    await stage.end(Stored(2))
    assert await first == Stored(1)
    superseded = Superseded(high.version, 2)
    assert [await put for put in waiting] == [superseded, Stored(2), Stored(2)]


@pytest.mark.parametrize("end", [Failed(Reason.ERROR), Refused(Refusal.FUTURE, 1)])
async def test_who_waited_on_a_write_without_success_goes_itself(end: WriteReply) -> None:
    stage = Stage()
    first = stage.put(record(1))
    await settle()
    older, newer = stage.put(record(2)), stage.put(record(3))
    await settle()
    await stage.end(Stored(1))
    await stage.end(end)
    assert stage.sent == [record(1), record(3), record(2)]
    await stage.end(Stored(3))
    assert [await put for put in (first, older, newer)] == [Stored(1), Stored(3), end]


async def test_who_waits_is_answered_by_its_deadline() -> None:
    stage = Stage()
    first = stage.put(record(1))
    await settle()
    reply = await stage.put(record(2), wait_s=0.01)
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.TIMEOUT
    await stage.end(Stored(1))
    assert await first == Stored(1)
    assert stage.sent == [record(1)]


async def test_a_cancelled_write_passes_its_turn_on() -> None:
    stage = Stage()
    first = stage.put(record(1))
    await settle()
    waiting = stage.put(record(2))
    newest = stage.put(record(3))
    await settle()
    first.cancel()
    await settle()
    assert stage.sent == [record(1), record(3)]
    newest.cancel()
    await settle()
    assert stage.sent == [record(1), record(3), record(2)]
    await stage.end(Stored(1))
    assert await waiting == Stored(1)


async def test_a_write_cancelled_as_its_turn_comes_passes_it_on() -> None:
    stage = Stage()
    first = stage.put(record(1))
    await settle()
    waiting, newest = stage.put(record(2)), stage.put(record(3))
    await settle()
    # It is called between the end of the first turn and the beginning of the next.
    stage.under_way().add_done_callback(lambda _: newest.cancel())
    await stage.end(Stored(1))
    assert await first == Stored(1)
    assert stage.sent == [record(1), record(2)]
    await stage.end(Stored(2))
    assert await waiting == Stored(2)


async def test_a_line_too_long_is_refused() -> None:
    stage = Stage()
    puts = [stage.put(record(number + 1)) for number in range(WAITING_MAX + 2)]
    await settle()
    reply = await puts[-1]
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.OVERLOADED
    await stage.end(Stored(1))
    await stage.end(Stored(2))
    replies = [await put for put in puts[:-1]]
    assert sum(isinstance(reply, Stored) for reply in replies) == 2
    assert len(stage.sent) == 2
