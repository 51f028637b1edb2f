"""A put as `multipart/form-data`: parts `value` and `metadata`, in any order, as files or not."""

from typing import Final, NamedTuple

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from kvgateway.access.body_room import Share
from kvgateway.http.bodies import ArrivingValue
from kvgateway.http.rest.envelope import RestError
from kvgateway.http.rest.failures import MALFORMED, NO_VALUE, TOO_LARGE
from tandem.core.envelope import Value
from tandem.core.limits import KIB
from tandem.core.request import check_value_size
from tandem.runtime.httpd import Body, Request

NO_METADATA: Final = b"null"
_KIND: Final = "multipart/form-data"
_PARTS_MAX: Final = 8
_SIDE_BYTES_MAX: Final = 64 * KIB
"""Of any part but the value: far more than metadata may have, so that its check sees the length."""


class Content(NamedTuple):
    """What a put brings."""

    value: Value
    metadata: bytes = b""


def boundary_of(request: Request) -> str | None:
    """The boundary of a form, None when the body is no form but the value itself.

    Raises RestError for a form without a boundary.
    """
    kind, options = parse_options_header((request.get(b"content-type") or b"").decode("latin-1"))
    if kind != _KIND:
        return None
    if not options.get("boundary"):
        raise RestError(400, MALFORMED, f"{_KIND} without a boundary")
    return str(options["boundary"])


async def read_form(body: Body, boundary: str, share: Share, value: ArrivingValue) -> Content:
    """The value, collected by `value`, and the metadata in a form; RestError when it is broken or
    has no value."""
    form = _Form(share, value)
    try:
        with PushMultipartParser(boundary, max_segment_count=_PARTS_MAX) as parser:
            async for chunk in body:
                for event in parser.parse(chunk):
                    await form.take(event)
    except MultipartError as error:
        raise RestError(400, MALFORMED, f"the form is broken: {error}") from None
    return await form.content()


class _Form:
    """Takes the parts apart: the value goes where values go, the others are small."""

    def __init__(self, share: Share, value: ArrivingValue) -> None:
        self._share = share
        self._value = value
        self._sides: dict[str, bytes] = {}
        self._names: set[str] = set()
        self._name = ""

    async def take(self, event: MultipartSegment | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event.name or "")
        elif event is None:
            self._names.add(self._name)
        elif self._name == "value":
            check_value_size(len(self._value) + len(event))
            await self._value.add(bytes(event))
        else:
            self._add_to_side(event)

    async def content(self) -> Content:
        if "value" not in self._names:
            raise RestError(400, NO_VALUE, "the form has no part named value")
        metadata = self._sides.get("metadata", b"")
        return Content(await self._value.value(), b"" if metadata == NO_METADATA else metadata)

    def _begin(self, name: str) -> None:
        if name in self._names:
            raise RestError(400, MALFORMED, f"part {name[:64]!r} is given twice")
        self._name = name

    def _add_to_side(self, piece: bytes) -> None:
        self._share.count(len(piece))
        side = self._sides.get(self._name, b"") + piece
        if len(side) > _SIDE_BYTES_MAX:
            what = f"part {self._name[:64]!r} is larger than {_SIDE_BYTES_MAX} bytes"
            raise RestError(413, TOO_LARGE, what)
        self._sides[self._name] = side
