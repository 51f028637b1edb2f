"""One gateway's stream: routes what comes in, and sends all answers of a moment in one message.

An operation counts as in flight until its answer was handed to gRPC; at the bound the stream is not
read any further, so that the gateway feels it.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

from kvsp.answers import Absent, InBlob, ReadAnswer
from kvsp.pieces import one_piece
from kvsp.store import Store
from tandem.core.limits import MIB, WHOLE_BYTES_MAX
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import NO_VERSION
from tandem.errors import InvalidArgument
from tandem.runtime.clock import Clock
from tandem.wire import storage_codec as codec
from tandem.wire.storage_codec import Get, LargeRecord, Put

OPERATIONS_MAX: Final = 16_384
_LARGE_MAX: Final = 8
_MESSAGE_BYTES: Final = MIB
_MESSAGE_OPEN_US: Final = 20_000
_STOPPING: Final = Failed(Reason.UNREACHABLE, "KVSP is stopping")

_Answer: TypeAlias = bytes | Absent | LargeRecord | Failed


class Exchange:
    """Answers one stream's messages through `write`; `tasks` runs what concerns large values."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        write: Callable[[codec.Reply], Awaitable[None]],
        tasks: asyncio.TaskGroup,
        operations_max: int = OPERATIONS_MAX,
    ) -> None:
        self._store = store
        self._clock = clock
        self._write = write
        self._tasks = tasks
        self._operations_max = operations_max
        self._in_flight = 0
        self._room = asyncio.Event()
        self._outgoing: deque[_Outgoing] = deque()
        self._wake = asyncio.Event()
        self._large = asyncio.Semaphore(_LARGE_MAX)
        self._closed = False

    def close(self) -> None:
        """Drops the answers that are still to come: the stream has ended."""
        self._closed = True

    async def accept(self, request: codec.Request) -> None:
        """Starts everything that one message asks for; returns when there is room for more."""
        self._in_flight += len(request.gets) + len(request.puts)
        if request.gets:
            self._accept_gets(request)
        if request.puts:
            await self._accept_puts(request)
        while self._in_flight > self._operations_max:
            self._room.clear()
            await self._room.wait()

    async def drained(self) -> None:
        """Returns when everything that was accepted is answered."""
        while self._in_flight:
            self._room.clear()
            await self._room.wait()

    async def send_on(self) -> None:
        """Sends answers as they come, until cancelled."""
        while True:
            while self._outgoing:
                outgoing = self._outgoing.popleft()
                await self._write(outgoing.reply)
                outgoing.sent.set()
                self._in_flight -= outgoing.operations
                self._room.set()
            self._wake.clear()
            await self._wake.wait()

    def _accept_gets(self, request: codec.Request) -> None:
        gets = []
        for get in request.gets:
            try:
                gets.append(codec.parse_get(get))
            except InvalidArgument as error:
                self._answer_read(get.id, _invalid(error))
        for part, answers in self._store.read(gets):
            answers.add_done_callback(partial(self._answer_reads, part))

    async def _accept_puts(self, request: codec.Request) -> None:
        """A large value waits for its turn before the stream is read further, which bounds the
        bytes held here. Those that wait when KVSP stops reading are not begun any more."""
        puts = []
        for message in request.puts:
            try:
                puts.append(codec.parse_put(message))
            except InvalidArgument as error:
                self._answer_put(message.id, _invalid(error))
        large = deque(put for put in puts if self._store.is_large(put))
        small = [put for put in puts if not self._store.is_large(put)] if large else puts
        for part, answers in self._store.write(small):
            answers.add_done_callback(partial(self._answer_puts, part))
        try:
            while large:
                await self._large.acquire()
                self._start_large(large.popleft())
        finally:
            for put in large:
                self._answer_put(put.id, _STOPPING)

    def _answer_reads(self, gets: Sequence[Get], answers: "Future[list[ReadAnswer]]") -> None:
        if self._closed:
            return
        now_us = self._clock.now_us()
        outgoing = self._open(now_us)
        for get, answer in zip(gets, answers.result(), strict=True):
            if isinstance(answer, InBlob):
                self._tasks.create_task(self._get_large(get, answer))
                continue
            if outgoing.size > _MESSAGE_BYTES:
                outgoing = self._open(now_us)
            outgoing.add_read(get.id, answer)

    def _answer_read(self, number: int, answer: _Answer) -> "_Outgoing":
        outgoing = self._open(self._clock.now_us())
        outgoing.add_read(number, answer)
        return outgoing

    def _answer_puts(self, puts: Sequence[Put], answers: "Future[list[WriteReply]]") -> None:
        if self._closed:
            return
        outgoing = self._open(self._clock.now_us())
        outgoing.operations += len(puts)
        for put, answer in zip(puts, answers.result(), strict=True):
            codec.add_written(outgoing.reply, put.id, answer)

    def _answer_put(self, number: int, answer: WriteReply) -> None:
        outgoing = self._open(self._clock.now_us())
        outgoing.operations += 1
        codec.add_written(outgoing.reply, number, answer)

    async def _get_large(self, get: Get, large: InBlob) -> None:
        async with self._large:
            outgoing = self._answer_read(get.id, await self._large_answer(get, large))
            await outgoing.sent.wait()

    async def _large_answer(self, get: Get, large: InBlob) -> _Answer:
        """The record, or where it is to be had piece by piece; without its blob it is missing, but
        not below any floor: there is a row, so nobody deleted the key for good."""
        if large.size <= WHOLE_BYTES_MAX:
            return await self._store.load(get, large)
        if await self._store.holds(get, large):
            return LargeRecord(large.blob, large.version, large.digest, large.size)
        return Absent(NO_VERSION)

    def _start_large(self, put: Put) -> None:
        task = self._tasks.create_task(self._put_large(put))
        task.add_done_callback(lambda _: self._large.release())

    async def _put_large(self, put: Put) -> None:
        whole = one_piece(put.record.envelope)
        outcome = await self._store.write_large(put.without_envelope(), whole)
        self._answer_put(put.id, outcome)

    def _open(self, now_us: int) -> "_Outgoing":
        """The message that answers of this moment go into, dated `now_us`.

        One that has waited for a while is left as it is: its date must stay near its reads, since
        a heal may rest on them.
        """
        if self._outgoing:
            last = self._outgoing[-1]
            if last.size <= _MESSAGE_BYTES and now_us - last.opened_us < _MESSAGE_OPEN_US:
                last.reply.home_time_us = now_us
                return last
        opened = _Outgoing(now_us)
        self._outgoing.append(opened)
        self._wake.set()
        return opened


class _Outgoing:
    """A message on its way out."""

    __slots__ = ("opened_us", "operations", "reply", "sent", "size")

    def __init__(self, now_us: int) -> None:
        self.reply = codec.new_reply(now_us)
        self.opened_us = now_us
        self.operations = 0
        self.size = 0
        self.sent = asyncio.Event()

    def add_read(self, number: int, answer: _Answer) -> None:
        self.operations += 1
        if isinstance(answer, bytes):
            self.size += len(answer)
            codec.add_envelope(self.reply, number, answer)
        elif isinstance(answer, Absent):
            codec.add_missing(self.reply, number, answer.floor)
        elif isinstance(answer, LargeRecord):
            codec.add_large(self.reply, number, answer)
        else:
            codec.add_failed_read(self.reply, number, answer)


def _invalid(error: InvalidArgument) -> Failed:
    return Failed(Reason.ERROR, f"invalid request: {error}")
