"""What a cluster's readers do on their threads: point reads in batches, ordered scans."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final

from kvsp.answers import Absent, InBlob, ReadAnswer, ScanPart
from kvsp.rules import ReadRow, checked_row, end_of, floor_of
from tandem.backends.sqlite_rows import together
from tandem.core.floors import RangeFloors
from tandem.core.version import Version
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Get

_POINTS: Final = (
    "select name, blob, envelope, digest, version, size, kind, expires_at_s, metadata"
    " from record where namespace = ? and name in"
)
_LISTED: Final = "name, version, digest, size, kind, expires_at_s, metadata, blob"
_FROM: Final = f"select {_LISTED} from record where namespace = ? and name >= ? and name < ?"
_AFTER: Final = f"select {_LISTED} from record where namespace = ? and name > ? and name < ?"


def read_points(
    connection: sqlite3.Connection, gets: Sequence[Get], floors: Mapping[str, RangeFloors]
) -> list[ReadAnswer]:
    """Reads every key of the batch from one snapshot, many with one statement.

    The snapshot begins after `floors` were in force.
    """
    names: dict[str, dict[bytes, None]] = {}
    for get in gets:
        names.setdefault(get.key.namespace, {})[get.raw_name] = None
    cursor = connection.execute("begin")
    try:
        held = {
            namespace: {
                row[0]: row
                for part in together(list(of))
                for row in cursor.execute(_points_of(len(part)), (namespace, *part))
            }
            for namespace, of in names.items()
        }
        return [_answer(get, held[get.key.namespace].get(get.raw_name), floors) for get in gets]
    finally:
        cursor.execute("commit")


@cache
def _points_of(names: int) -> str:
    return f"{_POINTS} ({','.join('?' * names)})"


def _answer(
    get: Get,
    row: tuple[bytes, str | None, bytes, bytes, bytes, int, int, int, bytes] | None,
    floors: Mapping[str, RangeFloors],
) -> ReadAnswer:
    namespace = get.key.namespace
    if row is None:
        return Absent(floor_of(floors, namespace, get.raw_name))
    blob, found = row[1], ReadRow._make(row[2:])
    if blob is not None:
        return InBlob(blob, found.digest, Version(found.version), found.size)
    return checked_row(found)


def scan_names(
    connection: sqlite3.Connection, scan: Scan, blob_exists: Callable[[str], bool]
) -> ScanPart:
    """At most `scan.limit` names in byte order; a row without its blob is left out."""
    end = end_of(scan.prefix)
    if scan.after >= scan.prefix:
        bounds, sql = (scan.namespace, scan.after, end), _AFTER
    else:
        bounds, sql = (scan.namespace, scan.prefix, end), _FROM
    rows = connection.execute(f"{sql} order by name limit ?", (*bounds, scan.limit)).fetchall()
    whole = [row for row in rows if row[7] is None or blob_exists(row[7])]
    return ScanPart(whole, len(rows) < scan.limit, rows[-1][0] if rows else scan.after)
