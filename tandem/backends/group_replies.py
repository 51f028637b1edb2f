"""Where replies to a group of writes go (`port.Replied`) when it was one write, or was split."""

from asyncio import Future
from collections.abc import Sequence

from tandem.backends.port import Replied
from tandem.core.reply import WriteReply


def reply_into(future: "Future[WriteReply]") -> Replied:
    """Takes the reply of a group of one."""

    def replied(replies: Sequence[tuple[int, WriteReply]]) -> None:
        if not future.done():
            future.set_result(replies[0][1])

    return replied


def reply_for(positions: Sequence[int], whole: Replied) -> Replied:
    """Takes the replies of a part, whose writes have these positions in the whole."""

    def replied(replies: Sequence[tuple[int, WriteReply]]) -> None:
        whole([(positions[at], reply) for at, reply in replies])

    return replied


def reply_alone(written: "Future[WriteReply]", position: int, whole: Replied) -> None:
    """Hands on the reply of one write when it has come. When the loop ends, nobody waits for it any
    more."""

    def replied(future: "Future[WriteReply]") -> None:
        if not future.cancelled():
            whole([(position, future.result())])

    written.add_done_callback(replied)
