"""What a home binds to its statements is taken as it is, without a search for how to adapt it."""

import sqlite3

import aiosqlite
import pytest

from tandem.backends.sqlite_thread import on_thread
from tandem.core.record import Kind
from tandem.core.version import NO_VERSION


@pytest.mark.parametrize(
    ("value", "bound"),
    [(b"name", b"name"), (NO_VERSION, bytes(NO_VERSION)), (Kind.TOMBSTONE, 2)],
    ids=["bytes", "version", "kind"],
)
def test_a_value_of_a_row_has_an_adapter(value: object, bound: object) -> None:
    """Without one sqlite3.adapt raises, as it does inside for each value, only to go on then."""
    adapted = sqlite3.adapt(value, sqlite3.PrepareProtocol)
    assert (type(adapted), adapted) == (type(bound), bound)


@pytest.mark.parametrize("value", [b"", b"a\0b", NO_VERSION])
async def test_bytes_are_bound_as_a_blob(value: bytes) -> None:
    def bind(connection: sqlite3.Connection) -> object:
        return connection.execute("select typeof(?1), ?1", (value,)).fetchone()

    async with aiosqlite.connect(":memory:") as connection:
        assert await on_thread(connection, bind) == ("blob", value)
