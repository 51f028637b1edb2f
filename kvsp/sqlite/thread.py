"""The one place that reaches into aiosqlite: a whole function on a connection's own thread."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiosqlite

_T = TypeVar("_T")

BUSY_TIMEOUT_S = 5.0
_STATEMENTS_CACHED = 64


async def on_thread(
    connection: aiosqlite.Connection, run: Callable[[sqlite3.Connection], _T]
) -> _T:
    """Calls `run` with the SQLite connection, on the connection's thread.

    aiosqlite's public calls cost one thread hop for each statement; a transaction of hundreds of
    rows, or a batch of reads, must cost one. It has no public way to ask for that.
    """
    execute: Callable[..., Awaitable[_T]] = connection._execute  # noqa: SLF001
    return await execute(run, connection._conn)  # noqa: SLF001


async def connect(path: Path) -> aiosqlite.Connection:
    """Opens an existing file; transactions are begun and committed by hand."""
    return await aiosqlite.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=_STATEMENTS_CACHED,
    )
