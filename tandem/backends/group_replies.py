"""Where replies to a group (`port.Got`, `port.Replied`) go when it was one call, or was split."""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

_Reply = TypeVar("_Reply")
Replied: TypeAlias = Callable[[Sequence[tuple[int, _Reply]]], None]


def reply_into(future: "Future[_Reply]") -> Replied[_Reply]:
    """Takes the reply of a group of one."""

    def replied(replies: Sequence[tuple[int, _Reply]]) -> None:
        if not future.done():
            future.set_result(replies[0][1])

    return replied


def reply_for(positions: Sequence[int], whole: Replied[_Reply]) -> Replied[_Reply]:
    """Takes the replies of a part, whose calls have these positions in the whole."""

    def replied(replies: Sequence[tuple[int, _Reply]]) -> None:
        whole([(positions[at], reply) for at, reply in replies])

    return replied


def reply_alone(called: "Future[_Reply]", position: int, whole: Replied[_Reply]) -> None:
    """Hands on the reply of one call when it has come. When the loop ends, nobody waits for it any
    more."""

    def replied(future: "Future[_Reply]") -> None:
        if not future.cancelled():
            whole([(position, future.result())])

    called.add_done_callback(replied)
