"""The one reply of a unary batch."""

import asyncio
from typing import Final

from kvgateway.rpc.turns import LargeTurns
from tandem.core.limits import BATCH_BYTES_MAX, LARGE_BODY_BYTES
from tandem.core.record import Record
from tandem.core.request import ReadResult, Written
from tandem.errors import Overloaded
from tandem.wire import codec
from tandem.wire.long_values import fill_long_read
from tandem.wire.status import fill_error
from tandem.wire.v1 import kv_pb2

REPLY_HEAD_BYTES: Final = 2048
"""No answer without its value is longer (metadata, or an error that names a key)."""


class BatchAnswers:
    """Collects the answers; `complete` when every operation has its own."""

    def __init__(self, batch: kv_pb2.BatchRequest, now_s: float) -> None:
        self.reply = kv_pb2.BatchReply()
        self.complete = asyncio.get_running_loop().create_future()
        self.value_bytes = 0
        self._now_s = now_s
        self._left = len(batch.gets) + len(batch.puts) + len(batch.deletes)
        self._value_bytes_max = BATCH_BYTES_MAX - self._left * REPLY_HEAD_BYTES
        self._long: list[tuple[kv_pb2.GetReply, Record]] = []
        if not self._left:
            self.complete.set_result(None)

    def answer_read(self, operation_id: int, outcome: ReadResult | BaseException) -> None:
        """A read is over."""
        reply = self.reply.gets.add(id=operation_id)
        try:
            self._fill_read(reply, outcome)
        except BaseException:
            del self.reply.gets[-1]
            raise
        self._count()

    def answer_write(self, operation_id: int, outcome: Written | BaseException) -> None:
        """A write is over."""
        reply = self.reply.writes.add(id=operation_id)
        try:
            if isinstance(outcome, Written):
                codec.fill_written(reply, outcome)
            else:
                fill_error(reply.error, outcome)
        except BaseException:
            del self.reply.writes[-1]
            raise
        self._count()

    async def put_long_values(self, turns: LargeTurns) -> None:
        """Puts long values into their answers, and returns in a turn for the reply's own bytes."""
        for reply, record in self._long:
            await turns.next()
            reply.value = record.envelope[: record.value_size]
        await turns.next()

    def _fill_read(self, reply: kv_pb2.GetReply, outcome: ReadResult | BaseException) -> None:
        if not isinstance(outcome, ReadResult):
            fill_error(reply.error, outcome)
            return
        size = outcome.record.value_size if outcome.record is not None else 0
        if self.value_bytes + size > self._value_bytes_max:
            fill_error(reply.error, _no_room())
            return
        record = fill_long_read(reply, outcome, self._now_s, LARGE_BODY_BYTES)
        if record is not None:
            self._long.append((reply, record))
        self.value_bytes += size

    def _count(self) -> None:
        self._left -= 1
        if not self._left and not self.complete.done():
            self.complete.set_result(None)


def _no_room() -> Overloaded:
    return Overloaded(
        f"the values of this batch exceed {BATCH_BYTES_MAX} bytes together;"
        " read this key in another batch"
    )
