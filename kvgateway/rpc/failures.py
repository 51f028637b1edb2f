"""How a call fails: every exception becomes a status here, and the unexpected ones are counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import grpc

from kvgateway.access.quotas import REFUSAL_PAUSE_S
from kvgateway.rpc.arrival import Arrivals
from tandem.core.limits import LARGE_BODY_BYTES
from tandem.errors import InvalidArgument, Overloaded, QuotaExceeded, TandemError
from tandem.runtime.logs import Logger
from tandem.wire.long_values import (
    decode_batch,
    decode_put,
    decode_whole_batch,
    encode_batch,
    encode_get,
)
from tandem.wire.malformed import OUR_METHODS, checked
from tandem.wire.status import call_status

_Context = grpc.aio.ServicerContext[Any, Any]
_Behavior = Callable[[Any, _Context], Awaitable[object]]

_DECODE: Final[Mapping[str, Callable[[bytes], object]]] = {
    f"{OUR_METHODS}KV/Put": decode_put,
    f"{OUR_METHODS}KV/Batch": decode_whole_batch,
    f"{OUR_METHODS}KV/Exchange": decode_batch,
}
_ENCODE: Final[Mapping[str, Callable[[Any], bytes]]] = {
    f"{OUR_METHODS}KV/Get": encode_get,
    f"{OUR_METHODS}KV/Exchange": encode_batch,
}
"""Where protobuf alone would copy values of full size."""

STRANGERS_MAX: Final = 100
"""Health checks and reflection at once, which need no token: without a bound of their own, a
thousand that never end would take the place of all other calls."""


class Failures:
    """Counts the faults of our own that clients saw as INTERNAL, and logs each once."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self.count = 0

    def unexpected(self, operation: str, error: BaseException) -> None:
        """Notes that `operation` met an error that no caller can have caused."""
        self.count += 1
        self._log.error("request failed unexpectedly", operation=operation, exc_info=error)


class FailureInterceptor(grpc.aio.ServerInterceptor):
    """Answers each call of ours that raises with its status, and a message that cannot be decoded
    with INVALID_ARGUMENT."""

    def __init__(self, failures: Failures, arrivals: Arrivals) -> None:
        self._failures = failures
        self._arrivals = arrivals
        self._strangers: set[asyncio.Task[Any]] = set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The method's own implementation with its failures translated, and its message, if it has
        one only, read as `kvgateway.rpc.arrival` says."""
        method: Any = await continuation(handler_call_details)
        name = handler_call_details.method
        if method is None:
            return None
        if not name.startswith(OUR_METHODS):
            foreign: grpc.RpcMethodHandler[Any, Any] = method
            return foreign if self._admits_stranger() else _REFUSING
        decode: Any = checked(_DECODE.get(name, method.request_deserializer))
        if name not in _DECODE and not method.request_streaming:
            decode = _short(decode)
        encode = _ENCODE.get(name, method.response_serializer)
        if method.request_streaming:
            behavior = method.stream_stream if method.response_streaming else method.stream_unary
        else:
            unary = method.unary_stream if method.response_streaming else method.unary_unary
            behavior, decode = self._reading(unary, decode), None
        if method.response_streaming:
            make = grpc.stream_stream_rpc_method_handler
        else:
            make = grpc.stream_unary_rpc_method_handler
        return make(self._guarded(name, behavior), decode, encode)

    def _admits_stranger(self) -> bool:
        """Whether one more call may be served of which nobody asks who makes it; gRPC serves each
        call in a task of its own, which this is."""
        if len(self._strangers) >= STRANGERS_MAX:
            return False
        task = asyncio.current_task()
        assert task is not None
        self._strangers.add(task)
        task.add_done_callback(self._strangers.discard)
        return True

    def _reading(self, behavior: _Behavior, decode: Callable[[bytes], object]) -> _Behavior:
        """A method with one message, which is decoded within the guard: gRPC answers a deserializer
        that raises with UNKNOWN, and logs a traceback for what is the client's mistake."""

        async def reading(_: object, context: _Context) -> object:
            async with self._arrivals.message(context, decode) as request:
                call = behavior(request, context)
                del request
                return await call

        return reading

    def _guarded(self, name: str, behavior: _Behavior) -> _Behavior:
        async def guarded(request: object, context: _Context) -> object:
            try:
                return await behavior(request, context)
            except grpc.aio.AbortError:
                raise
            except grpc.aio.InternalError:
                # The client has gone, and gRPC has not said so yet by cancelling.
                raise asyncio.CancelledError from None
            except TandemError as error:
                failure: Exception = error
            except Exception as error:
                failure = error
                self._failures.unexpected(name, error)
            if isinstance(failure, QuotaExceeded):
                await asyncio.sleep(REFUSAL_PAUSE_S)
            code, text, metadata = call_status(failure)
            return await context.abort(code, text, metadata)

        return guarded


async def _refuse(_: object, context: _Context) -> None:
    code, text, metadata = call_status(Overloaded("too many calls without a token"))
    await context.abort(code, text, metadata)


_REFUSING: Final["grpc.RpcMethodHandler[Any, Any]"] = grpc.stream_unary_rpc_method_handler(_refuse)
"""Of a method of any shape."""


def _short(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Of methods without values; a message of theirs may have a list of names, and so millions."""

    def decode_short(raw: bytes) -> object:
        if len(raw) > LARGE_BODY_BYTES:
            raise InvalidArgument(
                "request", f"{len(raw)} bytes exceed the limit of {LARGE_BODY_BYTES}"
            )
        return decode(raw)

    return decode_short
