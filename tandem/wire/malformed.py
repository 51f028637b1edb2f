"""Bytes that are no message of the method they were sent to: the client's mistake, told as one."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError

from tandem.errors import InvalidArgument
from tandem.wire.status import call_status

OUR_METHODS: Final = "/tandem.v1."

_Decoders: TypeAlias = Mapping[str, Callable[[bytes], object]]
_Message = TypeVar("_Message")
_Context = grpc.aio.ServicerContext[Any, Any]


def checked(decode: Callable[[bytes], _Message]) -> Callable[[bytes], _Message]:
    """`decode`, which raises InvalidArgument where it raised DecodeError."""

    def checked_decode(raw: bytes) -> _Message:
        try:
            return decode(raw)
        except DecodeError:
            raise InvalidArgument("request", "is not a message of this method") from None

    return checked_decode


class MalformedRequests(grpc.aio.ServerInterceptor):
    """Answers a request that cannot be decoded with INVALID_ARGUMENT, where gRPC says UNKNOWN.

    A method that reads a stream of requests meets InvalidArgument in its own `read`.

    Args:
        decoders: what decodes the requests of a method instead of protobuf, by its full name.
    """

    def __init__(self, decoders: _Decoders = MappingProxyType({})) -> None:
        self._decoders = decoders

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The method's own implementation behind the check."""
        method: Any = await continuation(handler_call_details)
        if method is None or not handler_call_details.method.startswith(OUR_METHODS):
            foreign: grpc.RpcMethodHandler[Any, Any] | None = method
            return foreign
        name = handler_call_details.method
        decode: Any = checked(self._decoders.get(name, method.request_deserializer))
        serializer = method.response_serializer
        if method.request_streaming and not method.response_streaming:
            return grpc.stream_unary_rpc_method_handler(method.stream_unary, decode, serializer)
        if method.request_streaming:
            return grpc.stream_stream_rpc_method_handler(method.stream_stream, decode, serializer)
        if method.response_streaming:
            streaming = _decoding(method.unary_stream, decode)
            return grpc.unary_stream_rpc_method_handler(streaming, None, serializer)
        return grpc.unary_unary_rpc_method_handler(
            _decoding(method.unary_unary, decode), None, serializer
        )


def _decoding(
    behavior: Callable[[Any, _Context], Awaitable[object]], decode: Callable[[bytes], object]
) -> Callable[[bytes, _Context], Awaitable[object]]:
    async def decoding(raw: bytes, context: _Context) -> object:
        try:
            request = decode(raw)
        except InvalidArgument as error:
            await context.abort(*call_status(error))
        return await behavior(request, context)

    return decoding
