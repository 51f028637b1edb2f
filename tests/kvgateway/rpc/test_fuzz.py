"""Bytes that nobody meant: every call ends with a status, and the server is as before."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.errors import InvalidArgument, TandemError
from tandem.wire import codec, ops_codec
from tandem.wire.cursor import decode_cursor
from tandem.wire.v1 import kv_pb2, namespaces_pb2, ops_pb2
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import running

PARSERS: list[tuple[type[Message], Callable[[Any], object]]] = [
    (kv_pb2.GetRequest, codec.read_of),
    (kv_pb2.PutRequest, lambda message: codec.put_of(message, 1_800_000_000)),
    (kv_pb2.DeleteRequest, codec.delete_of),
    (kv_pb2.ListRequest, codec.listing_of),
    (kv_pb2.BatchRequest, codec.check_batch),
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
METHODS = {
    "/tandem.v1.KV/Get": False,
    "/tandem.v1.KV/Put": False,
    "/tandem.v1.KV/Delete": False,
    "/tandem.v1.KV/List": False,
    "/tandem.v1.KV/Batch": False,
    "/tandem.v1.KV/Exchange": True,
    "/tandem.v1.KV/PutStream": True,
    "/tandem.v1.KV/GetStream": False,
    "/tandem.v1.Namespaces/CreateNamespace": False,
    "/tandem.v1.Namespaces/DeleteNamespace": False,
    "/tandem.v1.Ops/SetSwitch": False,
    "/tandem.v1.Ops/MarkBehind": False,
    "/tandem.v1.Ops/Inspect": False,
}
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.UNAVAILABLE,  # a version from the future
}


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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20), st.data())
def test_any_bytes_are_answered(messages: list[bytes], data: st.DataObject) -> None:
    """Among them messages with a grain of sense, since pure noise seldom gets past the decoder."""
    sensible = data.draw(st.lists(FIELDS, max_size=5))
    for fields in sensible:
        known = {
            n: v for n, v in fields.items() if n in kv_pb2.PutRequest.DESCRIPTOR.fields_by_name
        }
        put = kv_pb2.PutRequest(**known)
        messages += [put.SerializeToString(), kv_pb2.BatchRequest(puts=[put]).SerializeToString()]
    asyncio.run(_send_all(messages))


async def _send_all(messages: list[bytes]) -> None:
    async with running() as gateway, gateway.channel() as channel:
        for method, streaming in METHODS.items():
            if streaming:
                stream: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
                stream = channel.stream_stream(method)
                call = stream()
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    for message in messages:
                        await call.write(message)
                    await call.done_writing()
                with suppress(grpc.aio.AioRpcError):  # gRPC has no status before all is read
                    while await call.read() is not grpc.aio.EOF:
                        pass
                # INTERNAL is gRPC's word for a send that failed since the answer was there first.
                assert await call.code() in {*EXPECTED, grpc.StatusCode.INTERNAL}
            else:
                unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
                for message in messages:
                    assert await unary(message).code() in EXPECTED
        assert gateway.failures.count == 0


def test_the_methods_are_those_of_the_contract() -> None:
    modules = (kv_pb2, namespaces_pb2, ops_pb2)
    offered = {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(METHODS) <= offered
