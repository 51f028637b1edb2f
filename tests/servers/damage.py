"""Files damaged as a bad disk would do it."""

import sqlite3
from contextlib import closing
from pathlib import Path


def damage_pages(file: Path, table: str, spared: int = 0) -> None:
    """Overwrites every page of a SQLite file from the root of a table's tree on, but the first so
    many of them. Nobody may have the file open."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
        [(root,)] = connection.execute(
            "select rootpage from sqlite_master where name = ?", (table,)
        )
        [(size,)] = connection.execute("pragma page_size")
        [(pages,)] = connection.execute("pragma page_count")
    first = root - 1 + spared  # pages are counted from 1
    assert first < pages, "the table has no page to damage"
    with file.open("r+b") as raw:
        for page in range(first, pages):
            raw.seek(page * size)
            raw.write(b"\xee" * size)


def flip_byte(file: Path, at: int) -> None:
    """Changes one byte of a file."""
    with file.open("r+b") as raw:
        raw.seek(at)
        [old] = raw.read(1)
        raw.seek(at)
        raw.write(bytes([old ^ 0xFF]))
