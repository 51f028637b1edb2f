"""A connection to the file, for the thread that opens it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CACHED_STATEMENTS: Final = 300
"""The point read has one text for each number of names."""


def connected(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Prepared; what `prepare` raises is raised, and nothing is left open."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=_CACHED_STATEMENTS)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection
