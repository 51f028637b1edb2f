"""The elements of a bulk request, checked one by one as they arrive; nothing is written before the
last one has been found good."""

import base64
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from kvgateway.access.body_room import Share
from kvgateway.http.rest.documents import decoded
from kvgateway.http.rest.elements import ArrayElements, NoArray
from kvgateway.http.rest.envelope import RestError
from kvgateway.http.rest.failures import MALFORMED, TOO_LARGE, refusal_of
from kvgateway.http.rest.form import NO_METADATA
from tandem.core.key import Key, check_name
from tandem.core.limits import MIB
from tandem.core.request import (
    Delete,
    Put,
    check_expiration,
    check_metadata,
    check_value_size,
)
from tandem.errors import InvalidArgument
from tandem.runtime.httpd import Request

PAIRS_MAX: Final = 10_000
BULK_BYTES_MAX: Final = 100 * MIB

_Write = TypeVar("_Write")


class _Pair(msgspec.Struct):
    key: str
    value: str
    base64: bool | None = None
    expiration: int | float | None = None
    expiration_ttl: int | float | None = None
    metadata: msgspec.Raw = msgspec.Raw(b"null")


def put_of(raw: bytes, namespace: str, now_s: int) -> Put:
    """The put that one pair asks for."""
    pair = decoded(raw, _Pair, "it")
    check_name(pair.key)
    expires_at_s = check_expiration(
        _whole(pair.expiration, "expires_at_s"),
        _whole(pair.expiration_ttl, "expiration_ttl_s"),
        now_s,
    )
    metadata = bytes(pair.metadata)
    if metadata == NO_METADATA:
        metadata = b""
    check_metadata(metadata)
    value = _from_base64(pair.value) if pair.base64 else pair.value.encode()
    check_value_size(len(value))
    return Put(Key(namespace, pair.key), value, metadata, expires_at_s)


def delete_of(raw: bytes, namespace: str) -> Delete:
    """The delete that one name asks for."""
    name = decoded(raw, str, "it")
    check_name(name)
    return Delete(Key(namespace, name))


async def read_elements(
    request: Request, share: Share, write_of: Callable[[bytes], _Write]
) -> deque[_Write]:
    """The writes that an array asks for; one that is bad refuses them all.

    Raises RestError, which names the position of the bad one.
    """
    if (request.content_length or 0) > BULK_BYTES_MAX:
        raise _too_large()
    elements = ArrayElements()
    writes: deque[_Write] = deque()
    received = 0
    try:
        async for chunk in request.body:
            share.count(len(chunk))
            received += len(chunk)
            if received > BULK_BYTES_MAX:
                raise _too_large()
            for element in elements.feed(chunk):
                writes.append(_checked(element, len(writes), write_of))
        elements.finish()
    except NoArray as error:
        raise RestError(400, MALFORMED, f"the body is not as it should be: {error}") from None
    return writes


def _checked(element: bytes, position: int, write_of: Callable[[bytes], _Write]) -> _Write:
    if position == PAIRS_MAX:
        raise RestError(
            400,
            MALFORMED,
            f"received more than {PAIRS_MAX} keys, but max allowed per request is: {PAIRS_MAX}",
        )
    try:
        return write_of(element)
    except InvalidArgument as error:
        refusal = refusal_of(error)
    except RestError as error:
        refusal = error
    raise RestError(refusal.status, refusal.code, f"entry {position}: {refusal.text}")


def _whole(number: float | None, field: str) -> int | None:
    if number is None:
        return None
    if number != number // 1:
        raise InvalidArgument(field, f"{number} is not a whole number", given=str(number))
    return int(number)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidArgument("value", f"is not valid base64: {error}") from None


def _too_large() -> RestError:
    return RestError(413, TOO_LARGE, f"the body is larger than {BULK_BYTES_MAX} bytes")
