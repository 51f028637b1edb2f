"""Collects answers into reply messages: all that is ready in one loop turn goes out together.

A value above `ALONE_BYTES` gets a message of its own, so that small answers do not wait behind it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tandem.core.limits import BATCH_OPERATIONS_MAX, KIB, MIB
from tandem.core.record import Record
from tandem.core.request import ReadResult, Written
from tandem.errors import QuotaExceeded
from tandem.wire import codec
from tandem.wire.long_values import fill_long_read
from tandem.wire.status import fill_error
from tandem.wire.v1 import kv_pb2

ALONE_BYTES: Final = 256 * KIB
REPLY_BYTES: Final = 1 * MIB
"""A message takes no further answer once it holds this much."""


@dataclass(slots=True)
class Parcel:
    """One reply message with what it weighs."""

    reply: kv_pb2.BatchReply = field(default_factory=kv_pb2.BatchReply)
    operations: int = 0
    value_bytes: int = 0
    record: Record | None = None
    """Whose value is that of the reply, which is alone then."""


class Outbox:
    """Answers that wait to be written, as whole messages."""

    def __init__(self, now_s: Callable[[], float], wake: Callable[[], None]) -> None:
        self._now_s = now_s
        self._wake = wake
        self._small: deque[Parcel] = deque()
        self._large: deque[Parcel] = deque()
        self._large_next = False
        self.value_bytes = 0
        self.over_quota = 0
        """How many operations quotas have refused."""

    def __bool__(self) -> bool:
        return bool(self._small or self._large)

    def answer_read(self, operation_id: int, outcome: ReadResult | BaseException) -> None:
        """A read is over."""
        record = outcome.record if isinstance(outcome, ReadResult) else None
        size = record.value_size if record is not None else 0
        parcel = self._parcel_for(size)
        replies = parcel.reply.gets
        reply = replies.add(id=operation_id)
        try:
            if isinstance(outcome, ReadResult):
                now_s = self._now_s() if record is not None and record.expires_at_s else 0.0
                parcel.record = fill_long_read(reply, outcome, now_s, ALONE_BYTES)
            else:
                self._fill_error(reply.error, outcome)
        except BaseException:
            del replies[-1]
            raise
        self._took(parcel, size)

    def answer_write(self, operation_id: int, outcome: Written | BaseException) -> None:
        """A write is over."""
        parcel = self._parcel_for(0)
        replies = parcel.reply.writes
        reply = replies.add(id=operation_id)
        try:
            if isinstance(outcome, Written):
                codec.fill_written(reply, outcome)
            else:
                self._fill_error(reply.error, outcome)
        except BaseException:
            del replies[-1]
            raise
        self._took(parcel, 0)

    def announce_drain(self) -> None:
        """Sends word that the gateway is going to stop."""
        self._small.append(Parcel(kv_pb2.BatchReply(draining=True)))
        self._wake()

    def take(self) -> Parcel:
        """The next message to write; small and large ones take turns."""
        if self._large and (self._large_next or not self._small):
            self._large_next = False
            parcel = self._large.popleft()
        else:
            self._large_next = bool(self._large)
            parcel = self._small.popleft()
        self.value_bytes -= parcel.value_bytes
        return parcel

    def _fill_error(self, message: kv_pb2.Error, error: BaseException) -> None:
        self.over_quota += isinstance(error, QuotaExceeded)
        fill_error(message, error)

    def _parcel_for(self, size: int) -> Parcel:
        """The message that takes the next answer; a new one waits only once it has taken it."""
        if (
            size <= ALONE_BYTES
            and self._small
            and (parcel := self._small[-1]).value_bytes < REPLY_BYTES
            and parcel.operations < BATCH_OPERATIONS_MAX
        ):
            return parcel
        return Parcel()

    def _took(self, parcel: Parcel, size: int) -> None:
        line = self._large if size > ALONE_BYTES else self._small
        if not line or line[-1] is not parcel:
            line.append(parcel)
            self._wake()
        parcel.operations += 1
        parcel.value_bytes += size
        self.value_bytes += size
