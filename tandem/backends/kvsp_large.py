"""Large values on their way to and from KVSP: in pieces, each value in a call of its own.

What is sent is cut from the envelope as KVSP takes it; what comes goes into one buffer, its digest
computed meanwhile. So a value under way takes its own size and a few pieces, however slow KVSP is.
"""

import asyncio
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import grpc.aio

from tandem.backends.kvsp_call import CLOSED, failed_call, is_cancelled, unreadable
from tandem.backends.kvsp_operations import LargeRead
from tandem.backends.port import Heal
from tandem.core.envelope import BadEnvelope, open_envelope
from tandem.core.key import Key
from tandem.core.limits import MIB, PIECE_BYTES
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Glimpsed, ReadReply, Reason, WriteReply
from tandem.runtime.done import done
from tandem.runtime.intake import Intake
from tandem.wire import large_codec as codec
from tandem.wire import storage_codec

_Reply = TypeVar("_Reply", ReadReply, WriteReply)

PutCall: TypeAlias = grpc.aio.StreamUnaryCall[codec.LargePutMessage, storage_codec.Reply]
GetCall: TypeAlias = grpc.aio.UnaryStreamCall[codec.LargeGetMessage, codec.LargePiece]

_TIMEOUT: Final = Failed(Reason.TIMEOUT, "not all of the value by the deadline")


@dataclass(frozen=True, slots=True)
class LargeLimits:
    """How much may be under way, and how much of it moves at the same time."""

    puts_at_once_max: int = 16
    gets_at_once_max: int = 8
    gets_waiting_max: int = 1_024
    bytes_max: int = 256 * MIB
    """Of the values that are being written."""
    head_start_s: float = 0.0
    """For each MiB: so long another home, asked by the same reader, may take to bring a value
    before it is asked for here. Only where that home is on this machine: there both would compete
    for its cores, and one of them for nothing."""


class LargeCalls:
    """Owns every large value under way, until `aclose`."""

    def __init__(
        self,
        put_large: Callable[[], PutCall],
        get_large: Callable[[codec.LargeGetMessage], GetCall],
        limits: LargeLimits,
    ) -> None:
        self._put_large = put_large
        self._get_large = get_large
        self._limits = limits
        self._puts = asyncio.Semaphore(limits.puts_at_once_max)
        self._gets = asyncio.Semaphore(limits.gets_at_once_max)
        self._gets_under_way = 0
        self._bytes = 0
        self._tasks: set[Task[Any]] = set()
        self._closed = False

    def put(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None
    ) -> "Future[WriteReply]":
        """Stores a large record."""
        size = len(record.envelope)
        if self._closed:
            return done(CLOSED)
        if self._bytes + size > self._limits.bytes_max:
            return done(Failed(Reason.OVERLOADED, f"{self._bytes} bytes are under way"))
        self._bytes += size
        task = self._own(self._bounded(deadline_s, partial(self._put, key, record, heal)))
        task.add_done_callback(lambda _: self._put_ended(size))
        return task

    def fetch(self, read: LargeRead, future: "Future[ReadReply]") -> None:
        """Brings the record of a read into `future`, which holds a reply by its deadline."""
        if self._closed:
            future.set_result(CLOSED)
            return
        if self._gets_under_way >= self._limits.gets_waiting_max:
            future.set_result(Failed(Reason.OVERLOADED, "too many large values are read at once"))
            return
        self._gets_under_way += 1
        task = self._own(self._bounded(read.deadline_s, partial(self._get, read)))
        task.add_done_callback(partial(self._get_ended, future))

    async def aclose(self) -> None:
        """Ends what is under way; it has failed."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _own(self, work: Coroutine[Any, Any, _Reply | Failed]) -> "Task[_Reply | Failed]":
        task = asyncio.create_task(work, name="kvsp-large")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _put_ended(self, size: int) -> None:
        self._bytes -= size

    def _get_ended(self, future: "Future[ReadReply]", task: "Task[ReadReply]") -> None:
        self._gets_under_way -= 1
        if future.done() or task.cancelled():
            return
        if (fault := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": "a large value from KVSP broke", "exception": fault}
            )
            future.set_result(Failed(Reason.ERROR, repr(fault)))
        else:
            future.set_result(task.result())

    async def _bounded(
        self, deadline_s: float, work: Callable[[], Awaitable[_Reply]]
    ) -> _Reply | Failed:
        try:
            async with asyncio.timeout(deadline_s):
                return await work()
        except TimeoutError:
            return _TIMEOUT
        except grpc.aio.AioRpcError as error:
            return failed_call(error)
        except ValueError as error:
            return unreadable(error)
        except asyncio.CancelledError:
            if is_cancelled() and not self._closed:
                raise
            return CLOSED

    async def _put(self, key: Key, record: Record, heal: Heal | None) -> WriteReply:
        async with self._puts:
            call = self._put_large()
            try:
                await _send(call, key, record, heal)
                [(_, written)] = storage_codec.write_replies(await call)
                return written
            finally:
                call.cancel()

    async def _get(self, read: LargeRead) -> ReadReply:
        if read.needed is not None and self._limits.head_start_s:
            await asyncio.sleep(self._limits.head_start_s * read.large.size / MIB)
            if not read.needed():
                return Glimpsed(read.large.version, read.large.digest, read.home_time_us)
        async with self._gets:
            return await self._read(read)

    async def _read(self, read: LargeRead) -> ReadReply:
        large, home_time_us = read.large, read.home_time_us
        intake = Intake(large.size)
        call = self._get_large(codec.large_get(read.key, large.blob))
        try:
            while isinstance(piece := await call.read(), codec.LargePiece):
                if read.needed is not None and not read.needed():
                    return Glimpsed(large.version, large.digest, home_time_us)
                if len(intake) + len(piece.data) > large.size:
                    return Failed(Reason.CORRUPT, "more came than there should be", home_time_us)
                await intake.add(piece.data)
        finally:
            call.cancel()
        await intake.whole()
        envelope, digest = intake.end(b"")
        if digest != large.digest:
            return Failed(Reason.CORRUPT, "the bytes do not match their digest", home_time_us)
        try:
            return Found(open_envelope(envelope, digest), home_time_us)
        except BadEnvelope as error:
            return Failed(Reason.CORRUPT, str(error), home_time_us)


async def _send(call: PutCall, key: Key, record: Record, heal: Heal | None) -> None:
    """Sends the record, unless KVSP has its answer before: awaiting the call tells which."""
    read_at_us = 0 if heal is None else storage_codec.heal_basis(heal.read_at_us)
    head = codec.large_head(key, record, read_at_us, heal is not None and heal.over_corrupt)
    value = memoryview(record.envelope)[: record.value_size]
    try:
        await call.write(head)
        for start in range(0, len(value), PIECE_BYTES):
            await call.write(value[start : start + PIECE_BYTES])
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
