"""What is under way to KVSP: reads or writes that were asked together, by numbers of the stream.

A group stays one object, with a number for each of its operations.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from tandem.backends.group_replies import reply_alone
from tandem.backends.port import Gets, Got, Heal, Needed, Puts, Replied
from tandem.core.key import Key
from tandem.core.reply import ReadReply, WriteReply
from tandem.wire import storage_codec as codec

OPERATION_BYTES: Final = 256
"""What an operation weighs in a message beside its envelope."""

_Reply = TypeVar("_Reply")


class LargeRead(NamedTuple):
    """A read that has found a record which comes in pieces."""

    key: Key
    large: codec.LargeRecord
    home_time_us: int
    deadline_s: float
    needed: Needed


Fetch: TypeAlias = "Callable[[LargeRead, Future[ReadReply]], None]"
"""Brings a large record into a future, by its deadline."""


class Reads:
    """Reads that were asked together, under way by numbers from `first` on."""

    __slots__ = ("_first", "_gets", "_replies", "deadline_s")

    def __init__(self, gets: Gets, first: int, deadline_s: float, got: Got) -> None:
        self._gets = gets
        self._first = first
        self._replies: Replies[ReadReply] = Replies(got)
        self.deadline_s = deadline_s

    def size(self, _number: int) -> int:
        return OPERATION_BYTES

    def add_to(self, request: codec.Request, number: int) -> int:
        """Asks for one of them; returns its size."""
        codec.add_get(request, number, self._gets[number - self._first][0])
        return OPERATION_BYTES

    def resolve(self, number: int, reply: ReadReply) -> None:
        self._replies.add(number - self._first, reply)

    def fetch(
        self, number: int, large: codec.LargeRecord, home_time_us: int, left_s: float, fetch: Fetch
    ) -> None:
        """Has one of them go on, whose record comes in pieces."""
        position = number - self._first
        key, needed = self._gets[position]
        future: Future[ReadReply] = asyncio.get_running_loop().create_future()
        reply_alone(future, position, self._replies.now)
        fetch(LargeRead(key, large, home_time_us, left_s, needed), future)


class Writes:
    """Writes that were asked together, under way by numbers from `first` on."""

    __slots__ = ("_first", "_heal", "_puts", "_replies", "deadline_s")

    def __init__(
        self, puts: Puts, first: int, deadline_s: float, heal: Heal | None, replied: Replied
    ) -> None:
        self._puts = puts
        self._first = first
        self._heal = heal
        self._replies: Replies[WriteReply] = Replies(replied)
        self.deadline_s = deadline_s

    def size(self, number: int) -> int:
        return OPERATION_BYTES + len(self._puts[number - self._first][1].envelope)

    def add_to(self, request: codec.Request, number: int) -> int:
        """Asks for one of them; returns its size."""
        key, record = self._puts[number - self._first]
        envelope = record.envelope
        if self._heal is None:
            codec.add_put(request, number, key, envelope)
        else:
            codec.add_heal(
                request, number, key, envelope, self._heal.read_at_us, self._heal.over_corrupt
            )
        return OPERATION_BYTES + len(envelope)

    def resolve(self, number: int, reply: WriteReply) -> None:
        self._replies.add(number - self._first, reply)


class Replies(Generic[_Reply]):
    """Hands replies of one loop turn over together."""

    __slots__ = ("_replies", "now")

    def __init__(self, hand_over: Callable[[Sequence[tuple[int, _Reply]]], None]) -> None:
        self._replies: list[tuple[int, _Reply]] = []
        self.now = hand_over

    def add(self, position: int, reply: _Reply) -> None:
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._replies.append((position, reply))

    def _hand_over(self) -> None:
        replies, self._replies = self._replies, []
        self.now(replies)
