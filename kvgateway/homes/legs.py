"""Write legs in groups: how a writer asks a home, and how one is asked that takes them singly.

A group costs one call and one list of replies for each message, instead of a future, a callback and
a turn of the loop for each write.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from tandem.backends.port import Puts, Replied, TakesGroups
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import WriteReply


class LegHome(TakesGroups, Protocol):
    """A home as a writer sees it."""

    @property
    def clock_skew_max_us(self) -> int:
        """As the home's own."""
        ...


def one_by_one(
    put: Callable[[Key, Record, float], Awaitable[WriteReply]],
    puts: Puts,
    deadline_s: float,
    replied: Replied,
) -> None:
    """Starts each of `puts` by itself; `put` must not raise."""
    for position, (key, record) in enumerate(puts):
        reply = asyncio.ensure_future(put(key, record, deadline_s))
        reply.add_done_callback(partial(_alone, replied, position))


def _alone(replied: Replied, position: int, reply: "asyncio.Future[WriteReply]") -> None:
    replied([(position, reply.result())])
