"""Every method of every service of the contract, and messages for it that nobody meant."""

import importlib
import math
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from tandem.core.envelope import seal, seal_tombstone
from tandem.core.version import Version
from tandem.wire import v1
from tests.fuzz.mutations import edited

_DEPTH_MAX = 3
_VERSION = Version.at(1_700_000_000_000_000)
_INTEGERS = (0, 1, 2, 59, 60, 1000, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, -1, -(2**63))
_BYTES = (
    b"", b"k", b".", b"..", b"\xff", b"k" * 513, bytes(16), b"\xff" * 16, _VERSION, b"{}",
    b"[" * 600,     seal(_VERSION, b"value").envelope, seal_tombstone(_VERSION).envelope,
)  # fmt: skip
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


@dataclass(frozen=True, slots=True)
class Method:
    """One method of the contract."""

    service: str
    path: str
    request: type[Message]
    reply: type[Message]
    streams_requests: bool
    streams_replies: bool


def methods() -> Iterator[Method]:
    """All of them, from the descriptors, so that a new one is among them by itself."""
    for module in pkgutil.iter_modules(v1.__path__, f"{v1.__name__}."):
        if not module.name.endswith("_pb2"):
            continue
        contract: Any = importlib.import_module(module.name)
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield Method(
                    service.name,
                    f"/{service.full_name}/{method.name}",
                    GetMessageClass(method.input_type),
                    GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                )


def requests(method: Method, texts: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Requests in bytes: wild fields, wild fields with edits, and noise. `texts` are what strings
    are made of besides, such as the id of a namespace."""
    descriptor: Any = method.request.DESCRIPTOR
    wild = _messages(descriptor, texts, _DEPTH_MAX).map(
        lambda fields: method.request(**fields).SerializeToString()
    )
    return wild | wild.flatmap(lambda raw: edited((raw,))) | st.binary(max_size=100)


def _messages(
    descriptor: Descriptor, texts: tuple[str, ...], depth: int
) -> st.SearchStrategy[dict[str, Any]]:
    fields = {field.name: _field(field, texts, depth) for field in descriptor.fields}
    usable = {name: values for name, values in fields.items() if values is not None}
    return st.fixed_dictionaries({}, optional=usable)


def _field(
    field: FieldDescriptor, texts: tuple[str, ...], depth: int
) -> st.SearchStrategy[Any] | None:
    values = _values(field, texts, depth)
    if values is None or not field.is_repeated:
        return values
    return st.lists(values, max_size=3)


def _values(
    field: FieldDescriptor, texts: tuple[str, ...], depth: int
) -> st.SearchStrategy[Any] | None:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_MESSAGE:
            if not depth:
                return None
            assert field.message_type is not None
            made: type[Message] = GetMessageClass(field.message_type)
            return _messages(field.message_type, texts, depth - 1).map(lambda fs: made(**fs))
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.sampled_from(_BYTES) | st.binary(max_size=40)
        case FieldDescriptor.CPPTYPE_STRING:
            return st.sampled_from(texts) | st.text(max_size=40).filter(_sendable)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.integers(0, 10) | st.integers(-(2**31), 2**31 - 1)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return st.sampled_from((0.0, -1.0, 0.5, math.inf, -math.inf, math.nan))
        case kind:
            low, high = _RANGES[kind]
            usual = [number for number in _INTEGERS if low <= number <= high]
            return st.sampled_from(usual) | st.integers(low, high)


def _sendable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def errors_within(message: Message) -> Iterator[int]:
    """The status of every failed operation that a reply carries."""
    for field, value in message.ListFields():
        if field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
            continue
        for part in value if field.is_repeated else (value,):
            assert field.message_type is not None
            if field.message_type.full_name == "tandem.v1.Error":
                yield part.code
            else:
                yield from errors_within(part)
