"""A connection to the file, with a thread of its own."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiosqlite

from tandem.backends.sqlite_thread import on_thread

_CACHED_STATEMENTS: Final = 300
"""The point read has one text for each number of names."""


async def connected(
    path: Path, prepare: Callable[[sqlite3.Connection], None]
) -> aiosqlite.Connection:
    """Prepared on its thread; what `prepare` raises is raised, and nothing is left open."""
    connection = await aiosqlite.connect(
        path, isolation_level=None, cached_statements=_CACHED_STATEMENTS
    )
    try:
        await on_thread(connection, prepare)
    except BaseException:
        await connection.close()
        raise
    return connection
