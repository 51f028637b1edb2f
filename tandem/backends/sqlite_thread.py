"""Runs a whole piece of SQLite work on the thread of an aiosqlite connection, in one hop.

aiosqlite's public methods cost a hop between threads for each statement, so a group of a hundred
rows would hop hundreds of times. Its own methods all go through `Connection._execute`, which runs
any function on the connection's thread; there is no public name for it.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

T = TypeVar("T")


async def on_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns or raises; it runs alone on the connection until it has ended.

    Cancelling the caller does not stop work that has begun, and work still waiting runs as well.
    ValueError when the connection is closed.
    """
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call] # noqa: SLF001
    return result
