"""What a call to KVSP that ended without an answer means."""

import asyncio
from typing import Final

import grpc
import grpc.aio

from tandem.core.reply import Failed, Reason
from tandem.runtime.rpc_words import in_words

CLOSED: Final = Failed(Reason.UNREACHABLE, "the connection to KVSP was closed")

_REASONS: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.TIMEOUT,
    grpc.StatusCode.UNAVAILABLE: Reason.UNREACHABLE,
}


def failed_call(error: grpc.aio.AioRpcError) -> Failed:
    """The failure that a status stands for."""
    return Failed(_REASONS.get(error.code(), Reason.ERROR), why_ended(error))


def why_ended(error: grpc.aio.AioRpcError) -> str:
    """What can be said of it in words."""
    return in_words(error.details() or error.code().name)


def unreadable(error: Exception) -> Failed:
    """The failure that an answer is which KVSP cannot have meant: it is another one, or damaged."""
    return Failed(Reason.ERROR, f"KVSP sent what cannot be read: {error!r}")


def is_cancelled() -> bool:
    """Whether this task itself is to end; gRPC cancels its calls when their channel is closed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
