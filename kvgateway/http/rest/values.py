"""The operations on one key: its value as raw bytes both ways, or as a form with metadata."""

from functools import partial
from typing import NamedTuple

import msgspec

from kvgateway.access.body_room import BodyRoom, Share
from kvgateway.http.bodies import ArrivingValue, value_of
from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import RestError, success
from kvgateway.http.rest.failures import NO_KEY
from kvgateway.http.rest.form import Content, boundary_of, read_form
from kvgateway.http.session import doubts, min_version_of, version_header
from kvgateway.outcome import settled
from tandem.backends.port import Ahead
from tandem.core.key import Key
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.record import Record
from tandem.core.request import (
    Delete,
    Put,
    Read,
    Write,
    Written,
    check_expiration,
    check_metadata,
)
from tandem.runtime.clock import Clock, now_s
from tandem.runtime.httpd import Request, Response
from tandem.runtime.httpd.message import Headers


class _Found(NamedTuple):
    record: Record
    headers: Headers


class Values:
    """Reading, writing and deleting one key."""

    def __init__(self, clock: Clock, room: BodyRoom) -> None:
        self._now_s = partial(now_s, clock)
        self._room = room

    async def read(self, call: Call) -> Response:
        """The value, bare; its expiration stands in a header."""
        found = await self._found(call)
        record = found.record
        headers = [(b"Content-Type", b"application/octet-stream"), *found.headers]
        if record.expires_at_s:
            headers.append((b"expiration", b"%d" % record.expires_at_s))
        return Response(200, memoryview(record.envelope)[: record.value_size], headers)

    async def metadata(self, call: Call) -> Response:
        """The metadata of a value; null when it has none."""
        found = await self._found(call)
        return success(msgspec.Raw(found.record.metadata or b"null"), headers=found.headers)

    async def write(self, call: Call) -> Response:
        """Stores a value, in place of whatever was there."""
        name = call.name()
        ttl_s = call.number("expiration_ttl", "expiration_ttl_s")
        expiration = None if ttl_s is not None else call.number("expiration", "expires_at_s")
        check_expiration(expiration, ttl_s, self._now_s())  # before a body is taken in for nothing
        above = min_version_of(call.request)
        namespace = await call.writable_namespace()
        key = Key(namespace.id, name)
        with call.admitted_body(namespace) as ahead:
            content = await self._content(call.request, ahead)
            check_metadata(content.metadata)
            expires_at_s = check_expiration(expiration, ttl_s, self._now_s())
            put = Put(key, content.value, content.metadata, expires_at_s, above)
            return await _written(call, put)

    async def delete(self, call: Call) -> Response:
        """Deletes a key; one that is not there is deleted all the same."""
        return await _written(call, Delete(await call.key(), min_version_of(call.request)))

    async def _found(self, call: Call) -> _Found:
        read = Read(await call.key(), min_version_of(call.request))
        [outcome] = call.caller.keyvalues.read((read,))
        result = await settled(outcome)
        record, headers = result.record, doubts(result)
        if record is None:
            raise RestError(404, NO_KEY, "key not found", headers)
        return _Found(record, [version_header(record.version), *headers])

    async def _content(self, request: Request, ahead: Ahead | None) -> Content:
        boundary = boundary_of(request)
        if boundary is None:
            return Content(await value_of(request, self._room, ahead))
        with Share(self._room) as share:
            announced = min(request.content_length or 0, VALUE_BYTES_MAX)
            value = ArrivingValue(share, announced, ahead)
            return await read_form(request.body, boundary, share, value)


async def _written(call: Call, write: Write) -> Response:
    [outcome] = call.caller.keyvalues.write((write,))
    written: Written = await settled(outcome)
    return success({}, headers=(version_header(written.version),))
