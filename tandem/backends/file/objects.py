"""The objects of the file home as rows: the SQL, run on the thread of a connection.

An object is named as on S3 and holds the envelope verbatim, with its MD5 as ETag. The conditions of
the S3 home (create only, replace only what is older) are one upsert here.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tandem.backends.file.bodies import body_at, write_body
from tandem.backends.file.body_files import BodyFiles
from tandem.backends.port import Heal, ScanPage, basis_of
from tandem.backends.sqlite_rows import marks, together
from tandem.core.envelope import TOMBSTONE_BYTES, BadEnvelope, digest_of, open_envelope
from tandem.core.key import Key, decode_object_name, encode_name, object_name
from tandem.core.limits import CLOCK_SKEW_MAX_US, KIB, MIB
from tandem.core.record import Kind, Record
from tandem.core.reply import (
    Failed,
    Found,
    Missing,
    ReadReply,
    Reason,
    Refusal,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.scan_diff import Entry
from tandem.core.timeliness import untimely
from tandem.core.version import Version
from tandem.runtime.clock import Clock

SMALL_BYTES_MAX: Final = 64 * KIB
"""Larger bodies are not read together with others, which would have to wait for them."""

_READ_TOGETHER_MAX: Final = 256
"""Each number of names has a text of its own."""
_WAL_BYTES_MAX: Final = 256 * MIB
"""Readers that follow one another without a gap keep SQLite from starting the log anew; above this
size a writer waits for them."""
_PUT: Final = """
insert into objects ({}) values {}
on conflict (name) do update
set version = excluded.version, etag = excluded.etag, body = excluded.body, file = excluded.file,
    size = excluded.size
where (excluded.version, excluded.etag) > (version, etag) or (excluded.version = version and ?)
"""
_COLUMNS: Final = "name, version, etag, body"
_PUT_ROOM: Final = _PUT.format(_COLUMNS, "(?, ?, ?, zeroblob(?))")
_PUT_FILED: Final = _PUT.format(f"{_COLUMNS}, file, size", "(?, ?, ?, x'', ?, ?)")
_RETIRE_UNNAMED: Final = """
insert into retired_file select ? where not exists (select 1 from objects where file = ?)
"""
_READS_OF_A_FILE_MAX: Final = 3
"""Between a row's reading and its file's opening the row may have been given another file."""


class Put(NamedTuple):
    """One conditional write."""

    name: bytes
    record: Record
    heal: Heal | None
    file: str | None = None
    """Where its body lies already; None when it goes into the row."""


@dataclass(frozen=True, slots=True)
class LargeBody:
    """An object whose body is too large to be read beside others."""

    version: Version
    etag: bytes
    home_time_us: int


def name_of(key: Key) -> bytes:
    """Under what a key's object lies."""
    return object_name("", key).encode()


def write(
    connection: sqlite3.Connection, puts: Sequence[Put], log: Path, files: BodyFiles, clock: Clock
) -> list[WriteReply]:
    """Writes all of `puts` in one durable transaction, in order; `log` is the write-ahead log.

    An error leaves open whether any of it happened, as an error of COMMIT does.
    """
    connection.execute("begin immediate")
    try:
        now_us = clock.now_us()
        cursor = connection.cursor()
        outcomes = [each for part in together(puts) for each in _put_part(cursor, part, now_us)]
        for put in puts:
            if put.file is not None:
                cursor.execute(_RETIRE_UNNAMED, (put.file, put.file))
        files.look(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.execute("commit")
    now_us = clock.now_us()
    _bound_log(connection, log)
    stored = Stored(now_us)
    return [stored if each is None else _not_written(each, now_us) for each in outcomes]


def _put_part(
    cursor: sqlite3.Cursor, puts: Sequence[Put], now_us: int
) -> Sequence[Version | Refusal | None]:
    """For each put None when its record stands now, else the newer version or why it was refused.

    Mostly all of them are stored by one statement. If not, each is tried once more by itself, which
    tells what became of it.
    """
    refusals = [
        untimely(put.record.version, basis_of(put.heal), now_us, CLOCK_SKEW_MAX_US) for put in puts
    ]
    plain = not any(refusals) and not any(map(_over_corrupt, puts))
    if plain and _upserted(cursor, puts) == len(puts):
        return [None] * len(puts)
    return [refused or _put(cursor, put) for put, refused in zip(puts, refusals, strict=True)]


def _over_corrupt(put: Put) -> bool:
    return put.heal is not None and put.heal.over_corrupt


def _upserted(cursor: sqlite3.Cursor, puts: Sequence[Put], *, over_corrupt: bool = False) -> int:
    """How many of `puts` one statement has stored."""
    if len(puts) == 1 and len(puts[0].record.envelope) > SMALL_BYTES_MAX:
        return _upserted_large(cursor, puts[0], over_corrupt=over_corrupt)
    values: list[bytes | bool] = []
    for put in puts:
        record = put.record
        values += (put.name, record.version, record.digest, record.envelope)
    cursor.execute(_put_text(len(puts)), (*values, over_corrupt))
    return cursor.rowcount


def _upserted_large(cursor: sqlite3.Cursor, put: Put, *, over_corrupt: bool) -> int:
    """The same for one large body: in its file already, or its room is made and then filled."""
    record = put.record
    stamp = (put.name, record.version, record.digest)
    size = len(record.envelope)
    if put.file is not None:
        cursor.execute(_PUT_FILED, (*stamp, put.file, size, over_corrupt))
        return cursor.rowcount
    cursor.execute(_PUT_ROOM, (*stamp, size, over_corrupt))
    if stored := cursor.rowcount:
        write_body(cursor.connection, put.name, record.envelope)
    return stored


@cache
def _put_text(rows: int) -> str:
    return _PUT.format(_COLUMNS, marks(columns=4, rows=rows))


def _put(cursor: sqlite3.Cursor, put: Put) -> Version | None:
    record = put.record
    if _upserted(cursor, [put], over_corrupt=_over_corrupt(put)):
        return None
    cursor.execute("select version, etag from objects where name = ?", (put.name,))
    version, etag = cursor.fetchone()
    return None if (version, etag) == (record.version, record.digest) else Version(version)


def _not_written(outcome: Version | Refusal, now_us: int) -> WriteReply:
    match outcome:
        case Version():
            return Superseded(outcome, now_us)
        case Refusal():
            return Refused(outcome, now_us)


def _bound_log(connection: sqlite3.Connection, log: Path) -> None:
    if log.stat().st_size > _WAL_BYTES_MAX:
        connection.execute("pragma wal_checkpoint(restart)").fetchone()


def read(
    connection: sqlite3.Connection, names: Sequence[bytes], clock: Clock
) -> list[ReadReply | LargeBody]:
    """The objects of these names, in their order."""
    starts = range(0, len(names), _READ_TOGETHER_MAX)
    parts = (names[start : start + _READ_TOGETHER_MAX] for start in starts)
    return [reply for part in parts for reply in _read_part(connection, part, clock)]


def _read_part(
    connection: sqlite3.Connection, names: Sequence[bytes], clock: Clock
) -> list[ReadReply | LargeBody]:
    places = ",".join("?" * len(names))
    rows = connection.execute(
        "select name, version, etag,"
        f" case when file is null and length(body) <= {SMALL_BYTES_MAX} then body end"
        f" from objects where name in ({places})",
        names,
    ).fetchall()
    now_us = clock.now_us()
    found = {name: _small(version, etag, body, now_us) for name, version, etag, body in rows}
    missing = Missing(now_us)
    return [found.get(name, missing) for name in names]


def _small(version: bytes, etag: bytes, body: bytes | None, now_us: int) -> ReadReply | LargeBody:
    if body is None:
        return LargeBody(Version(version), etag, now_us)
    return _checked(version, etag, body, now_us)


def read_large(
    connection: sqlite3.Connection, name: bytes, files: BodyFiles, clock: Clock
) -> ReadReply:
    """One object of any size. Raises OSError when its file cannot be read."""
    for _ in range(_READS_OF_A_FILE_MAX):
        with suppress(FileNotFoundError):
            return _read_large_now(connection, name, files, clock)
    return Failed(Reason.CORRUPT, "the file of the body is gone", clock.now_us())


def _read_large_now(
    connection: sqlite3.Connection, name: bytes, files: BodyFiles, clock: Clock
) -> ReadReply:
    """The same; FileNotFoundError when its file has gone since its row was read."""
    connection.execute("begin")
    try:
        row = connection.execute(
            "select version, etag, rowid, file from objects where name = ?", (name,)
        ).fetchone()
        if row is None:
            return Missing(clock.now_us())
        version, etag, row_id, file = row
        body = body_at(connection, row_id) if file is None else files.read(file)
    finally:
        connection.execute("commit")
    return _checked(version, etag, body, clock.now_us())


def _checked(version: bytes, etag: bytes, body: bytes, now_us: int) -> Found | Failed:
    digest = digest_of(body)
    if digest != etag:
        return Failed(Reason.CORRUPT, "the body does not match its ETag", now_us)
    try:
        record = open_envelope(body, digest)
    except BadEnvelope as error:
        return Failed(Reason.CORRUPT, str(error), now_us)
    if record.version != version:
        return Failed(Reason.CORRUPT, "the row's version is not its envelope's", now_us)
    return Found(record, now_us)


def scan(
    connection: sqlite3.Connection,
    namespace: str,
    after: str,
    prefix: str,
    limit: int,
    clock: Clock,
) -> ScanPage:
    """One page. Names with one prefix stand side by side, so the first without it is the end."""
    folder = f"{namespace}/"
    first = max(f"{encode_name(after)}\0" if after else "", encode_name(prefix))
    rows = connection.execute(
        "select name, version, etag, coalesce(size, length(body)) from objects"
        " where name >= ? and name < ? order by name limit ?",
        ((folder + first).encode(), f"{namespace}0".encode(), limit),
    ).fetchall()
    entries: list[Entry] = []
    for found, version, etag, size in rows:
        name = decode_object_name(found[len(folder) :].decode())
        if name is None:
            raise sqlite3.DatabaseError(f"{found!r} is not the name of an object")
        if not name.startswith(prefix):
            break
        kind = Kind.TOMBSTONE if size == TOMBSTONE_BYTES else Kind.VALUE
        entries.append(Entry(name, etag, size, Version(version), kind))
    next_after = entries[-1].name if len(entries) == limit else None
    return ScanPage(tuple(entries), next_after, clock.now_us())
