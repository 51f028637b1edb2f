"""Processes that stand still, as by SIGSTOP: between any two turns of the loop, whatever they do.

A process is all that runs in its context: its tasks, their callbacks and timers. While it stands
still none of them runs; when it goes on, all that has become due meanwhile runs in order. Calls
that are under way belong to nobody.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Final

_PROCESS: Final[ContextVar[str]] = ContextVar("process", default="")
NOBODY: Final = Context()
"""Of what happens between processes."""


def context_of(process: str) -> Context:
    """A context whose tasks and callbacks are this process."""
    context = copy_context()
    context.run(_PROCESS.set, process)
    return context


class Standstill:
    """Which processes stand still, and what waits for them."""

    def __init__(self) -> None:
        self._held: dict[str, list[asyncio.Handle]] = {}

    def __contains__(self, process: str) -> bool:
        return process in self._held

    def __bool__(self) -> bool:
        return bool(self._held)

    def begin(self, process: str) -> None:
        """It stands still from now on."""
        self._held.setdefault(process, [])

    def end(self, process: str) -> list[asyncio.Handle]:
        """It goes on: what has become due meanwhile."""
        return self._held.pop(process, [])

    def holds(self, handle: asyncio.Handle) -> bool:
        """Whether this must wait; if so, it does."""
        held = self._held.get(handle._context.get(_PROCESS, ""))  # type: ignore[attr-defined]
        if held is not None:
            held.append(handle)
        return held is not None
