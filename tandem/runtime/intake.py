"""A large value as it arrives: its pieces go into one buffer, which becomes its envelope, and its
MD5 is computed on a thread meanwhile, since 25 MiB of it take 35 ms.
"""

import asyncio
import hashlib
import io
from collections import deque
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

    def add(self, piece: bytes) -> None:
        """The next piece of the value."""
        ...

    def end(self, digest: bytes) -> None:
        """The MD5 of the value with what was put behind it."""
        ...


class Intake:
    """Takes in one value (a `tandem.core.envelope.Draft` once it is `whole`).

    Args:
        room: how many bytes are reserved for the value and what is put behind it; what comes beyond
            moves to a place for more. Reserved memory is not used before something is in it.
        copy: who gets everything too.
    """

    def __init__(self, room: int, copy: Copy | None = None) -> None:
        # BytesIO writes in place into bytes that nobody else holds, and gives them away uncopied.
        self._buffer = io.BytesIO(bytes(room))
        self._room = room
        self._size = 0
        self._hashed = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._unhashed: deque[bytes] = deque()
        self._hashing: asyncio.Future[None] | None = None
        self._copy = copy

    def __len__(self) -> int:
        """How many bytes have come."""
        return self._size

    async def add(self, piece: bytes) -> None:
        """Takes in the next piece; waits when hashing is far behind."""
        if not piece:
            return
        self._size += len(piece)
        if self._size > self._room and self._room < _WHOLE_ROOM:
            self._move()
        self._buffer.write(piece)
        self._unhashed.append(piece)
        if self._copy is not None:
            self._copy.add(piece)
        if self._hashing is None or self._hashing.done():
            self._hashing = self._hash()
        while self._size - self._hashed > BEHIND_BYTES_MAX:
            await self._hashing
            self._hashing = self._hash()

    async def whole(self) -> None:
        """No more comes: returns when all of it is hashed."""
        if self._hashing is not None:
            await self._hashing
        if self._unhashed:  # it came when the thread had just looked for more
            await self._hash()
        self._hashing = None

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        """All that came with `trailer` behind it, and the MD5 of both."""
        assert self._hashing is None and not self._unhashed, "it is not whole yet"
        self._buffer.write(trailer)
        self._buffer.truncate()
        self._md5.update(trailer)
        envelope, digest = self._buffer.getvalue(), self._md5.digest()
        if self._copy is not None:
            self._copy.end(digest)
        return envelope, digest

    def _move(self) -> None:
        """Once or twice in the life of a value: a buffer that grows with it would be copied again
        and again, or lie in memory twice."""
        held = self._buffer.getbuffer()[: self._buffer.tell()]
        self._room = _SMALL_ROOM if self._size <= _SMALL_ROOM else _WHOLE_ROOM
        self._buffer = io.BytesIO(bytes(self._room))
        self._buffer.write(held)

    def _hash(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(None, self._hash_on)

    def _hash_on(self) -> None:
        """Hashes what has come until there is no more."""
        while pieces := self._next():
            self._md5.update(pieces)
            self._hashed += len(pieces)

    def _next(self) -> bytes:
        """The next bytes to be hashed; none when all are."""
        pieces: list[bytes] = []
        size = 0
        while self._unhashed and size < _HASHED_AT_ONCE_BYTES:
            pieces.append(self._unhashed.popleft())
            size += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
