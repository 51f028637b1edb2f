"""Large values as files under names that are never used twice; a file never changes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

from kvsp.rules import checked
from kvsp.sqlite.new_blob import NewBlob
from tandem.core.limits import PIECE_BYTES
from tandem.core.reply import Failed
from tandem.runtime.stable_files import sync_directory

_AT_ONCE: Final = 4
"""Pieces that go to a thread, or come from it, together."""


class BlobDirectory:
    """One cluster's blobs, in folders by the first two digits of their names."""

    def __init__(self, path: Path, threads_max: int) -> None:
        self._path = path
        self._made: set[Path] = set()
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix="blobs")

    def prepare(self) -> None:
        """Makes the directory, durably."""
        self._path.mkdir(parents=True, exist_ok=True)
        for folder in (self._path.parent, self._path.parent.parent):
            sync_directory(folder)

    def exists(self, blob: str) -> bool:
        """Whether the blob is there."""
        return self._file(blob).exists()

    async def holds(self, blob: str) -> bool:
        """Whether the blob is there; does not block."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.exists, blob)

    async def write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> None:
        """Makes the blob, each piece as it comes; it is on stable storage afterwards.

        Raises OSError, OtherBytes when they do not match `digest`, and what `pieces` raises: no
        blob is left then.
        """
        run = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        file = NewBlob(self._file(blob))
        adding = run(self._begin, file)
        whole = False
        try:
            waiting: list[bytes | memoryview] = []
            async for piece in pieces:
                waiting.append(piece)
                if len(waiting) == _AT_ONCE:
                    await adding
                    adding, waiting = run(file.add, waiting), []
            await adding
            await run(file.add, waiting)
            await run(file.finish, digest)
            whole = True
        finally:
            if not whole:
                adding.cancel()  # what it raises, nobody asks any more
                self._threads.submit(file.drop)

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """The blob's bytes, if they are those of `digest`; None without one. Raises OSError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, blob, digest)

    async def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """The blob's bytes, unchecked, PIECE_BYTES at most at a time. Raises OSError."""
        run = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        start = 0
        while some := await run(self._pieces, blob, start):
            for piece in some:
                yield piece
                start += len(piece)

    async def remove(self, blobs: list[str]) -> None:
        """Removes the blobs that are there. Raises OSError."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._remove, blobs)

    def close(self) -> None:
        """Ends the threads, after what they are doing."""
        self._threads.shutdown()

    def _file(self, blob: str) -> Path:
        return self._path / blob[:2] / blob

    def _begin(self, file: NewBlob) -> None:
        folder = file.path.parent
        if folder not in self._made:
            folder.mkdir(exist_ok=True)
            sync_directory(self._path)
            self._made.add(folder)
        file.begin()

    def _read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        try:
            return checked(self._file(blob).read_bytes(), digest)
        except FileNotFoundError:
            return None

    def _pieces(self, blob: str, start: int) -> list[bytes]:
        """Opens the file each time: so none stays open when nobody asks for the next pieces."""
        with self._file(blob).open("rb", buffering=0) as file:
            file.seek(start)
            return list(takewhile(bool, (file.read(PIECE_BYTES) for _ in range(_AT_ONCE))))

    def _remove(self, blobs: list[str]) -> None:
        for blob in blobs:
            self._file(blob).unlink(missing_ok=True)
