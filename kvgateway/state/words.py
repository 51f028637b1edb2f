"""Numbers that all processes of a machine share, outside of LMDB: changing them needs no space.

Each is an aligned machine word, which one process changes and others read whole. The supervisor
changes CLOCK_BOUND_US and LEFT_OVER, and the holder of LMDB's write lock the others; who has just
let go of it changes REFUSED_SETTLED.
"""

import enum
import mmap
from pathlib import Path

from tandem.core.version import Version


class Word(enum.IntEnum):
    """Which number."""

    LAST_HLC = 0
    """The last clock reading that was minted."""
    CLOCK_BOUND_US = 1
    """No version is minted at or above this time."""
    NEXT_PLACE = 2
    """The next place in the queue of entries."""
    SPILLS = 3
    """How many pinned entries had to be dropped."""
    SPILLS_SETTLED = 4
    """How many of them need not be asked for any more."""
    LEFT_OVER = 5
    """How many intents of dead workers are not in the repair queue yet."""
    REFUSED = 6
    """How many times there was no room for news, so that what memory holds may be old."""
    REFUSED_SETTLED = 7
    """As of how many of them memory was emptied since."""
    EMPTIED_US = 8
    """When memory was last emptied, in the homes' time; 0 when it never was."""
    EMPTIED_AT_US = 9
    """The same by the monotonic clock."""


class Words:
    """The numbers, mapped from a file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._words = memoryview(self._map).cast("Q")

    @staticmethod
    def create(path: Path) -> None:
        """Makes the file, all numbers 0."""
        path.write_bytes(bytes(mmap.PAGESIZE))

    def __getitem__(self, word: Word) -> int:
        return self._words[word]

    def __setitem__(self, word: Word, value: int) -> None:
        self._words[word] = value

    def add(self, word: Word, count: int = 1) -> int:
        """Raises a number; returns what it was."""
        before = self._words[word]
        self._words[word] = before + count
        return before

    def close(self) -> None:
        """Lets go of the file."""
        self._words.release()
        self._map.close()


def last_minted_us(words: Words) -> int:
    """The time of the last version minted on this machine; 0 for none."""
    return Version.of(words[Word.LAST_HLC], bytes(8)).time_us
