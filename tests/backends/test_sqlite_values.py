"""What a home binds to its statements is taken as it is, without a search for how to adapt it."""

import sqlite3
from contextlib import closing

import pytest

import tandem.backends.sqlite_rows  # noqa: F401 - has the adapters
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
def test_bytes_are_bound_as_a_blob(value: bytes) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        row = connection.execute("select typeof(?1), ?1", (value,)).fetchone()
    assert row == ("blob", value)
