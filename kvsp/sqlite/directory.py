"""The data directory: one process at a time, one ring for ever, every file where it belongs.

First start makes one file for each cluster and then marks them all. A start that finds a marked
file and misses another one refuses to work: an empty cluster in the place of a lost one would
answer "no such key" for data that was acknowledged.
"""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from kvsp.identity import Meta, identities, ring_mistake
from kvsp.sqlite.schema import create, read_meta
from tandem.core.cluster_life import next_incarnation
from tandem.errors import ConfigurationError
from tandem.runtime.passing import may_pass
from tandem.runtime.randomness import Entropy
from tandem.runtime.stable_files import sync_directory

_SUFFIX: Final = ".sqlite"


class DataDirectory:
    """Holds the lock of the directory from `claim` to `release`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def file(self, cluster: str) -> Path:
        """Where a cluster's rows are."""
        return self._path / f"{cluster}{_SUFFIX}"

    def blobs(self, cluster: str) -> Path:
        """Where a cluster's large values are."""
        return self._path / "blobs" / cluster

    def claim(self) -> None:
        """Makes the directory; ConfigurationError when another process works in it."""
        self._path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path / "LOCK", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            raise ConfigurationError([f"{self._path} is in use by process {owner}"]) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def release(self) -> None:
        """Lets another process in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self, clusters: int, entropy: Entropy) -> list[Meta]:
        """What the files of all clusters say, made at first start.

        ConfigurationError names every file that is foreign, missing or of another ring.
        """
        wanted = identities(clusters)
        names = [identity.cluster for identity in wanted]
        mistakes: list[str] = []
        metas = {name: self._read(name, mistakes) for name in self._present()}
        complete = any(meta.ring_complete for meta in metas.values() if meta)
        mistakes += [
            mistake
            for name, meta in metas.items()
            if meta
            and (mistake := ring_mistake(name, meta.identity, wanted[0], f"{name}{_SUFFIX}"))
        ]
        missing = [identity for identity in wanted if metas.get(identity.cluster) is None]
        if complete:
            for identity in missing:
                file = self.file(identity.cluster)
                if not any(mistake.startswith(str(file)) for mistake in mistakes):
                    lost = "empty" if file.exists() else "missing"
                    mistakes.append(f"{file} is {lost}, and its data lost with it: bring it back")
        if mistakes:
            raise ConfigurationError(mistakes)
        for identity in missing:
            create(self.file(identity.cluster), identity, next_incarnation(entropy.token(16).hex()))
        if not complete:
            self._mark_complete(names)
        return [self._read_now(name) for name in names]

    def _present(self) -> list[str]:
        files = sorted(self._path.glob(f"*{_SUFFIX}"))
        return [file.name.removesuffix(_SUFFIX) for file in files]

    def _read(self, cluster: str, mistakes: list[str]) -> Meta | None:
        """What the file says; None for one whose making was cut short, which holds nothing."""
        file = self.file(cluster)
        if file.stat().st_size == 0 and not file.with_name(file.name + "-wal").exists():
            return None
        try:
            return self._read_now(cluster)
        except ConfigurationError as error:
            mistakes += [f"{file} {mistake}" for mistake in error.mistakes]
        except sqlite3.Error as error:
            mistake = f"{file} cannot be read: {error}"
            if may_pass(error):
                raise ConfigurationError([mistake], passes=True) from error
            mistakes.append(mistake)
        return None

    def _read_now(self, cluster: str) -> Meta:
        with closing(sqlite3.connect(self.file(cluster), isolation_level=None)) as connection:
            return read_meta(connection)

    def _mark_complete(self, names: Sequence[str]) -> None:
        """A file that says so must not be there without the others, so their names go first."""
        sync_directory(self._path)
        for name in names:
            with closing(sqlite3.connect(self.file(name), isolation_level=None)) as connection:
                connection.execute("pragma synchronous = full")
                connection.execute("update meta set ring_complete = 1")
