"""A large value as it arrives: its pieces go into one buffer, which becomes its envelope, and its
MD5 is computed on a thread meanwhile, since 25 MiB of it take 40 ms.
"""

import asyncio
import hashlib
import io
from collections.abc import Sequence
from typing import Final

from tandem.core.limits import MIB

_HASHED_AT_ONCE_BYTES: Final = MIB


class Intake:
    """Takes in one value (a `tandem.core.envelope.Draft` once it is `whole`).

    Args:
        room: how many bytes are reserved for the value and what is put behind it; what comes beyond
            makes the buffer grow, which costs time.
    """

    def __init__(self, room: int) -> None:
        # BytesIO writes in place into bytes that nobody else holds, and gives them away uncopied.
        self._buffer = io.BytesIO(bytes(room))
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._unhashed: list[bytes] = []
        self._unhashed_bytes = 0
        self._hashing: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many bytes have come."""
        return self._size

    async def add(self, piece: bytes) -> None:
        """Takes in the next piece; waits when hashing is a whole turn behind."""
        self._buffer.write(piece)
        self._size += len(piece)
        self._unhashed.append(piece)
        self._unhashed_bytes += len(piece)
        if self._unhashed_bytes >= _HASHED_AT_ONCE_BYTES:
            await self._hash()

    async def whole(self) -> None:
        """No more comes: returns when all of it is hashed."""
        await self._hash()
        await self._hashed()

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        """All that came with `trailer` behind it, and the MD5 of both."""
        assert self._hashing is None and not self._unhashed, "it is not whole yet"
        self._buffer.write(trailer)
        self._buffer.truncate()
        self._md5.update(trailer)
        return self._buffer.getvalue(), self._md5.digest()

    async def _hash(self) -> None:
        await self._hashed()
        pieces, self._unhashed, self._unhashed_bytes = self._unhashed, [], 0
        loop = asyncio.get_running_loop()
        self._hashing = loop.run_in_executor(None, self._update, pieces)

    async def _hashed(self) -> None:
        if self._hashing is not None:
            await self._hashing
            self._hashing = None

    def _update(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._md5.update(piece)
