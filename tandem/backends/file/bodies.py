"""Large bodies, moved between SQLite's pages and ours without a copy on the way.

As a value of a statement a body would be copied when it is bound, and once more into a record that
holds all of the row.
"""

import sqlite3
from typing import Final

from tandem.core.limits import MIB

_PIECE_BYTES: Final = MIB


def write_body(connection: sqlite3.Connection, name: bytes, body: bytes) -> None:
    """Fills the room that the row of this name has for its body."""
    (row_id,) = connection.execute("select rowid from objects where name = ?", (name,)).fetchone()
    with connection.blobopen("objects", "body", row_id) as blob:
        whole = memoryview(body)
        for start in range(0, len(body), _PIECE_BYTES):
            blob.write(whole[start : start + _PIECE_BYTES])


def body_at(connection: sqlite3.Connection, row_id: int) -> bytes:
    """The body of a row that is there."""
    with connection.blobopen("objects", "body", row_id, readonly=True) as blob:
        return blob.read()
