"""Point reads of a cluster: many keys with one statement, each with the answer it has alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kvsp.answers import Absent, InBlob
from kvsp.identity import Identity
from kvsp.sqlite import schema
from kvsp.sqlite.floors import Floors
from kvsp.sqlite.reading import read_points
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Failed, Reason
from tandem.core.version import NO_VERSION, Version
from tandem.wire.storage_codec import Get

FIRST, SECOND = "ab" * 16, "cd" * 16
FLOOR = Version.at(7)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    file = tmp_path / "cluster.sqlite"
    schema.create(file, Identity("cluster-0", "ring", 1), "life")
    with closing(sqlite3.connect(file, isolation_level=None)) as opened:
        opened.execute("insert into floor values (?, ?, ?)", (FIRST, b"", FLOOR))
        yield opened


def get(namespace: str, name: str, number: int = 0) -> Get:
    return Get(number, Key(namespace, name), name.encode())


def hold(connection: sqlite3.Connection, of: Get, blob: str | None = None) -> bytes:
    record = seal(Version.at(9), f"{of.key.namespace}/{of.key.name}".encode())
    body = None if blob else record.envelope
    connection.execute(
        "insert into record values (?, ?, ?, 1, 0, ?, ?, ?, x'', ?)",
        (of.key.namespace, of.raw_name, record.version, len(record.envelope), record.digest, blob,
         body),
    )  # fmt: skip
    return record.envelope


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200])
def test_answers_come_in_the_order_of_the_keys(connection: sqlite3.Connection, count: int) -> None:
    gets = [get((FIRST, SECOND)[n % 2], f"key-{count - n}") for n in range(count)]
    envelopes = [hold(connection, each) for each in gets]
    assert read_points(connection, gets, Floors(connection).published()) == envelopes


def test_a_key_asked_for_twice_is_answered_twice(connection: sqlite3.Connection) -> None:
    held, missing = get(FIRST, "held"), get(FIRST, "missing")
    envelope = hold(connection, held)
    answers = read_points(
        connection, [held, missing, held, missing], Floors(connection).published()
    )
    assert answers == [envelope, Absent(FLOOR)] * 2


def test_a_name_in_two_namespaces_is_two_keys(connection: sqlite3.Connection) -> None:
    first, second = get(FIRST, "name"), get(SECOND, "name")
    envelope = hold(connection, first)
    answers = read_points(connection, [second, first], Floors(connection).published())
    assert answers == [Absent(NO_VERSION), envelope]


def test_a_damaged_row_or_one_with_a_blob_does_not_touch_the_others(
    connection: sqlite3.Connection,
) -> None:
    whole, damaged, large = gets = [get(FIRST, name) for name in ("whole", "damaged", "large")]
    envelope = hold(connection, whole)
    hold(connection, damaged)
    hold(connection, large, blob="the-blob")
    connection.execute("update record set envelope = x'00' where name = ?", (damaged.raw_name,))
    one, two, three = read_points(connection, gets, Floors(connection).published())
    assert one == envelope
    assert isinstance(two, Failed)
    assert two.reason is Reason.CORRUPT
    assert isinstance(three, InBlob)
    assert three.blob == "the-blob"


def test_no_transaction_is_left_behind(connection: sqlite3.Connection) -> None:
    read_points(connection, [get(FIRST, "name")], Floors(connection).published())
    assert not connection.in_transaction
    connection.execute("drop table record")
    with pytest.raises(sqlite3.OperationalError):
        read_points(connection, [get(FIRST, "name")], Floors(connection).published())
    assert not connection.in_transaction
