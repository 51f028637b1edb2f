"""Large values as files under names that are never used twice; a file never changes."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kvsp.sqlite.reading import checked
from tandem.core.reply import Failed


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
            _sync_folder(folder)

    def exists(self, blob: str) -> bool:
        """Whether the blob is there."""
        return self._file(blob).exists()

    async def write(self, blob: str, data: bytes) -> None:
        """Makes the blob; it is on stable storage afterwards. Raises OSError."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write, blob, data)

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """The blob's bytes, if they are those of `digest`; None without one. Raises OSError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, blob, digest)

    async def remove(self, blobs: list[str]) -> None:
        """Removes the blobs that are there. Raises OSError."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._remove, blobs)

    def close(self) -> None:
        """Ends the threads, after what they are doing."""
        self._threads.shutdown()

    def _file(self, blob: str) -> Path:
        return self._path / blob[:2] / blob

    def _write(self, blob: str, data: bytes) -> None:
        file = self._file(blob)
        self._make_folder(file.parent)
        try:
            with file.open("xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            _sync_folder(file.parent)
        except OSError:
            file.unlink(missing_ok=True)  # a full disk needs the space at once
            raise

    def _make_folder(self, folder: Path) -> None:
        if folder not in self._made:
            folder.mkdir(exist_ok=True)
            _sync_folder(self._path)
            self._made.add(folder)

    def _read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        try:
            return checked(self._file(blob).read_bytes(), digest)
        except FileNotFoundError:
            return None

    def _remove(self, blobs: list[str]) -> None:
        for blob in blobs:
            self._file(blob).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
