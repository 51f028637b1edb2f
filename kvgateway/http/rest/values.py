"""The operations on one key: its value as raw bytes both ways, or as a form with metadata."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import RestError, success
from kvgateway.http.rest.form import Content, boundary_of, read_form
from kvgateway.http.rest.room import Room
from kvgateway.http.session import min_version_of, version_header
from kvgateway.service import settled
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.request import (
    Delete,
    Put,
    Read,
    Write,
    check_expiration,
    check_metadata,
    check_value_size,
)
from tandem.runtime.clock import Clock
from tandem.runtime.httpd import Response

NO_METADATA: Final = b"null"


class Values:
    """Reading, writing and deleting one key."""

    def __init__(self, clock: Clock, room: Room) -> None:
        self._clock = clock
        self._room = room

    async def read(self, call: Call) -> Response:
        """The value, bare; its expiration stands in a header."""
        record = await self._record(call)
        headers = [(b"content-type", b"application/octet-stream"), version_header(record.version)]
        if record.expires_at_s:
            headers.append((b"expiration", b"%d" % record.expires_at_s))
        return Response(200, memoryview(record.envelope)[record.value_start :], headers)

    async def metadata(self, call: Call) -> Response:
        """The metadata of a value; null when it has none."""
        record = await self._record(call)
        shown = msgspec.Raw(record.metadata or NO_METADATA)
        return success(shown, headers=(version_header(record.version),))

    async def write(self, call: Call) -> Response:
        """Stores a value, in place of whatever was there."""
        name = call.name()
        expiration = call.number("expiration", "expires_at_s")
        ttl_s = call.number("expiration_ttl", "expiration_ttl_s")
        check_expiration(expiration, ttl_s, self._now_s())  # before a body is taken in for nothing
        namespace = await call.writable_namespace()
        boundary = boundary_of(call.request)
        with self._room.share() as share:
            chunks = share.counted(call.request.body)
            if boundary is None:
                content = Content(await _value(chunks, call.request.content_length))
            else:
                content = await read_form(chunks, boundary)
            check_metadata(content.metadata)
            expires_at_s = check_expiration(expiration, ttl_s, self._now_s())
            key = Key(namespace.id, name)
            return await _written(call, Put(key, content.value, content.metadata, expires_at_s))

    async def delete(self, call: Call) -> Response:
        """Deletes a key; one that is not there is deleted all the same."""
        return await _written(call, Delete(await call.key()))

    async def _record(self, call: Call) -> Record:
        read = Read(await call.key(), min_version_of(call.request))
        [outcome] = call.caller.keyvalues.read((read,))
        record = (await settled(outcome)).record
        if record is None or not record.live_at(self._clock.now_us() / 1e6):
            raise RestError(404, 10009, "key not found")
        return record

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000


async def _value(chunks: AsyncIterator[bytes], length: int | None) -> bytes:
    """A body that is the value itself."""
    size = length or 0
    check_value_size(size)
    pieces: list[bytes] = []
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        check_value_size(received)
        pieces.append(chunk)
    return b"".join(pieces)


async def _written(call: Call, write: Write) -> Response:
    [outcome] = call.caller.keyvalues.write((write,))
    written = await settled(outcome)
    return success({}, headers=(version_header(written.version),))
