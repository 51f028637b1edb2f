"""Runs a whole piece of SQLite work on the thread of an aiosqlite connection, in one hop.

aiosqlite's public methods cost a hop between threads for each statement, so a group of a hundred
rows would hop hundreds of times. Its own methods all go through `Connection._execute`, which runs
any function on the connection's thread; there is no public name for it.

Values are bound as they are. What is exactly an int or a str sqlite3 takes at sight. For bytes it
looks whether there is an adapter, and then for two methods that nobody has, each of which makes an
error: 0.8 us, for ten values of each write. An adapter that gives the value back ends the search.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

from tandem.core.record import Kind
from tandem.core.version import Version

T = TypeVar("T")

sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(Version, bytes.__bytes__)
sqlite3.register_adapter(Kind, int.__int__)


async def on_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """What `work` returns or raises; it runs alone on the connection until it has ended.

    Cancelling the caller does not stop work that has begun, and work still waiting runs as well.
    ValueError when the connection is closed.
    """
    result: T = await connection._execute(work, connection._conn)  # type: ignore[no-untyped-call] # noqa: SLF001
    return result
