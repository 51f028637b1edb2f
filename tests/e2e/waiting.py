"""Waiting for what has to come: for the fact itself, as long as a busy machine needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http.client import HTTPException

from tandem.errors import Unavailable

WITHIN_S = 120.0
"""How long anything is waited for that has to come; a busy machine takes its time."""
POLL_S = 0.02
_POLL_S_MAX = 0.5
_REST = 4
"""So many times as long as the last look took is nothing done but wait: what is waited for needs
the machine too."""


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
        trouble, began_s = "", time.monotonic()
        try:
            if await condition():
                return
        except (AssertionError, OSError, EOFError, HTTPException, Unavailable) as error:
            trouble = f": {error!r}"
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}{trouble}"
        await rest(began_s)


async def rest(since_s: float) -> None:
    """Waits for the next look at something, after one that began then (time.monotonic)."""
    took_s = time.monotonic() - since_s
    await asyncio.sleep(min(max(POLL_S, _REST * took_s), _POLL_S_MAX))
