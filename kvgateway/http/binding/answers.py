"""What the data path found, as answers: every header is one that workerd reads, or begins with
`Tandem-`. No answer ever has a Content-Encoding: stored bytes go out as they came in.
"""

import json
from collections.abc import Mapping
from typing import Final

from kvgateway.http.session import STALE, UNCONFIRMED, version_line
from tandem.core.record import Record
from tandem.core.request import ListedName, Listing, ListPage, ReadResult, Written
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.httpd import Response, encode_headers
from tandem.runtime.latest import Latest
from tandem.wire.cursor import encode_cursor

_Header = tuple[bytes, bytes]

JSON: Final[_Header] = (b"Content-Type", b"application/json")

_COPIED_BYTES_MAX: Final = 16 << 10
_HITS_MAX: Final = 8192
_HITS_BYTES_MAX: Final = 32 << 20
_BYTES: Final = b"Content-Type: application/octet-stream\r\n"
_HIT: Final = b"CF-Cache-Status: HIT\r\n"
_MISS: Final = b"CF-Cache-Status: MISS\r\n"
_STALE: Final[tuple[_Header, _Header]] = ((b"CF-Cache-Status", b"STALE"), STALE)
_STALE_HIT: Final = encode_headers(_STALE)
_UNCONFIRMED: Final = encode_headers([UNCONFIRMED])
_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
"""In metadata they can only be space between JSON tokens, and would end the header."""


class ReadAnswers:
    """Answers to reads. That to a value which is read often is made once: most of what a hit costs
    would be spent on it.
    """

    def __init__(self) -> None:
        self._hits = Latest[bytes, Response](_HITS_MAX, _HITS_BYTES_MAX)
        """By the digest of their envelopes."""

    def of(self, result: ReadResult) -> Response:
        """The value with its metadata, or 404."""
        record = result.record
        if record is None:
            return Response(404, b"", _lines(result, result.version))
        if result.cached and not result.stale and not result.unconfirmed:
            return self._hits.get(record.digest) or self._remembered(record, result)
        return _value_answer(record, result)

    def _remembered(self, record: Record, result: ReadResult) -> Response:
        hit = _value_answer(record, result)
        self._hits.keep(record.digest, hit, len(record.envelope))
        return hit


def _value_answer(record: Record, result: ReadResult) -> Response:
    lines = _BYTES + _lines(result, record.version)
    if record.metadata:
        lines += encode_headers([(b"CF-KV-Metadata", record.metadata.translate(_LINE_ENDS))])
    if record.expires_at_s:
        lines += b"CF-Expiration: %d\r\n" % record.expires_at_s
    return Response(200, _value_of(record), lines)


def _lines(result: ReadResult, version: Version) -> bytes:
    lines = _STALE_HIT if result.stale else _HIT if result.cached else _MISS
    if result.unconfirmed:
        lines += _UNCONFIRMED
    return lines if version == NO_VERSION else lines + version_line(version)


def answer_to_write(written: Written) -> Response:
    """The version of what was written; workerd reads the status alone."""
    lines = version_line(written.version)
    if written.superseded_by is not None:
        lines += b"Tandem-Superseded-By: %b\r\n" % written.superseded_by.hex().encode()
    return Response(200, b"", lines)


def answer_to_listing(listing: Listing, page: ListPage) -> Response:
    """One page of names; metadata is JSON text within JSON, which workerd parses."""
    body: dict[str, object] = {
        "keys": [_entry_of(listed) for listed in page.names],
        "list_complete": page.next_after is None,
    }
    if page.next_after is not None:
        body["cursor"] = encode_cursor(listing.namespace, listing.prefix, page.next_after)
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    headers = [JSON, *_STALE] if page.stale else [JSON]
    return Response(200, text.encode(), headers)


def _entry_of(listed: ListedName) -> Mapping[str, str | int]:
    entry: dict[str, str | int] = {"name": listed.name}
    if listed.expires_at_s:
        entry["expiration"] = listed.expires_at_s
    if listed.metadata:
        entry["metadata"] = listed.metadata.decode()
    return entry


def _value_of(record: Record) -> bytes | memoryview:
    if record.value_size <= _COPIED_BYTES_MAX:
        return record.value
    return memoryview(record.envelope)[: record.value_size]
