"""How a front door waits for what the data path has begun."""

import asyncio
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
