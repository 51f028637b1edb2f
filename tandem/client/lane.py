"""One Exchange stream and everything that waits for it, over reconnects.

All operations that callers start in one loop turn, or while a message is being sent, travel in one
message. What becomes of an operation when the stream is lost:

    not sent yet               it waits for the next stream, until its deadline
    sent, read                 Unavailable, upon which the caller's retries send it again
    sent, write                Unavailable: it may or may not have happened

A gateway that stops says so first: the lane ends its side, takes the answers that are due, and goes
on over another stream, so nothing is lost.

A write is never repeated on a guess: the repeat would be a newer write than the first, and would
put back a value that somebody else has replaced in between.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

import grpc

from tandem.client.operations import Operation
from tandem.core.backoff import RetryBudget, delay_s
from tandem.core.limits import BATCH_OPERATIONS_MAX, MIB
from tandem.errors import Overloaded, TandemError, Unavailable
from tandem.runtime.randomness import Entropy
from tandem.wire.admission import is_admitted
from tandem.wire.status import error_of
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc

WAITING_MAX: Final = 100_000
"""Operations that wait to be sent; above it a call is answered with Overloaded."""
IN_FLIGHT_MAX: Final = 2 * BATCH_OPERATIONS_MAX
IN_FLIGHT_BYTES_MAX: Final = 64 * MIB
MESSAGE_BYTES: Final = 1 * MIB
"""A message takes no further value once it holds this much."""

SWEEP_S: Final = 0.1
"""How often deadlines are looked at: no timer per operation, and deadlines as precise as this."""
RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MOST_S: Final = 1.0

_Call = grpc.aio.StreamStreamCall[kv_pb2.BatchRequest, kv_pb2.BatchReply]

_HOPELESS: Final = {
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
}
"""Another connection will be answered alike."""


class Lane:
    """Sends operations of one namespace and hands out their replies."""

    def __init__(
        self, stub: kv_pb2_grpc.KVStub, namespace: str, budget: RetryBudget, entropy: Entropy
    ) -> None:
        self._stub = stub
        self._namespace = namespace
        self._budget = budget
        self._entropy = entropy
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Operation] = deque()
        self._sent: dict[int, Operation] = {}
        self._sent_bytes = 0
        self._last_id = 0
        self._work = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None
        self._why = "no connection yet"
        self._closed = False
        self._answered = False
        self._draining = False
        self._runner = asyncio.create_task(self._run())
        self._runner.add_done_callback(self._over)

    def submit(self, operation: Operation) -> None:
        """Queues an operation; its future gets the outcome at its deadline at the latest."""
        if self._closed:
            operation.finish(Unavailable("the client is closed"))
        elif len(self._waiting) >= WAITING_MAX:
            operation.finish(Overloaded(f"{WAITING_MAX} operations are waiting already"))
        else:
            self._waiting.append(operation)
            self._work.set()
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    async def aclose(self) -> None:
        """Ends the stream; whatever still waits gets Unavailable."""
        self._runner.cancel()
        await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        fruitless = 0
        while True:
            await self._work.wait()
            if await self._serve():
                fruitless = 0
                continue
            fruitless += 1
            await asyncio.sleep(
                delay_s(
                    fruitless,
                    first_s=RECONNECT_FIRST_S,
                    most_s=RECONNECT_MOST_S,
                    unit_random=self._entropy.uniform(0, 1),
                )
            )

    def _over(self, _: object) -> None:
        """Comes after the runner's end, also where it was closed before it had begun."""
        self._closed = True
        self._fail_all(Unavailable("the client was closed; a write may have happened"))

    async def _serve(self) -> bool:
        """Runs one stream to its end; True when it gave an answer and did not end by our fault."""
        call = self._stub.Exchange()
        self._answered = self._draining = False
        try:
            # Nothing is sent before the gateway has admitted the stream, so what cannot connect was
            # never sent.
            if await is_admitted(call):
                self._why = "connected, with others before it"
                async with asyncio.TaskGroup() as group:
                    sender = group.create_task(self._send(call))
                    await self._receive_on(call)
                    sender.cancel()
            await self._ended(call)
        except grpc.aio.AioRpcError:
            await self._ended(call)
        except ExceptionGroup as faults:
            self._broke(faults)
            return False
        finally:
            call.cancel()
        return self._answered

    async def _receive_on(self, call: _Call) -> None:
        """Receives until the stream has ended; `_ended` finds out why."""
        with suppress(grpc.aio.AioRpcError):
            while isinstance(reply := await call.read(), kv_pb2.BatchReply):
                self._answered = True
                self._receive(reply)

    async def _send(self, call: _Call) -> None:
        """Sends until the gateway drains or the stream has ended, which the receiver notices."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while not self._draining:
                batch = self._next_batch()
                if batch is not None:
                    await call.write(batch)
                else:
                    self._work.clear()
                    await self._work.wait()
            await call.done_writing()

    def _next_batch(self) -> kv_pb2.BatchRequest | None:
        batch, count, size = kv_pb2.BatchRequest(), 0, 0
        waiting, sent = self._waiting, self._sent
        most = min(BATCH_OPERATIONS_MAX, IN_FLIGHT_MAX - len(sent))
        while waiting and count < most:
            operation = waiting[0]
            if count and size + operation.size > MESSAGE_BYTES:
                break
            if self._sent_bytes and self._sent_bytes + operation.size > IN_FLIGHT_BYTES_MAX:
                break
            waiting.popleft()
            if operation.future.done():
                continue
            self._last_id += 1
            sent[self._last_id] = operation
            self._sent_bytes += operation.size
            operation.write_to(batch, self._last_id, self._namespace)
            count += 1
            size += operation.size
        return batch if count else None

    def _receive(self, batch: kv_pb2.BatchReply) -> None:
        sent, succeeded = self._sent, self._budget.succeeded
        for read in batch.gets:
            operation = sent.pop(read.id, None)
            if operation is not None:
                operation.finish(read)
                succeeded()
        for written in batch.writes:
            operation = sent.pop(written.id, None)
            if operation is not None:
                self._sent_bytes -= operation.size
                operation.finish(written)
                succeeded()
        if batch.draining:
            self._draining = True
        if self._waiting or self._draining:
            self._work.set()

    async def _ended(self, call: _Call) -> None:
        """Decides what becomes of the operations that the stream has not answered."""
        code, text = await call.code(), await call.details()
        self._why = f"{code.name}: {text}"
        self._lose_sent()
        if code in _HOPELESS:
            error = kv_pb2.Error(code=code.value[0], message=text)
            self._fail_all(error_of(error, self._namespace))
        self._work_if_waiting()

    def _broke(self, faults: ExceptionGroup[Exception]) -> None:
        """Ends what was sent, repeatable or not: it may be what the fault came from."""
        self._why = f"a fault of the client: {faults.exceptions[0]!r}"
        self._loop.call_exception_handler(
            {"message": "a stream of Tandem's client broke", "exception": faults}
        )
        self._lose_sent()
        self._work_if_waiting()

    def _lose_sent(self) -> None:
        for operation in self._sent.values():
            operation.finish(self._lost(operation))
        self._sent.clear()
        self._sent_bytes = 0

    def _work_if_waiting(self) -> None:
        if self._waiting:
            self._work.set()
        else:
            self._work.clear()

    def _lost(self, operation: Operation) -> TandemError:
        if operation.repeatable:
            return Unavailable(f"the connection was lost ({self._why})")
        return Unavailable(
            f"the connection was lost ({self._why}); the write may have happened or not"
        )

    def _fail_all(self, error: TandemError) -> None:
        for operation in (*self._sent.values(), *self._waiting):
            operation.finish(error)
        self._sent.clear()
        self._waiting.clear()
        self._sent_bytes = 0

    def _sweep(self) -> None:
        """Ends the operations whose deadline has passed."""
        now_s = self._loop.time()
        for operation_id, operation in list(self._sent.items()):
            if operation.deadline_s <= now_s or operation.future.done():
                del self._sent[operation_id]
                self._sent_bytes -= operation.size
                unknown = "" if operation.repeatable else "; the write may have happened or not"
                operation.finish(Unavailable(f"no answer before the deadline{unknown}"))
        for operation in self._waiting:
            if operation.deadline_s <= now_s:
                operation.finish(
                    Unavailable(f"could not be sent before the deadline (last seen: {self._why})")
                )
        self._waiting = deque(one for one in self._waiting if not one.future.done())
        if self._waiting:
            self._work.set()  # there may be room now
        busy = self._sent or self._waiting
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if busy else None
