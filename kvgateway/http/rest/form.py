"""A put as `multipart/form-data`: parts `value` and `metadata`, in any order, as files or not."""

from typing import Final, NamedTuple

from multipart import (
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from kvgateway.access.body_room import Share
from kvgateway.http.rest.envelope import RestError
from kvgateway.http.rest.failures import MALFORMED
from tandem.core.envelope import Value
from tandem.core.limits import KIB
from tandem.core.request import check_value_size
from tandem.runtime.httpd import Body, Request

NO_METADATA: Final = (b"", b"null")
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
    if kind.lower() != _KIND:
        return None
    if not options.get("boundary"):
        raise RestError(400, MALFORMED, f"{_KIND} without a boundary")
    return str(options["boundary"])


async def read_form(body: Body, boundary: str, share: Share) -> Content:
    """The value and the metadata in a form; RestError when it is broken or has no value."""
    form = _Form()
    try:
        with PushMultipartParser(boundary, max_segment_count=_PARTS_MAX) as parser:
            async for chunk in body:
                share.count(len(chunk))
                for event in parser.parse(chunk):
                    form.take(event)
    except (MultipartError, UnicodeError) as error:
        raise RestError(400, MALFORMED, f"the form is broken: {error}") from None
    return form.content()


class _Form:
    """Collects the two parts that count."""

    def __init__(self) -> None:
        self._parts: dict[str, bytes] = {}
        self._name = ""
        self._pieces: list[bytes] = []
        self._size = 0

    def take(self, event: MultipartSegment | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._name, self._pieces, self._size = event.name or "", [], 0
        elif event is None:
            self._part_ended()
        else:
            self._add(event)

    def content(self) -> Content:
        if "value" not in self._parts:
            raise RestError(400, 10047, "the form has no part named value")
        metadata = self._parts.get("metadata", b"")
        return Content(self._parts["value"], b"" if metadata in NO_METADATA else metadata)

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._name == "value":
            check_value_size(self._size)
        elif self._size > _SIDE_BYTES_MAX:
            raise RestError(
                413, 10024, f"part {self._name[:64]!r} is larger than {_SIDE_BYTES_MAX} bytes"
            )
        self._pieces.append(piece)

    def _part_ended(self) -> None:
        if self._name in self._parts:
            raise RestError(400, MALFORMED, f"part {self._name[:64]!r} is given twice")
        self._parts[self._name] = b"".join(self._pieces)
        self._pieces = []
