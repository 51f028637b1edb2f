"""Processes that stand still, as by SIGSTOP: between any two turns of the loop, whatever they do.

A process is all that runs in its context: its tasks, their callbacks and timers. While it stands
still none of them runs; when it goes on, all that has become due meanwhile runs in order. Calls
that are under way belong to nobody.
"""

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

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
        self.waiting: dict[str, list[Any]] = {}
        """By the process that stands still."""

    def __contains__(self, process: str) -> bool:
        return process in self.waiting

    def begin(self, process: str) -> None:
        """It stands still from now on."""
        self.waiting.setdefault(process, [])

    def end(self, process: str) -> list[Any]:
        """It goes on: what has become due meanwhile."""
        return self.waiting.pop(process, [])

    def holds(self, handle: asyncio.Handle) -> bool:
        """Whether this must wait; if so, it does."""
        waiting = self.waiting.get(handle._context.get(_PROCESS, ""))  # type: ignore[attr-defined]
        if waiting is not None:
            waiting.append(handle)
        return waiting is not None
