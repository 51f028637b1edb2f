"""Large values as rows of pieces, under names that are never used twice; a piece never changes."""

import asyncio
import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Sequence,
)
from functools import partial
from typing import Final, cast

from kvsp.large import OTHER_BYTES
from kvsp.postgres.large import collect_some, enter
from kvsp.postgres.reach import Reach
from kvsp.postgres.transaction import Step
from kvsp.rules import checked
from tandem.core.limits import PIECE_BYTES
from tandem.core.reply import Failed, WriteReply
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.wire.storage_codec import LargePut

_AT_ONCE: Final = 4
"""Pieces of one statement, which is a commit."""
_END: Final = b""
"""The last piece of a whole blob."""
_ADD: Final = "insert into blob_piece select $1, * from unnest($2::integer[], $3::bytea[])"
_HOLDS: Final = "select exists (select 1 from blob_piece where blob = $1 and number = 0)"
_READ: Final = "select bytes from blob_piece where blob = $1 order by number"
_READ_SOME: Final = """
select bytes from blob_piece where blob = $1 and number >= $2 order by number limit $3
"""
_DROP: Final = "delete from blob_piece where blob = $1"
_log = logs.get("kvsp.blobs")


class PieceBlobs:
    """See `Blobs`; `one` puts a step into one of the cluster's transactions."""

    def __init__(
        self, reach: Reach, one: Callable[[Step], Awaitable[object]], clock: Clock
    ) -> None:
        self._reach = reach
        self._one = one
        self._clock = clock

    async def enter(self, blob: str, put: LargePut) -> WriteReply | None:
        """See `Blobs`."""
        return cast(WriteReply | None, await self._one(partial(enter, blob=blob, put=put)))

    async def write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> Failed | None:
        """See `Blobs`."""
        whole = False
        try:
            failed = await self._write(blob, pieces, digest)
            whole = failed is None
            return failed
        finally:
            if not whole:
                await self._drop(blob)

    async def _write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> Failed | None:
        md5 = hashlib.md5(usedforsecurity=False)
        number = 0
        async for group in _groups(pieces):
            for piece in group:
                await asyncio.to_thread(md5.update, piece)
            failed = await self._add(blob, number, group)
            if failed is not None:
                return failed
            number += len(group)
        return await self._add(blob, number, [_END]) if md5.digest() == digest else OTHER_BYTES

    async def holds(self, blob: str) -> bool:
        """See `Blobs`."""
        return bool(await self._reach.ask(lambda c: c.fetchval(_HOLDS, blob)))

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """See `Blobs`."""
        rows = await self._reach.ask(lambda c: c.fetch(_READ, blob))
        if isinstance(rows, Failed):
            return rows
        return checked(b"".join(row[0] for row in rows), digest) if rows else None

    async def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """See `Blobs`."""
        number = 0
        while True:
            for piece in await self._some(blob, number):
                if piece == _END:
                    return
                yield piece
                number += 1

    async def _some(self, blob: str, number: int) -> Sequence[bytes]:
        rows = await self._reach.ask(lambda c: c.fetch(_READ_SOME, blob, number, _AT_ONCE))
        if isinstance(rows, Failed):
            raise OSError(str(rows))
        if not rows:
            raise FileNotFoundError(f"blob {blob} ends before its end")
        return [row[0] for row in rows]

    async def collect(self) -> Failed | None:
        """See `Blobs`."""
        more: bool | Failed = True
        while more is True:
            more = await self._reach.ask(partial(collect_some, now_us=self._clock.now_us()))
        return more or None

    async def _add(self, blob: str, number: int, pieces: Sequence[bytes]) -> Failed | None:
        numbers = range(number, number + len(pieces))
        added = await self._reach.ask(lambda c: c.execute(_ADD, blob, numbers, pieces))
        return added if isinstance(added, Failed) else None

    async def _drop(self, blob: str) -> None:
        """If that fails, the collector does it, since no row will name the blob."""
        dropped = await self._reach.ask(lambda c: c.execute(_DROP, blob))
        if isinstance(dropped, Failed):
            _log.info("blob_left_to_collector", blob=blob, error=str(dropped))


async def _groups(pieces: AsyncIterable[bytes | memoryview]) -> AsyncIterator[list[bytes]]:
    """The same bytes in full pieces, `_AT_ONCE` at a time: what comes may be cut as small as it
    likes."""
    buffer = bytearray()
    size = PIECE_BYTES * _AT_ONCE
    async for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield _cut(bytes(buffer[:size]))
            del buffer[:size]
    if buffer:
        yield _cut(bytes(buffer))


def _cut(whole: bytes) -> list[bytes]:
    return [whole[at : at + PIECE_BYTES] for at in range(0, len(whole), PIECE_BYTES)]
