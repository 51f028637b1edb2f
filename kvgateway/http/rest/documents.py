"""JSON bodies, strict: the type of every field counts, unknown fields do not."""

from typing import TypeVar

import msgspec

from kvgateway.http.rest.envelope import RestError
from kvgateway.http.rest.failures import MALFORMED

_Document = TypeVar("_Document")


def decoded(raw: bytes, kind: type[_Document], what: str = "the body") -> _Document:
    """The document in `raw`; RestError says what is wrong with `what`."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RestError(400, MALFORMED, f"{what} is not as it should be: {error}") from None
