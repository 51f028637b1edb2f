"""LMDB as memory that several processes share: never synced, its space reserved at once."""

import os
from pathlib import Path
from typing import Final

import lmdb

_DATABASES_MAX: Final = 4
_READERS_MAX: Final = 512


def reserve(directory: Path, map_bytes: int) -> None:
    """Makes the memory in an empty directory, with room for all that it may ever hold.

    Raises OSError when there is less: a map with holes ends its users with SIGBUS, later.
    """
    try:
        _open(directory, map_bytes).close()
    except lmdb.Error as error:
        raise OSError(0, str(error)) from error
    with (directory / "data.mdb").open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, map_bytes)


def open_reserved(directory: Path) -> lmdb.Environment:
    """One process's view of what `reserve` has made."""
    return _open(directory, (directory / "data.mdb").stat().st_size)


def _open(directory: Path, map_bytes: int) -> lmdb.Environment:
    return lmdb.open(
        str(directory),
        map_size=map_bytes,
        max_dbs=_DATABASES_MAX,
        max_readers=_READERS_MAX,
        max_spare_txns=2,
        writemap=True,
        sync=False,
        metasync=False,
        map_async=True,
        meminit=False,
    )
