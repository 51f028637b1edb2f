"""Counting the fields of a message without making it."""

from itertools import product

import pytest

from tandem.wire.fields import field_head, has_fields_at_most
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
        raw = b"".join(fields)
        assert [has_fields_at_most(most, raw) for most in range(5)] == [
            most >= count for most in range(5)
        ]


def test_operations_are_the_fields_of_a_batch() -> None:
    batch = kv_pb2.BatchRequest(
        gets=[kv_pb2.GetRequest(id=1)] * 2,
        puts=[kv_pb2.PutRequest(value=bytes(300))] * 3,
        deletes=[kv_pb2.DeleteRequest()],
    )
    raw = batch.SerializeToString()
    assert has_fields_at_most(6, raw)
    assert not has_fields_at_most(5, raw)


@pytest.mark.parametrize("number", [1, 15, 16, 2047, 2048])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_152])
def test_a_field_is_one_whatever_its_size_and_number(number: int, size: int) -> None:
    raw = (field_head(number, size) + bytes(size)) * 2
    assert has_fields_at_most(2, raw)
    assert not has_fields_at_most(1, raw)
    assert not has_fields_at_most(9, raw + field_head(number, 3) + b"ab"), "it is cut off"


@pytest.mark.parametrize(
    "raw",
    [b"\x0b\x0c", b"\x0e", b"\x0a", b"\x0a\x01", b"\x08", b"\x09", b"\x80" * 11],
    ids=bytes.hex,
)
def test_what_is_not_plain_is_too_much(raw: bytes) -> None:
    assert not has_fields_at_most(9, raw)
