"""Bulk get: many keys in one JSON body, their values in one JSON object. Both doors have it.

The values are held once: what they are in JSON, up to six times as long, is made in pieces as the
client takes it, and other requests have their turn between two pieces.
"""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from kvgateway.access.body_room import BodyRoom, Share
from kvgateway.http.json_text import is_json
from kvgateway.http.target import whole_number
from kvgateway.outcome import settled
from kvgateway.service import KeyValues
from tandem.core.key import Key, check_name
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.request import Read, ReadResult, check_cache_ttl
from tandem.errors import TandemError
from tandem.runtime.httpd import HttpError, Response
from tandem.runtime.httpd.message import Headers

KEYS_MAX: Final = 100
BODY_BYTES_MAX: Final = 1 << 20
"""100 keys of 512 bytes, each of them escaped as JSON allows, and as much again."""
_AT_ONCE: Final = 10
"""Reads under way."""
_PIECE_BYTES: Final = 256 << 10
"""Of values, as they are stored; an answer with less of them is one piece."""


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


async def read_in_bulk(keyvalues: KeyValues, bulk: BulkRead, room: BodyRoom) -> BulkValues:
    """All values; the first error if any key has one, since null would mean "not found".

    They take of the `room` while they arrive and are looked at: Overloaded when there is none.
    """
    entries: list[_Entry] = []
    size = 0
    stale = unconfirmed = False
    with Share(room) as share:

        def count(result: ReadResult) -> None:
            nonlocal size
            if result.record is not None:
                size += result.record.value_size
                if size > VALUE_BYTES_MAX:
                    raise HttpError(413, b"Total size of request exceeds the limit of 25MB")
                share.count(result.record.value_size)

        for start in range(0, len(bulk.reads), _AT_ONCE):
            reads = bulk.reads[start : start + _AT_ONCE]
            results = await _results(keyvalues.read(reads), count)
            entries += [_Entry(r.key.name, s.record) for r, s in zip(reads, results, strict=True)]
            stale = stale or any(result.stale for result in results)
            unconfirmed = unconfirmed or any(result.unconfirmed for result in results)
        if bulk.as_json:
            await _check_json(entries)
    return BulkValues(entries, size, stale, unconfirmed)


def answer_to_bulk(
    found: BulkValues, bulk: BulkRead, headers: Headers, around: tuple[bytes, bytes] = (b"", b"")
) -> Response:
    """The JSON object, null for what is not there, between the two texts of `around`."""
    pieces = chain(around[:1], _pieces(found.entries, bulk), around[1:])
    if found.size < _PIECE_BYTES:
        return Response(200, b"".join(pieces), headers)
    return Response(200, _streamed(pieces), headers, held=found.size)


async def _results(
    outcomes: Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]],
    count: Callable[[ReadResult], None],
) -> Sequence[ReadResult]:
    """All results once every read is over; raises the first error. Each is counted as it comes;
    what that raises ends the other reads."""
    futures = [outcome for outcome in outcomes if isinstance(outcome, asyncio.Future)]
    refused: list[TandemError | HttpError] = []

    def came(result: ReadResult) -> None:
        try:
            count(result)
        except (TandemError, HttpError) as error:
            refused.append(error)
            for future in futures:
                future.cancel()

    def ended(future: asyncio.Future[ReadResult]) -> None:
        if not (future.cancelled() or future.exception() or refused):
            came(future.result())

    for future in futures:
        future.add_done_callback(ended)
    for outcome in outcomes:
        if isinstance(outcome, ReadResult) and not refused:
            came(outcome)
    await asyncio.gather(*futures, return_exceptions=True)
    if refused:
        raise refused[0]
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


async def _check_json(entries: Sequence[_Entry]) -> None:
    for _, record in entries:
        if record is not None and not is_json(_value_of(record)):
            raise HttpError(
                400, b"At least one of the requested keys corresponds to a non-json value"
            )
        await asyncio.sleep(0)


def _value_of(record: Record) -> memoryview:
    return memoryview(record.envelope)[: record.value_size]


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
        back = ""
        if bulk.with_metadata:
            metadata = record.metadata.decode() or "null"
            expiring = bulk.with_expiration and record.expires_at_s
            expiration = f',"expiration":{record.expires_at_s}' if expiring else ""
            front += '{"value":'
            back = f',"metadata":{metadata}{expiration}}}'
        yield from _in_pieces(front, record, back, bulk.as_json)
    yield b"}"


def _in_pieces(front: str, record: Record, back: str, as_json: bool) -> Iterator[bytes]:
    """One value between two texts; a small one in one piece."""
    value, quote = _value_of(record), "" if as_json else '"'
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    before = front + quote
    for start in range(0, len(value), _PIECE_BYTES):
        end = start + _PIECE_BYTES
        text = decoder.decode(value[start:end], final=end >= len(value))
        after = quote + back if end >= len(value) else ""
        yield f"{before}{text if as_json else _quoted(text)[1:-1]}{after}".encode()
        before = ""
    if not value:
        yield f"{before}{quote}{back}".encode()


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)
