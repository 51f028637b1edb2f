"""How what the data path has begun ends, and how a front door waits for it."""

import asyncio
from functools import partial
from typing import TypeVar

from tandem.errors import TandemError

_Result = TypeVar("_Result")


async def settled(outcome: _Result | TandemError | asyncio.Future[_Result]) -> _Result:
    """The result; raises the error that stands in its place."""
    if isinstance(outcome, TandemError):
        raise outcome
    if isinstance(outcome, asyncio.Future):
        # A client that goes away cancels its call, never the work: a write runs to its end.
        return await asyncio.shield(outcome)
    return outcome


def fail(answer: asyncio.Future[_Result], error: BaseException) -> None:
    """Ends an answer in an error, unless it has ended; its caller may be gone, and never look."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()


def pass_on(
    outcome: _Result | TandemError | asyncio.Future[_Result], answer: asyncio.Future[_Result]
) -> None:
    """Ends an answer as the outcome is, or will be."""
    if isinstance(outcome, asyncio.Future):
        outcome.add_done_callback(partial(_copy, answer))
    elif isinstance(outcome, TandemError):
        fail(answer, outcome)
    elif not answer.done():
        answer.set_result(outcome)


def _copy(answer: asyncio.Future[_Result], outcome: asyncio.Future[_Result]) -> None:
    if outcome.cancelled():
        answer.cancel()
    elif (error := outcome.exception()) is not None:
        fail(answer, error)
    elif not answer.done():
        answer.set_result(outcome.result())
