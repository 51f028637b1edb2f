"""Counting the fields of a message without making it."""

from itertools import product

import pytest

from tandem.wire.fields import has_fields_at_most
from tandem.wire.v1 import kv_pb2

EACH = [
    b"\x08\x01",
    b"\x08" + b"\xff" * 9 + b"\x01",
    b"\x09" + bytes(8),
    b"\x0d" + bytes(4),
    b"\x0a\x00",
    b"\x0a\x81\x00x",
    b"\xfa\x7f\x02ab",
]
"""One field of each make."""


@pytest.mark.parametrize("count", range(4))
def test_every_field_counts(count: int) -> None:
    for fields in product(EACH, repeat=count):
        raw = memoryview(b"".join(fields))
        assert [has_fields_at_most(most, raw) for most in range(5)] == [
            most >= count for most in range(5)
        ]


def test_operations_are_the_fields_of_a_batch() -> None:
    batch = kv_pb2.BatchRequest(
        gets=[kv_pb2.GetRequest(id=1)] * 2,
        puts=[kv_pb2.PutRequest(value=bytes(300))] * 3,
        deletes=[kv_pb2.DeleteRequest()],
    )
    raw = memoryview(batch.SerializeToString())
    assert has_fields_at_most(6, raw)
    assert not has_fields_at_most(5, raw)


@pytest.mark.parametrize(
    "raw",
    [b"\x0b\x0c", b"\x0e", b"\x0a", b"\x0a\x01", b"\x08", b"\x09", b"\x80" * 11],
    ids=bytes.hex,
)
def test_what_is_not_plain_is_too_much(raw: bytes) -> None:
    assert not has_fields_at_most(9, memoryview(raw))
