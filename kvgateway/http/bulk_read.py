"""Bulk get: many keys in one JSON body, their values in one JSON object. Both doors have it.

The object is built value by value, so that it never needs the memory of all of them twice.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple, NoReturn

from kvgateway.http.target import whole_number
from kvgateway.outcome import settled
from kvgateway.service import KeyValues
from tandem.core.key import Key, check_name
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.request import Read, ReadResult, check_cache_ttl
from tandem.errors import TandemError
from tandem.runtime.httpd import HttpError

KEYS_MAX: Final = 100
BODY_BYTES_MAX: Final = 1 << 20
"""100 keys of 512 bytes, each of them escaped as JSON allows, and as much again."""
_AT_ONCE: Final = 10
"""Reads under way: so many values of full size are in memory before their total is known."""
_STREAMED_BYTES_MIN: Final = 256 << 10


class BulkRead(NamedTuple):
    """What a bulk get asks for."""

    reads: Sequence[Read]
    """In the order of the request, each key once."""
    as_json: bool
    with_metadata: bool
    with_expiration: bool = False
    """Beside the metadata."""


class _Entry(NamedTuple):
    name: str
    record: Record | None


class BulkValues(NamedTuple):
    """What the reads of a bulk get found."""

    entries: Sequence[_Entry]
    size: int
    stale: bool
    unconfirmed: bool


def bulk_read_of(body: bytes, namespace: str) -> BulkRead:
    """The bulk get in a request's body; raises InvalidArgument or HttpError."""
    fields = _object(body)
    names = fields.get("keys")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise HttpError(400, b'"keys" must be a list of strings')
    if not names:
        raise HttpError(400, b"You must request a minimum of 1 key")
    if len(names) > KEYS_MAX:
        raise HttpError(400, b"You can request a maximum of %d keys" % KEYS_MAX)
    kind = fields.get("type", "text")
    if kind not in ("text", "json"):
        shown = _as_sent(kind).encode("ascii", "backslashreplace")
        raise HttpError(400, b'"%b" is not a valid type. Use "json" or "text"' % shown)
    ttl = fields.get("cacheTtl")
    cache_ttl_s = check_cache_ttl(
        None if ttl is None else whole_number(_as_sent(ttl), "cache_ttl_s")
    )
    for name in names:
        check_name(name)
    reads = [Read(Key(namespace, name), cache_ttl_s=cache_ttl_s) for name in dict.fromkeys(names)]
    return BulkRead(reads, kind == "json", fields.get("withMetadata") is True)


async def read_in_bulk(keyvalues: KeyValues, bulk: BulkRead) -> BulkValues:
    """All values; the first error if any key has one, since null would mean "not found"."""
    entries: list[_Entry] = []
    size = 0
    stale = unconfirmed = False
    for start in range(0, len(bulk.reads), _AT_ONCE):
        reads = bulk.reads[start : start + _AT_ONCE]
        results = await _results(keyvalues.read(reads))
        found = [_Entry(r.key.name, s.record) for r, s in zip(reads, results, strict=True)]
        size += sum(entry.record.value_size for entry in found if entry.record is not None)
        if size > VALUE_BYTES_MAX:
            raise HttpError(413, b"Total size of request exceeds the limit of 25MB")
        entries += found
        stale = stale or any(result.stale for result in results)
        unconfirmed = unconfirmed or any(result.unconfirmed for result in results)
    if bulk.as_json:
        _check_json(entries)
    return BulkValues(entries, size, stale, unconfirmed)


def body_of(
    found: BulkValues, bulk: BulkRead, around: tuple[bytes, bytes] = (b"", b"")
) -> bytes | AsyncIterator[bytes]:
    """The JSON object, null for what is not there, between the two texts of `around`."""
    pieces = chain(around[:1], _pieces(found.entries, bulk), around[1:])
    return b"".join(pieces) if found.size < _STREAMED_BYTES_MIN else _streamed(pieces)


async def _results(
    outcomes: Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]],
) -> Sequence[ReadResult]:
    """All results once every read is over; raises the first error."""
    futures = [outcome for outcome in outcomes if isinstance(outcome, asyncio.Future)]
    await asyncio.gather(*futures, return_exceptions=True)
    return [await settled(outcome) for outcome in outcomes]


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise HttpError(400, b"The body of a bulk get must be a JSON object")
    return fields


def _as_sent(field: Any) -> str:  # noqa: ANN401 - that is what JSON holds
    """What an error quotes: a string itself, all else as JSON has it."""
    return field if isinstance(field, str) else json.dumps(field)


def _check_json(entries: Sequence[_Entry]) -> None:
    for _, record in entries:
        if record is None:
            continue
        try:
            json.loads(_text_of(record), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise HttpError(
                400, b"At least one of the requested keys corresponds to a non-json value"
            ) from None


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _text_of(record: Record) -> str:
    return str(memoryview(record.envelope)[: record.value_size], "utf-8", "replace")


def _pieces(entries: Sequence[_Entry], bulk: BulkRead) -> Iterator[bytes]:
    """The object, one entry a piece. A JSON value stands in it as it was stored: parsing it and
    writing it again would change large numbers."""
    separator = "{"
    for name, record in entries:
        front = f"{separator}{_quoted(name)}:"
        separator = ","
        if record is None:
            yield f"{front}null".encode()
            continue
        value = _text_of(record) if bulk.as_json else _quoted(_text_of(record))
        if not bulk.with_metadata:
            yield f"{front}{value}".encode()
            continue
        metadata = record.metadata.decode() or "null"
        expiring = bulk.with_expiration and record.expires_at_s
        expiration = f',"expiration":{record.expires_at_s}' if expiring else ""
        yield f'{front}{{"value":{value},"metadata":{metadata}{expiration}}}'.encode()
    yield b"}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
