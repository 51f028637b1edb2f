"""Many rows in one statement, as few times as possible.

A thread that runs SQLite gives Python's lock away with each step of a statement and has to win it
back from the loop's thread, which under load keeps it for a whole switch interval.

Values are bound as they are. What is exactly an int or a str sqlite3 takes at sight. For bytes it
looks whether there is an adapter, and then for two methods that nobody has, each of which makes an
error. An adapter that gives the value back ends the search.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from tandem.core.record import Kind
from tandem.core.version import Version

T = TypeVar("T")

sqlite3.register_adapter(bytes, bytes.__bytes__)
sqlite3.register_adapter(Version, bytes.__bytes__)
sqlite3.register_adapter(Kind, int.__int__)

_TOGETHER_MAX: Final = 64
_EXACT_MAX: Final = 32
STATEMENTS: Final = _EXACT_MAX + 1
"""How many texts of one statement occur: a connection should keep as many compiled."""


def together(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """`rows` in order, in as few parts as can be with `STATEMENTS` different lengths: SQLite
    compiles so many texts once each."""
    at = 0
    while at < len(rows):
        left = len(rows) - at
        size = _TOGETHER_MAX if left >= _TOGETHER_MAX else min(left, _EXACT_MAX)
        yield rows[at : at + size]
        at += size


def marks(columns: int, rows: int) -> str:
    """The question marks of so many rows behind VALUES."""
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * rows)
