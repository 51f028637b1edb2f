"""Waiting for what has to come: for the fact itself, as long as a busy machine needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPException

from tandem.errors import Unavailable

WITHIN_S = 60.0
"""How long anything is waited for that has to come; a busy machine takes its time."""
POLL_S = 0.02


async def until(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Returns when the condition holds; AssertionError when it never does."""

    async def holds() -> bool:
        return condition()

    await until_true(holds, what, within_s)


async def until_true(
    condition: Callable[[], Awaitable[bool]], what: str, within_s: float = WITHIN_S
) -> None:
    """The same for a condition that has to be awaited; what cannot be told yet does not hold."""
    deadline_s = time.monotonic() + within_s
    while True:
        trouble = ""
        try:
            if await condition():
                return
        except (AssertionError, OSError, EOFError, HTTPException, Unavailable) as error:
            trouble = f": {error!r}"
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}{trouble}"
        await asyncio.sleep(POLL_S)
