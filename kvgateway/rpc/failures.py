"""How a call fails: every exception becomes a status here, and the unexpected ones are counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from kvgateway.access.quotas import REFUSAL_PAUSE_S
from tandem.errors import QuotaExceeded, TandemError
from tandem.runtime.logs import Logger
from tandem.wire.malformed import OUR_METHODS, checked
from tandem.wire.status import call_status


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

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The method's own implementation with its failures translated."""
        method: Any = await continuation(handler_call_details)
        name = handler_call_details.method
        if method is None or not name.startswith(OUR_METHODS):
            foreign: grpc.RpcMethodHandler[Any, Any] | None = method
            return foreign
        decode = checked(method.request_deserializer)
        if method.request_streaming and method.response_streaming:
            make, behavior = grpc.stream_stream_rpc_method_handler, method.stream_stream
        elif method.request_streaming:
            make, behavior = grpc.stream_unary_rpc_method_handler, method.stream_unary
        elif method.response_streaming:
            make, behavior = grpc.unary_stream_rpc_method_handler, method.unary_stream
        else:
            make, behavior = grpc.unary_unary_rpc_method_handler, method.unary_unary
        # A unary request is decoded inside the guard: gRPC answers a deserializer that raises with
        # UNKNOWN, and logs a traceback for what is the client's mistake.
        return make(
            self._guarded(name, behavior, None if method.request_streaming else decode),
            request_deserializer=decode if method.request_streaming else None,
            response_serializer=method.response_serializer,
        )

    def _guarded(
        self,
        name: str,
        behavior: Callable[[Any, Any], Awaitable[object]],
        decode: Callable[[Any], object] | None,
    ) -> Callable[[object, grpc.aio.ServicerContext[Any, Any]], Awaitable[object]]:
        async def guarded(request: object, context: grpc.aio.ServicerContext[Any, Any]) -> object:
            try:
                return await behavior(decode(request) if decode else request, context)
            except grpc.aio.AbortError:
                raise
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
