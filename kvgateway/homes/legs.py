"""Reads and legs in groups: how a home is asked, and how one is asked that takes them singly.

A group costs one call and one list of replies for each message, instead of a future, a callback and
a turn of the loop for each read or write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from tandem.backends.port import TakesGroups
from tandem.core.key import Key

_Asked = TypeVar("_Asked")
_Reply = TypeVar("_Reply")


class LegHome(TakesGroups, Protocol):
    """A home as a writer sees it."""

    @property
    def clock_skew_max_us(self) -> int:
        """As the home's own."""
        ...


def one_by_one(
    call: Callable[[Key, _Asked, float], Awaitable[_Reply]],
    group: Sequence[tuple[Key, _Asked]],
    deadline_s: float,
    replied: Callable[[Sequence[tuple[int, _Reply]]], None],
) -> None:
    """Starts each of `group` by itself; `call` must not raise."""
    for position, (key, asked) in enumerate(group):
        reply = asyncio.ensure_future(call(key, asked, deadline_s))
        reply.add_done_callback(partial(_alone, replied, position))


def _alone(
    replied: Callable[[Sequence[tuple[int, _Reply]]], None],
    position: int,
    reply: "asyncio.Future[_Reply]",
) -> None:
    replied([(position, reply.result())])
