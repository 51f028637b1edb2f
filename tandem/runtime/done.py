"""An answer that stands before anybody waits for it."""

import asyncio
from typing import TypeVar

_Result = TypeVar("_Result")


def done(result: _Result) -> "asyncio.Future[_Result]":
    """A future that has this result already."""
    future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future
