"""The bodies that one process writes ahead of their records, and who takes them over."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tandem.backends.file.ahead_file import AheadFile

_FILES_MAX: Final = 64
"""Arriving, or waiting for a disk that hangs; further bodies are written when they are whole."""
_THREADS_MAX: Final = 4


class AheadFiles:
    """Those of one home; `new_path` names a new file, `prepare` makes the directory."""

    def __init__(self, new_path: Callable[[], Path], prepare: Callable[[], None]) -> None:
        self._new_path = new_path
        self._prepare = prepare
        self._threads = ThreadPoolExecutor(_THREADS_MAX, thread_name_prefix="bodies-ahead")
        self._under_way: set[AheadFile] = set()
        self._whole: dict[bytes, AheadFile] = {}
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[AheadFile | None]:
        """A file for a body that is to come. Unless a leg has taken it, it is gone afterwards."""
        if len(self._under_way) >= _FILES_MAX or self._closed:
            yield None
            return
        file = AheadFile(self._new_path(), self._submit, self._prepare, self._whole)
        self._under_way.add(file)
        try:
            yield file
        finally:
            file.release()
            self._submit(partial(self._under_way.discard, file))  # behind its own work

    def taken(self, digest: bytes) -> AheadFile | None:
        """The file with the envelope of this MD5; whoever takes it drops it in the end."""
        return self._whole.pop(digest, None)

    def close(self) -> None:
        """Ends the threads after what they are doing; what is left, a later start removes."""
        self._closed = True
        self._threads.shutdown(cancel_futures=True)

    def _submit(self, work: Callable[[], None]) -> None:
        if not self._closed:
            self._threads.submit(work)
