"""A large value as it arrives: its pieces go into one buffer, which becomes its envelope, and its
MD5 is computed on a thread meanwhile, since 25 MiB of it take 35 ms.
"""

import asyncio
import hashlib
import io
from typing import Final, Protocol

from tandem.core.envelope import TRAILER_BYTES_MAX
from tandem.core.limits import MIB, VALUE_BYTES_MAX

BEHIND_BYTES_MAX: Final = 4 * MIB
"""How far hashing may be behind what has come, until its sender is held back."""
_SMALL_ROOM: Final = MIB
_WHOLE_ROOM: Final = VALUE_BYTES_MAX + TRAILER_BYTES_MAX
_HASHED_AT_ONCE_BYTES: Final = MIB
"""A thread that hashes takes the interpreter's lock once for so many bytes: it has to wait for it
each time, and would hash a fifth more slowly if it took it for each piece."""


class Copy(Protocol):
    """Takes the same bytes on their way to somewhere else; it never waits and never raises."""

    def add(self, piece: bytes | memoryview) -> None:
        """The next piece of the value, which nobody changes any more."""
        ...

    def let_go(self) -> None:
        """No piece more: those that are still held are dropped as soon as may be."""
        ...

    def end(self, digest: bytes) -> None:
        """The MD5 of the value with what was put behind it."""
        ...


class _Room(io.BytesIO):
    """BytesIO lends out the bytes that nobody else holds, and gives them away uncopied."""

    def close(self) -> None:
        """Nothing to do: its memory goes with it. A value that is given up is found by the garbage
        collector together with what is lent of it, which Python 3.13 would report as an error."""


class Intake:
    """Takes in one value (a `tandem.core.envelope.Draft` once it is `whole`).

    Args:
        room: how many bytes are reserved for the value and what is put behind it; what comes beyond
            moves to a place for more. Reserved memory is not used before something is in it.
        copy: who gets everything too.
    """

    def __init__(self, room: int, copy: Copy | None = None) -> None:
        self._reserve(room)
        self._size = 0
        self._hashed = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashing: asyncio.Future[None] | None = None
        self._copy = copy
        self._lent = False

    def __len__(self) -> int:
        """How many bytes have come."""
        return self._size

    async def add(self, piece: bytes) -> None:
        """Takes in the next piece; waits when hashing is far behind."""
        end = self._size + len(piece)
        self._make_room(end)
        self._view[self._size : end] = piece
        await self._came(piece)

    def place(self, size: int) -> memoryview:
        """Where the last `size` bytes may be put instead, after which `landed` is told. The room
        must be what the value and its trailer fill: it cannot be made smaller while `copy` has
        parts of it."""
        self._lent = True
        return self._view[self._size : self._size + size]

    async def landed(self, size: int) -> None:
        """Takes in the next bytes, which lie in their place."""
        await self._came(self._view[self._size : self._size + size])

    async def whole(self) -> None:
        """No more comes: returns when all of it is hashed. If a copy had a part of the place then,
        the envelope would be made beside it."""
        if self._copy is not None:
            self._copy.let_go()
        if self._hashing is not None:
            await self._hashing
        if self._size > self._hashed:
            await self._hash(least=1)
        self._hashing = None

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        """All that came with `trailer` behind it, and the MD5 of both."""
        assert self._hashed == self._size, "it is not whole yet"
        end = self._size + len(trailer)
        assert end == self._room or not self._lent, "it is not what there was room for"
        self._make_room(end)
        self._view[self._size : end] = trailer
        self._md5.update(trailer)
        self._view.release()
        if end < self._room:
            self._buffer.truncate(end)
        envelope, digest = self._buffer.getvalue(), self._md5.digest()
        if self._copy is not None:
            self._copy.end(digest)
        return envelope, digest

    def _reserve(self, room: int) -> None:
        self._buffer = _Room(bytes(room))
        self._view = self._buffer.getbuffer()
        self._room = room

    def _make_room(self, size: int) -> None:
        """Moves what has come, once or twice in the life of a value: a buffer that grows with it
        would be copied again and again, or lie in memory twice."""
        if size <= self._room:
            return
        held = self._view[: self._size]
        self._reserve(_SMALL_ROOM if size <= _SMALL_ROOM else max(size, _WHOLE_ROOM))
        self._view[: self._size] = held

    async def _came(self, piece: bytes | memoryview) -> None:
        if not piece:
            return
        self._size += len(piece)
        if self._copy is not None:
            self._copy.add(piece)
        while (behind := self._size - self._hashed) >= _HASHED_AT_ONCE_BYTES:
            if self._hashing is None or self._hashing.done():
                self._hashing = self._hash(least=_HASHED_AT_ONCE_BYTES)
            if behind <= BEHIND_BYTES_MAX:
                return
            await self._hashing

    def _hash(self, least: int) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(None, self._hash_on, least)

    def _hash_on(self, least: int) -> None:
        """Hashes what has come, as long as there are at least so many bytes."""
        while (unhashed := self._size - self._hashed) >= least:
            end = self._hashed + min(unhashed, _HASHED_AT_ONCE_BYTES)
            self._md5.update(self._view[self._hashed : end])
            self._hashed = end
