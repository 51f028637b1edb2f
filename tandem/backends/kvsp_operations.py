"""What is under way to KVSP: a read, or writes that were asked together, by numbers of the stream.

A group of writes stays one object, with a number for each write.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from tandem.backends.port import Heal, Puts, Replied
from tandem.core.key import Key
from tandem.core.reply import ReadReply, WriteReply
from tandem.wire import storage_codec as codec

OPERATION_BYTES: Final = 256
"""What an operation weighs in a message beside its envelope."""

Needed: TypeAlias = Callable[[], bool] | None
"""Whether a large body is still of use; see `tandem.backends.port`."""


class LargeRead(NamedTuple):
    """A read that has found a record which comes in pieces."""

    key: Key
    large: codec.LargeRecord
    home_time_us: int
    deadline_s: float
    needed: Needed


Fetch: TypeAlias = "Callable[[LargeRead, Future[ReadReply]], None]"
"""Brings a large record into a future, by its deadline."""


class Read:
    """A read under way."""

    __slots__ = ("deadline_s", "future", "key", "needed")

    def __init__(
        self, key: Key, deadline_s: float, future: "Future[ReadReply]", needed: Needed
    ) -> None:
        self.key = key
        self.deadline_s = deadline_s
        self.future = future
        self.needed = needed

    def size(self, _number: int) -> int:
        return OPERATION_BYTES

    def add_to(self, request: codec.Request, number: int) -> None:
        codec.add_get(request, number, self.key)

    def resolve(self, _number: int, reply: ReadReply | WriteReply) -> None:
        if not self.future.done():
            self.future.set_result(reply)  # type: ignore[arg-type]  # a read's answer is a ReadReply


class Writes:
    """Writes that were asked together, under way by numbers from `first` on."""

    __slots__ = ("_first", "_heal", "_puts", "_replied", "_replies", "deadline_s")

    def __init__(
        self, puts: Puts, first: int, deadline_s: float, heal: Heal | None, replied: Replied
    ) -> None:
        self._puts = puts
        self._first = first
        self._heal = heal
        self._replied = replied
        self._replies: list[tuple[int, WriteReply]] = []
        self.deadline_s = deadline_s

    def size(self, number: int) -> int:
        return OPERATION_BYTES + len(self._puts[number - self._first][1].envelope)

    def add_to(self, request: codec.Request, number: int) -> None:
        key, record = self._puts[number - self._first]
        if self._heal is None:
            codec.add_put(request, number, key, record.envelope)
        else:
            codec.add_heal(
                request, number, key, record.envelope, self._heal.read_at_us,
                self._heal.over_corrupt,
            )  # fmt: skip

    def resolve(self, number: int, reply: ReadReply | WriteReply) -> None:
        """Replies of one loop turn are handed over together."""
        if not self._replies:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._replies.append((number - self._first, reply))  # type: ignore[arg-type]

    def _hand_over(self) -> None:
        replies, self._replies = self._replies, []
        self._replied(replies)
