"""Many keys in one request: checked whole, then written in groups of bounded size."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from kvgateway.http.rest.call import Call
from kvgateway.http.rest.documents import decoded
from kvgateway.http.rest.envelope import success
from kvgateway.http.rest.pairs import delete_of, put_of, read_elements
from kvgateway.http.rest.room import Room
from kvgateway.http.rest.values import NO_METADATA
from kvgateway.http.several import Shown, check_form, check_names, read_several
from kvgateway.service import KeyValues, settled
from tandem.core.limits import BATCH_OPERATIONS_MAX, MIB, VALUE_BYTES_MAX
from tandem.core.request import Put, Write
from tandem.errors import TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.httpd import Response

GROUP_BYTES: Final = 8 * MIB
"""A group is closed when it has this many bytes of values, or BATCH_OPERATIONS_MAX writes."""

_NAMES_BYTES_MAX: Final = 1 * MIB


class _Wanted(msgspec.Struct, rename="camel"):
    keys: list[str]
    type: str | None = None
    with_metadata: bool | None = None


class Bulk:
    """The operations on many keys."""

    def __init__(self, clock: Clock, room: Room) -> None:
        self._clock = clock
        self._room = room

    async def put(self, call: Call) -> Response:
        """Stores up to 10,000 values."""
        namespace = await call.writable_namespace()
        now_s = self._clock.now_us() // 1_000_000
        with self._room.share() as share:
            chunks = share.counted(call.request.body)
            write_of = partial(put_of, namespace=namespace.id, now_s=now_s)
            puts = await read_elements(chunks, call.request.content_length, write_of)
            return await _all_written(call.caller.keyvalues, puts)

    async def delete(self, call: Call) -> Response:
        """Deletes up to 10,000 keys; those that are not there are deleted all the same."""
        namespace = await call.writable_namespace()
        with self._room.share() as share:
            chunks = share.counted(call.request.body)
            write_of = partial(delete_of, namespace=namespace.id)
            deletes = await read_elements(chunks, call.request.content_length, write_of)
            return await _all_written(call.caller.keyvalues, deletes)

    async def get(self, call: Call) -> Response:
        """Reads up to 100 values."""
        namespace = await call.namespace()
        wanted = decoded(await call.request.body.read(_NAMES_BYTES_MAX), _Wanted)
        names, form = check_names(wanted.keys), check_form(wanted.type)
        with self._room.share() as share:
            share.take(VALUE_BYTES_MAX)
            found = await read_several(
                call.caller.keyvalues, namespace.id, names, form, self._now_s
            )
            show = _entry if wanted.with_metadata else _value
            return success({"values": {name: show(shown) for name, shown in found.items()}})

    def _now_s(self) -> float:
        return self._clock.now_us() / 1e6


def _value(shown: Shown | None) -> object:
    return None if shown is None else shown.value


def _entry(shown: Shown | None) -> Mapping[str, object] | None:
    if shown is None:
        return None
    metadata = msgspec.Raw(shown.record.metadata or NO_METADATA)
    entry: dict[str, object] = {"value": shown.value, "metadata": metadata}
    if shown.record.expires_at_s:
        entry["expiration"] = shown.record.expires_at_s
    return entry


async def _all_written(keyvalues: KeyValues, writes: Iterable[Write]) -> Response:
    """What became of each key.

    Raises the first error when nothing at all was written. A group that fails as a whole is the
    last one tried: what stopped it would hold up each of the others just the same.
    """
    left = deque(writes)
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
            await settled(outcome)
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
