"""Large values as rows of pieces, under names that are never used twice; a piece never changes."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Final

from kvsp.postgres.errors import FAILURES, failed
from kvsp.postgres.places import Places
from kvsp.rules import checked
from tandem.core.limits import PIECE_BYTES
from tandem.core.reply import Failed
from tandem.runtime import logs

_AT_ONCE: Final = 4
"""Pieces of one statement, which is a commit."""
_END: Final = b""
"""The last piece of a whole blob."""
_log = logs.get("kvsp.blobs")


class BlobPieces:
    """One cluster's blobs."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> bool:
        """Makes the blob, each piece as it comes; False when they do not match `digest`.

        Raises one of FAILURES and what `pieces` raises: no row will name the blob then.
        """
        md5 = hashlib.md5(usedforsecurity=False)
        number, whole = 0, False
        try:
            async for group in _groups(pieces):
                for piece in group:
                    await asyncio.to_thread(md5.update, piece)
                await self._add(blob, number, group)
                number += len(group)
            whole = md5.digest() == digest
            if whole:
                await self._add(blob, number, [_END])
            return whole
        finally:
            if not whole:
                await self._drop(blob)

    async def holds(self, blob: str) -> bool:
        """Whether the blob is there. Raises one of FAILURES."""
        async with self._places.one() as connection:
            return bool(
                await connection.fetchval(
                    "select exists (select 1 from blob_piece where blob = $1 and number = 0)", blob
                )
            )

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """The blob's bytes, if they are those of `digest`; None without one. Raises one of
        FAILURES."""
        async with self._places.one() as connection:
            rows = await connection.fetch(
                "select bytes from blob_piece where blob = $1 order by number", blob
            )
        return checked(b"".join(row[0] for row in rows), digest) if rows else None

    async def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """The blob's bytes, unchecked, PIECE_BYTES at most at a time. Raises OSError."""
        number = 0
        while True:
            for piece in await self._some(blob, number):
                if piece == _END:
                    return
                yield piece
                number += 1

    async def _some(self, blob: str, number: int) -> Sequence[bytes]:
        try:
            async with self._places.one() as connection:
                rows = await connection.fetch(
                    "select bytes from blob_piece where blob = $1 and number >= $2"
                    " order by number limit $3",
                    blob, number, _AT_ONCE,
                )  # fmt: skip
        except FAILURES as error:
            raise OSError(str(failed(error))) from error
        if not rows:
            raise FileNotFoundError(f"blob {blob} ends before its end")
        return [row[0] for row in rows]

    async def _add(self, blob: str, number: int, pieces: Sequence[bytes]) -> None:
        numbers = list(range(number, number + len(pieces)))
        async with self._places.one() as connection:
            await connection.execute(
                "insert into blob_piece select $1, * from unnest($2::integer[], $3::bytea[])",
                blob, numbers, pieces,
            )  # fmt: skip

    async def _drop(self, blob: str) -> None:
        """If that fails, the collector does it, since no row will name the blob."""
        try:
            async with self._places.one() as connection:
                await connection.execute("delete from blob_piece where blob = $1", blob)
        except FAILURES as error:
            _log.info("blob_left_to_collector", blob=blob, error=str(error))


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
