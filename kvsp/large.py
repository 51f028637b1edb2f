"""Large values of one cluster: written before their rows, read after them, collected if unused.

A blob's name is entered into blob_pending before the blob is written. The row's transaction
consumes the entry and fails if it is gone; the collector takes entries that nobody consumed, and
only then their blobs. So a blob in use is never removed and a blob without use never stays. A
replaced blob lives an hour longer, for readers that hold its name, and for copies of the directory
that are being made; minutes on a full disk, which it may be that fills it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import Final, Protocol, cast

from kvsp.answers import Absent, InBlob
from kvsp.limits import ClusterLimits
from kvsp.rules import LargeRow
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import NO_VERSION
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy
from tandem.wire.storage_codec import LargePut

OTHER_BYTES: Final = Failed(Reason.ERROR, "the bytes that came do not match their digest")
_COLLECT_EVERY_S: Final = 60.0
_COLLECT_AGAIN_S: Final = 5.0
"""After a failure: on a full disk each transaction has a chance, and others need what it frees."""
_log = logs.get("kvsp.blobs")


class Blobs(Protocol):
    """How an engine keeps them: under names that are never used twice, and never changed."""

    async def enter(self, blob: str, put: LargePut) -> WriteReply | None:
        """Enters the name; instead, the put's outcome where it is known without its bytes."""
        ...

    async def write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> Failed | None:
        """Makes the blob, each piece as it comes, on stable storage; why not, if not: then no blob
        is left, or one for the collector. What `pieces` raises is raised."""
        ...

    async def holds(self, blob: str) -> bool:
        """Whether it is there; True where that cannot be told now: who asks for its bytes then is
        told why not."""
        ...

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """Its bytes, if they are those of `digest`; None without one."""
        ...

    def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """Its bytes, unchecked, PIECE_BYTES at most at a time. Raises OSError."""
        ...

    async def collect(self) -> Failed | None:
        """Removes those that have been unused for `UNUSED_BLOB_LIFE_US`; on a disk of ours without
        room, those that were replaced `REPLACED_BLOB_LIFE_FULL_US` ago."""
        ...


class LargeValues:
    """Writes, loads and collects; `write_row` puts a row into one of the cluster's transactions."""

    def __init__(
        self, blobs: Blobs, write_row: Callable[[LargeRow], Awaitable[object]], entropy: Entropy,
        limits: ClusterLimits,
    ) -> None:  # fmt: skip
        self._blobs = blobs
        self._write_row = write_row
        self._entropy = entropy
        self._at_once = asyncio.Semaphore(limits.large_at_once_max)
        self._waiting = 0
        self._waiting_max = limits.large_waiting_max
        self.holds = blobs.holds
        self.pieces = blobs.pieces
        self.collect = blobs.collect

    async def write(self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]) -> WriteReply:
        """Stores the put with its envelope in a blob, unless its row is newer already: `pieces` are
        not all asked for then. What they raise is raised, and nothing is stored."""
        if self._waiting >= self._waiting_max:
            return Failed(Reason.OVERLOADED, "too many large values wait")
        self._waiting += 1
        try:
            async with self._at_once:
                return await self._write(put, pieces)
        finally:
            self._waiting -= 1

    async def _write(self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]) -> WriteReply:
        blob = self._entropy.token(16).hex()
        outcome = await self._blobs.enter(blob, put)
        if outcome is None:
            outcome = await self._blobs.write(blob, pieces, put.record.digest)
        if outcome is None:
            outcome = cast(WriteReply, await self._write_row(LargeRow(put, blob)))
        return outcome

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope, checked; a row without its blob is a missing record.

        It is one without a floor: there is a row, so nobody deleted the key for good.
        """
        found = await self._blobs.read(large.blob, large.digest)
        return Absent(NO_VERSION) if found is None else found

    async def collect_on(self) -> None:
        """Collects from time to time, until cancelled."""
        failed: Failed | None = None
        while True:
            await asyncio.sleep(_COLLECT_AGAIN_S if failed else _COLLECT_EVERY_S)
            failed = await self._blobs.collect()
            if failed is not None:
                _log.warning("blobs_not_collected", error=str(failed))
