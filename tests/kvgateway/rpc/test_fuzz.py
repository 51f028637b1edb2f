"""Fields that nobody meant: the codec takes them or refuses them (see also tests/fuzz)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import InvalidArgument, TandemError
from tandem.wire import codec, ops_codec
from tandem.wire.cursor import decode_cursor
from tandem.wire.v1 import kv_pb2, ops_pb2
from tests.kvgateway.rpc.memory_store import NAMESPACE

PARSERS: list[tuple[type[Message], Callable[[Any], object]]] = [
    (kv_pb2.GetRequest, codec.read_of),
    (kv_pb2.PutRequest, lambda message: codec.put_of(message, 1_800_000_000)),
    (kv_pb2.DeleteRequest, codec.delete_of),
    (kv_pb2.ListRequest, codec.listing_of),
    (kv_pb2.BatchRequest, lambda message: codec.check_batch(message, message.ByteSize())),
    (ops_pb2.InspectRequest, ops_codec.key_of),
]
FIELDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "namespace": st.sampled_from([NAMESPACE, "0" * 32, "x"]) | st.text(),
        "key": st.binary(),
        "prefix": st.binary(),
        "value": st.binary(),
        "metadata": st.binary(),
        "cursor": st.text(),
        "above": st.binary(),
        "min_version": st.binary(),
        "limit": st.integers(0, 2**32 - 1),
        "cache_ttl_s": st.integers(0, 2**32 - 1),
        "expires_at_s": st.integers(0, 2**64 - 1),
        "expiration_ttl_s": st.integers(0, 2**64 - 1),
    },
)


@given(FIELDS)
def test_any_fields_are_parsed_or_refused(fields: dict[str, Any]) -> None:
    for make, parse in PARSERS:
        names = make.DESCRIPTOR.fields_by_name
        message = make(**{name: value for name, value in fields.items() if name in names})
        with suppress(TandemError):
            parse(message)


@given(st.text(), st.text(min_size=1))
def test_any_cursor_is_refused(prefix: str, cursor: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^cursor: "):
        decode_cursor(NAMESPACE, prefix.encode(errors="replace").decode(), cursor)
