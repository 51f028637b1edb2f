"""The only table between `tandem.errors` and gRPC status, in both directions.

A failed operation of a batch carries an `Error` message; a failed call carries the same message in
its trailing metadata, beside the status and the text that every gRPC client shows.
"""

from typing import Final

import grpc
from google.protobuf.message import DecodeError

from tandem.errors import (
    InvalidArgument,
    NamespaceExists,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    TokenNotFound,
    Unauthenticated,
    Unavailable,
    Unchanged,
    Unconfirmed,
    sayable,
)
from tandem.wire.v1 import kv_pb2

ERROR_METADATA_KEY: Final = "tandem-error-bin"

_CODES: Final[dict[type[TandemError], grpc.StatusCode]] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NamespaceNotFound: grpc.StatusCode.NOT_FOUND,
    NamespaceExists: grpc.StatusCode.ALREADY_EXISTS,
    TokenNotFound: grpc.StatusCode.NOT_FOUND,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_CODE_BY_NUMBER: Final = {code.value[0]: code for code in grpc.StatusCode}
_TOKEN_FIELD: Final = "token"
"""With NOT_FOUND: it was a token that was not found, and no namespace."""
_UNCONFIRMED_FIELD: Final = "unconfirmed"
"""With UNAVAILABLE: whether there is such a namespace (or token) cannot be told now."""
_UNCHANGED_FIELD: Final = "unchanged"
"""With UNAVAILABLE: a change needs both homes, and nothing was written."""

NO_ANSWER: Final = "no answer came"
"""How the text begins of a call that ended before whoever was asked had answered."""
_INTERNAL_TEXT: Final = "unexpected failure inside; the log has the details"


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status of an error; INTERNAL for whatever is not in the table."""
    for kind in type(error).__mro__:
        if code := _CODES.get(kind):
            return code
    return grpc.StatusCode.INTERNAL


def is_expected(error: BaseException) -> bool:
    """Whether an error is an answer to the client rather than a fault of ours."""
    return code_of(error) is not grpc.StatusCode.INTERNAL


def fill_error(message: kv_pb2.Error, error: BaseException) -> None:
    """Writes an error into the message of one operation."""
    code = code_of(error)
    message.code = code.value[0]
    if code is grpc.StatusCode.INTERNAL:
        message.message = _INTERNAL_TEXT
    elif isinstance(error, InvalidArgument):
        message.field, message.message = error.field, sayable(error.message)
    else:
        message.message = sayable(str(error))
        if isinstance(error, QuotaExceeded):
            message.retry_after_s = error.retry_after_s
        elif isinstance(error, TokenNotFound):
            message.field = _TOKEN_FIELD
        elif isinstance(error, Unconfirmed):
            message.field = _UNCONFIRMED_FIELD
        elif isinstance(error, Unchanged):
            message.field = _UNCHANGED_FIELD


def call_status(error: BaseException) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """The status, text and trailing metadata with which a call fails."""
    message = kv_pb2.Error()
    fill_error(message, error)
    return (
        code_of(error),
        _text_of(error, message),
        ((ERROR_METADATA_KEY, message.SerializeToString()),),
    )


def error_of(message: kv_pb2.Error, subject: str) -> TandemError:
    """The exception behind a failed operation; `subject` is what it was about, which is nearly
    always a namespace."""
    code = _CODE_BY_NUMBER.get(message.code, grpc.StatusCode.UNKNOWN)
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidArgument(message.field, message.message)
        case grpc.StatusCode.NOT_FOUND if message.field == _TOKEN_FIELD:
            return TokenNotFound(subject)
        case grpc.StatusCode.NOT_FOUND:
            return NamespaceNotFound(subject)
        case grpc.StatusCode.ALREADY_EXISTS:
            return NamespaceExists(subject)
        case grpc.StatusCode.UNAUTHENTICATED:
            return Unauthenticated(message.message)
        case grpc.StatusCode.PERMISSION_DENIED:
            return PermissionDenied(message.message)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if message.HasField("retry_after_s"):
            return QuotaExceeded(message.message, message.retry_after_s)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Overloaded(message.message)
        case grpc.StatusCode.UNAVAILABLE if message.field == _UNCONFIRMED_FIELD:
            return Unconfirmed(message.message)
        case grpc.StatusCode.UNAVAILABLE if message.field == _UNCHANGED_FIELD:
            return Unchanged(message.message)
        case grpc.StatusCode.UNAVAILABLE:
            return Unavailable(message.message)
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.CANCELLED:
            return Unavailable(f"{NO_ANSWER}: {message.message}")
        case _:
            return TandemError(f"{code.name}: {message.message}")


def error_of_call(error: grpc.aio.AioRpcError, subject: str) -> TandemError:
    """The exception behind a failed call."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_METADATA_KEY and isinstance(value, bytes):
            try:
                return error_of(kv_pb2.Error.FromString(value), subject)
            except DecodeError:
                break
    return error_of(
        kv_pb2.Error(code=error.code().value[0], message=error.details() or ""), subject
    )


def _text_of(error: BaseException, message: kv_pb2.Error) -> str:
    if isinstance(error, InvalidArgument):
        return f"{message.field}: {message.message}"
    return message.message
