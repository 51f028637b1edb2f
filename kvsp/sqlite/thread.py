"""How a cluster's file is opened, and how work is run on it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import aiosqlite

from tandem.backends.sqlite_place import PlacedConnection, connected
from tandem.backends.sqlite_thread import on_thread

BUSY_TIMEOUT_S = 5.0
_ROWS_AT_ONCE = 64
"""aiosqlite wants to know, for a way of reading that nobody takes here."""
_T = TypeVar("_T")


async def connect(
    path: Path, prepare: Callable[[PlacedConnection], None], *, watch_log: bool = False
) -> aiosqlite.Connection:
    """Opens an existing file, as `connected` does; transactions are begun and committed by hand."""
    opening = partial(
        connected, path, prepare,
        create=False, busy_timeout_s=BUSY_TIMEOUT_S, watch_log=watch_log,
    )  # fmt: skip
    return await aiosqlite.Connection(opening, _ROWS_AT_ONCE)


async def in_place(connection: aiosqlite.Connection, work: Callable[[PlacedConnection], _T]) -> _T:
    """What `work` returns or raises on the thread of a connection that `connect` has made;
    FileReplaced when the file is not in its place then."""
    return await on_thread(connection, lambda c: cast(PlacedConnection, c).in_place(work))
