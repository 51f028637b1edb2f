"""One stream to KVSP: all that waits in a loop turn goes out as one message; answers find askers.

Every operation is answered by its deadline: by KVSP, with `TIMEOUT`, or with `UNREACHABLE` as soon
as the stream is known to be broken. What was not sent by then never will be.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

import grpc
import grpc.aio

from tandem.backends.kvsp_call import CLOSED, why_ended
from tandem.backends.kvsp_operations import (
    OPERATION_BYTES,
    Fetch,
    Reads,
    Writes,
)
from tandem.backends.port import Gets, Got, Heal, Puts, Replied
from tandem.core.backoff import delay_s
from tandem.core.limits import MIB
from tandem.core.reply import Failed, Reason
from tandem.wire import storage_codec as codec
from tandem.wire.storage_codec import LargeRecord

Stream = grpc.aio.StreamStreamCall[codec.Request, codec.Reply]

_CONNECT_S: Final = 2.0
_RECONNECT_FIRST_S: Final = 0.05
_RECONNECT_MOST_S: Final = 0.5
_SWEEP_PAUSE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much may be under way on one stream, and how much one message takes."""

    operations_max: int = 16_384
    bytes_max: int = 64 * MIB
    message_operations_max: int = 1_024
    message_bytes_max: int = MIB
    """A message ends with the operation that passes this."""


class Lane:
    """Keeps one stream open from `start` to `aclose`, in a task of its own."""

    def __init__(
        self,
        connect: Callable[[], Stream],
        unit_random: Callable[[], float],
        limits: LaneLimits,
        fetch: Fetch,
    ) -> None:
        self._connect = connect
        self._fetch = fetch
        self._loop = asyncio.get_running_loop()
        self._unit_random = unit_random
        self._limits = limits
        self._under_way: dict[int, Reads | Writes] = {}
        self._unsent: dict[int, Reads | Writes] = {}
        self._bytes = 0
        self._last_number = 0
        self._wake = asyncio.Event()
        self._timer: TimerHandle | None = None
        self.failure: Failed | None = None
        """Why nothing can be asked now."""
        self.connections = 0
        """Streams that came about so far."""
        self._answered = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect; what is asked meanwhile waits."""
        self._task = asyncio.create_task(self._stay_connected(), name="kvsp-lane")

    async def aclose(self) -> None:
        """Ends the stream; what is under way fails."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.failure = CLOSED
        self._fail_all(CLOSED)
        if self._timer is not None:
            self._timer.cancel()

    def get(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """Reads a group of records; see `tandem.backends.port.AnswersGroups`. Large ones go on at
        `fetch`, with the time that is left."""
        size = OPERATION_BYTES * len(gets)
        refusal = self.failure or self._overload(len(gets), size)
        if refusal is not None:
            self._loop.call_soon(got, [(position, refusal) for position in range(len(gets))])
            return
        group = Reads(gets, self._last_number + 1, self._loop.time() + deadline_s, got)
        self._start(group, len(gets), size)

    def put(self, puts: Puts, deadline_s: float, heal: Heal | None, replied: Replied) -> None:
        """Writes a group of records; see `tandem.backends.port.TakesGroups`."""
        size = sum([len(record.envelope) for _, record in puts]) + OPERATION_BYTES * len(puts)
        refusal = self.failure or self._overload(len(puts), size)
        if refusal is not None:
            self._loop.call_soon(replied, [(position, refusal) for position in range(len(puts))])
            return
        ends_at_s = self._loop.time() + deadline_s
        group = Writes(puts, self._last_number + 1, ends_at_s, heal, replied)
        self._start(group, len(puts), size)

    def _start(self, operation: Reads | Writes, count: int, size: int) -> None:
        first = self._last_number + 1
        self._last_number += count
        numbered = dict.fromkeys(range(first, first + count), operation)
        self._under_way.update(numbered)
        self._unsent.update(numbered)
        self._bytes += size
        if self._timer is None or operation.deadline_s < self._timer.when():
            self._sweep_at(operation.deadline_s)
        self._wake.set()

    def _overload(self, count: int, size: int) -> Failed | None:
        if len(self._under_way) + count > self._limits.operations_max:
            return Failed(Reason.OVERLOADED, f"{len(self._under_way)} operations are under way")
        if self._bytes + size > self._limits.bytes_max:
            return Failed(Reason.OVERLOADED, f"{self._bytes} bytes are under way")
        return None

    async def _stay_connected(self) -> None:
        attempt = 0
        while True:
            self._answered = False
            reason = await self._serve(self._connect())
            self.failure = Failed(Reason.UNREACHABLE, reason)
            self._fail_all(self.failure)
            attempt = 1 if self._answered else attempt + 1
            await asyncio.sleep(
                delay_s(
                    attempt,
                    first_s=_RECONNECT_FIRST_S,
                    most_s=_RECONNECT_MOST_S,
                    unit_random=self._unit_random(),
                )
            )

    async def _serve(self, stream: Stream) -> str:
        """Uses one stream until it breaks; returns why it did.

        A fault of our own, on either side of the stream, ends it like any other break.
        """
        try:
            async with asyncio.timeout(_CONNECT_S):
                await stream.wait_for_connection()
            self.connections += 1
            self.failure = None
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send_on(stream), name="kvsp-lane-sender")
                reason = await self._take_on(stream)
                sender.cancel()
        except TimeoutError:
            return f"no stream within {_CONNECT_S} s"
        except grpc.aio.AioRpcError as error:
            return why_ended(error)
        except ExceptionGroup as faults:
            fault = faults.exceptions[0]
            self._loop.call_exception_handler(
                {"message": "a stream to KVSP broke", "exception": fault}
            )
            return f"a fault of our own ended the stream: {fault!r}"
        finally:
            stream.cancel()
        return reason

    async def _take_on(self, stream: Stream) -> str:
        try:
            while isinstance(reply := await stream.read(), codec.Reply):
                self._answered = True
                self._take(reply)
                del reply  # while the next one is waited for, a large one would be kept
        except grpc.aio.AioRpcError as error:
            return why_ended(error)
        except ValueError as error:
            return f"KVSP sent what cannot be read: {error}"
        return "KVSP ended the stream"

    async def _send_on(self, stream: Stream) -> None:
        """Sends until the stream breaks, which the reading side notices too."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while True:
                while self._unsent:
                    await stream.write(self._next_message())
                self._wake.clear()
                await self._wake.wait()

    def _next_message(self) -> codec.Request:
        request = codec.Request()
        most = min(len(self._unsent), self._limits.message_operations_max)
        size = added = 0
        for number, operation in self._unsent.items():
            size += operation.add_to(request, number)
            added += 1
            if added == most or size >= self._limits.message_bytes_max:
                break
        if added == len(self._unsent):
            self._unsent.clear()
        else:
            for number in list(islice(self._unsent, added)):
                del self._unsent[number]
        return request

    def _take(self, reply: codec.Reply) -> None:
        now_us = reply.home_time_us
        for read in reply.reads:
            reads = self._under_way.get(read.id)
            if reads is None:
                continue
            if not isinstance(reads, Reads):
                raise ValueError(f"a read's answer to write {read.id}")
            found = codec.read_reply(read, now_us)
            self._let_go(read.id, reads)
            if isinstance(found, LargeRecord):
                left_s = reads.deadline_s - self._loop.time()
                reads.fetch(read.id, found, now_us, left_s, self._fetch)
            else:
                reads.resolve(read.id, found)
        for number, written in codec.write_replies(reply):
            writes = self._under_way.get(number)
            if writes is None:
                continue
            if not isinstance(writes, Writes):
                raise ValueError(f"a write's answer to read {number}")
            self._let_go(number, writes)
            writes.resolve(number, written)

    def _let_go(self, number: int, operation: Reads | Writes) -> None:
        del self._under_way[number]
        self._bytes -= operation.size(number)

    def _fail_all(self, failed: Failed) -> None:
        operations = list(self._under_way.items())
        self._under_way.clear()
        self._unsent.clear()
        self._bytes = 0
        for number, operation in operations:
            operation.resolve(number, failed)

    def _sweep_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when_s, self._sweep)

    def _sweep(self) -> None:
        """Answers what is over its deadline, then waits for the next deadline: no timer each."""
        now_s = self._loop.time()
        timeout = Failed(Reason.TIMEOUT, "no answer by the deadline")
        late = [n for n, operation in self._under_way.items() if operation.deadline_s <= now_s]
        for number in late:
            self._unsent.pop(number, None)
            operation = self._under_way[number]
            self._let_go(number, operation)
            operation.resolve(number, timeout)
        self._timer = None
        if self._under_way:
            next_s = min(operation.deadline_s for operation in self._under_way.values())
            self._sweep_at(max(next_s, now_s + _SWEEP_PAUSE_S))
