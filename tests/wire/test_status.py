"""The table of errors, in both directions."""

import grpc
import pytest

from tandem import errors
from tandem.errors import (
    SAID_BYTES_MAX,
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
from tandem.wire.status import call_status, code_of, error_of, error_of_call, fill_error
from tandem.wire.v1 import kv_pb2

TABLE: list[tuple[TandemError, grpc.StatusCode]] = [
    (InvalidArgument("key", "must not be empty"), grpc.StatusCode.INVALID_ARGUMENT),
    (NamespaceNotFound("articles"), grpc.StatusCode.NOT_FOUND),
    (NamespaceExists("articles"), grpc.StatusCode.ALREADY_EXISTS),
    (TokenNotFound("articles"), grpc.StatusCode.NOT_FOUND),
    (Unauthenticated("the token is not valid"), grpc.StatusCode.UNAUTHENTICATED),
    (PermissionDenied("t may read"), grpc.StatusCode.PERMISSION_DENIED),
    (QuotaExceeded("1000 operations a second", 0.25), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (QuotaExceeded("at once", 0.0), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (Unavailable("both homes failed"), grpc.StatusCode.UNAVAILABLE),
    (Unchanged("nothing was changed"), grpc.StatusCode.UNAVAILABLE),
    (Unconfirmed("ab is not known here"), grpc.StatusCode.UNAVAILABLE),
    (Overloaded("too many writes"), grpc.StatusCode.RESOURCE_EXHAUSTED),
]


@pytest.mark.parametrize(("error", "code"), TABLE)
def test_an_error_crosses_the_wire(error: TandemError, code: grpc.StatusCode) -> None:
    message = kv_pb2.Error()
    fill_error(message, error)
    assert message.code == code.value[0]
    arrived = error_of(message, "articles")
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(("error", "code"), TABLE)
def test_a_failed_call_carries_the_same(error: TandemError, code: grpc.StatusCode) -> None:
    status, text, metadata = call_status(error)
    assert (status, text) == (code, str(error))
    failed = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), text)
    arrived = error_of_call(failed, "articles")
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))


def test_every_error_that_a_client_can_meet_is_in_the_table() -> None:
    local = {errors.ConfigurationError}
    kinds = {*TandemError.__subclasses__(), *Unavailable.__subclasses__()}
    assert {type(error) for error, _ in TABLE} == kinds - local


@pytest.mark.parametrize("error", [ValueError("secret"), TandemError("secret"), KeyError("secret")])
def test_a_fault_of_ours_tells_nothing(error: Exception) -> None:
    code, text, _ = call_status(error)
    assert code is code_of(error) is grpc.StatusCode.INTERNAL
    assert "secret" not in text


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.UNIMPLEMENTED, TandemError),
        (grpc.StatusCode.INTERNAL, TandemError),
    ],
)
def test_what_grpc_itself_says(code: grpc.StatusCode, kind: type[TandemError]) -> None:
    none = grpc.aio.Metadata()
    arrived = error_of_call(grpc.aio.AioRpcError(code, none, none, "because"), "articles")
    assert type(arrived) is kind
    assert "because" in str(arrived)


def test_details_that_nobody_can_read_are_ignored() -> None:
    metadata = grpc.aio.Metadata(("tandem-error-bin", b"\xff"))
    failed = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, "x")
    assert type(error_of_call(failed, "")) is Unavailable


def test_a_text_with_half_a_character_can_be_sent() -> None:
    message = kv_pb2.Error()
    fill_error(message, InvalidArgument("key", "\ud800"))
    assert message.message == "\\ud800"


@pytest.mark.parametrize("character", ["a", "\n", "\xe9", "\ud800", "\N{PILE OF POO}"], ids=ascii)
@pytest.mark.parametrize("length", [1, 255, 256, 257, 512, 1023, 1024, 1025, 100_000])
def test_what_is_told_is_short_and_has_what_stands_before_and_behind(
    character: str, length: int
) -> None:
    told = sayable(f"title {character * length} is taken")
    assert told.startswith(
        f"title {character * min(length, 80)}".encode(errors="backslashreplace").decode()
    )
    assert told.endswith(" is taken")
    assert len(told.encode()) <= SAID_BYTES_MAX
    whole = len(f"title {character * length} is taken".encode(errors="backslashreplace"))
    assert ("[...]" in told) == (whole > SAID_BYTES_MAX)


@pytest.mark.parametrize("kind", [NamespaceNotFound, NamespaceExists, TokenNotFound, Unavailable])
def test_a_refusal_fits_into_the_metadata_that_clients_take(kind: type[TandemError]) -> None:
    """8 KiB, unless they were told otherwise; in it a byte that is not ASCII takes three, and a
    binary value a third more."""
    _, text, metadata = call_status(kind("\N{PILE OF POO}" * 512))
    size = 3 * len(text.encode()) + sum(len(key) + len(value) * 4 // 3 for key, value in metadata)
    assert size < 6000
