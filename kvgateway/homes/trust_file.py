"""The machine's trust in its homes on disk, shared by all workers and kept over restarts."""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kvgateway.homes.trust import Trust
from tandem.runtime import logs, stable_files

_LOG = logs.get("trust_file")
_UNREADABLE: Final = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,  # an infinite time
    RecursionError,  # too deep for JSON
)
_OTHERS_S: Final = 0.02


class DiskTrustFile:
    """One small file, replaced whole by one worker at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def exchange(self, mine: Trust, namespaces: frozenset[str] = frozenset()) -> None:
        """Merges what is on disk into `mine`, drops what crawls of all `namespaces` have outlived,
        and writes `mine` where that differs. While another worker is at it nothing is written: a
        worker that waits is silent, and this one comes again. Raises OSError when the disk refuses;
        `mine` has what is on it all the same.

        A file that cannot be read is logged and counts as empty: what this worker knows replaces
        it. Whoever starts a gateway asks `is_damaged` first.
        """
        await self._exchanged(mine, namespaces)

    async def enter(self, mine: Trust) -> None:
        """The same, and returns once what is on disk has all of `mine`, however long others are at
        it."""
        while not await self._exchanged(mine, frozenset()):  # noqa: ASYNC110 - they are processes
            await asyncio.sleep(_OTHERS_S)

    async def _exchanged(self, mine: Trust, namespaces: frozenset[str]) -> bool:
        """Whether both are alike now."""
        text, merged = self._merge_into(mine, namespaces)
        if merged == text:
            return True
        with self._lock() as locked:
            text, merged = self._merge_into(mine, namespaces)
            if locked and merged != text:
                await stable_files.replace_on_thread(self._path, merged.encode())
            return locked or merged == text

    def _merge_into(self, mine: Trust, namespaces: frozenset[str]) -> tuple[str, str]:
        """What is on disk, and what should be."""
        text = self._read_into(mine)
        mine.settle(namespaces)
        return text, mine.to_json()

    def is_damaged(self) -> bool:
        """Whether there is a file that cannot be read: any home may lack any write then."""
        try:
            self._read()
        except FileNotFoundError:
            return False
        except _UNREADABLE as error:
            _LOG.error("trust_file_unreadable", path=str(self._path), error=repr(error))
            return True
        return False

    def _read_into(self, mine: Trust) -> str:
        try:
            text, known = self._read()
            mine.merge(known)
            return text
        except FileNotFoundError:
            return ""
        except _UNREADABLE as error:
            _LOG.error("trust_file_unreadable", path=str(self._path), error=repr(error))
            return ""

    def _read(self) -> tuple[str, Trust]:
        text = self._path.read_text()
        return text, Trust.from_json(text)

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Whether the file may be written within."""
        with self._path.with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
