"""Many keys in one request: checked whole, then written in groups of bounded size."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from kvgateway.access.body_room import BodyRoom, Share
from kvgateway.http.bulk_read import BODY_BYTES_MAX, answer_to_bulk, bulk_read_of, read_in_bulk
from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import JSON, success
from kvgateway.http.rest.pairs import delete_of, put_of, read_elements
from kvgateway.http.session import doubts
from kvgateway.outcome import settled
from kvgateway.service import KeyValues
from tandem.core.limits import BATCH_OPERATIONS_MAX, MIB
from tandem.core.namespace import Namespace
from tandem.core.request import Put, Write, Written
from tandem.errors import TandemError
from tandem.runtime.clock import Clock, now_s
from tandem.runtime.httpd import Response

GROUP_BYTES: Final = 8 * MIB
"""A group is closed when it has this many bytes of values, or BATCH_OPERATIONS_MAX writes."""

_FRONT: Final = b'{"success":true,"errors":[],"messages":[],"result":{"values":'
_END: Final = b"}}"


class Bulk:
    """The operations on many keys."""

    def __init__(self, clock: Clock, room: BodyRoom) -> None:
        self._now_s = partial(now_s, clock)
        self._room = room

    async def put(self, call: Call) -> Response:
        """Stores up to 10,000 values."""
        namespace = await call.writable_namespace()
        return await self._all(
            call, namespace, lambda raw: put_of(raw, namespace.id, self._now_s())
        )

    async def delete(self, call: Call) -> Response:
        """Deletes up to 10,000 keys; those that are not there are deleted all the same."""
        namespace = await call.writable_namespace()
        return await self._all(call, namespace, lambda raw: delete_of(raw, namespace.id))

    async def _all(
        self, call: Call, namespace: Namespace, write_of: Callable[[bytes], Write]
    ) -> Response:
        with call.admitted_body(namespace), Share(self._room) as share:
            writes = await read_elements(call.request, share, write_of)
            return await _all_written(call.caller.keyvalues, writes)

    async def get(self, call: Call) -> Response:
        """Reads up to 100 values."""
        namespace = await call.namespace()
        body = await call.request.body.read(BODY_BYTES_MAX)
        bulk = bulk_read_of(body, namespace.id)._replace(with_expiration=True)
        found = await read_in_bulk(call.caller.keyvalues, bulk, self._room)
        return answer_to_bulk(found, bulk, [JSON, *doubts(found)], (_FRONT, _END))


async def _all_written(keyvalues: KeyValues, left: deque[Write]) -> Response:
    """What became of each key. What has been written leaves `left`, and its memory with it.

    Raises the first error when nothing at all was written. A group that fails as a whole is the
    last one tried: what stopped it would hold up each of the others just the same.
    """
    done = 0
    failed: list[str] = []
    reason: TandemError | None = None
    for group in _groups(left):
        errors = await _group_errors(keyvalues, group)
        failed.extend(write.key.name for write, error in zip(group, errors, strict=True) if error)
        done += errors.count(None)
        reason = reason or next(filter(None, errors), None)
        if None not in errors:
            failed.extend(write.key.name for write in left)
            break
    if reason is not None and not done:
        raise reason
    return success({"successful_key_count": done, "unsuccessful_keys": failed})


async def _group_errors(
    keyvalues: KeyValues, group: Sequence[Write]
) -> Sequence[TandemError | None]:
    errors: list[TandemError | None] = []
    for outcome in keyvalues.write(group):
        try:
            _: Written = await settled(outcome)
        except TandemError as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors


def _groups(left: deque[Write]) -> Iterator[Sequence[Write]]:
    """Takes the writes away in groups, so that what is written is held no longer."""
    while left:
        group: list[Write] = []
        size = 0
        while left and size < GROUP_BYTES and len(group) < BATCH_OPERATIONS_MAX:
            write = left.popleft()
            size += len(write.value) if isinstance(write, Put) else 0
            group.append(write)
        yield group
