"""What keeps a program from starting now, and goes by itself: a disk without room, above all."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tandem.errors import ConfigurationError
from tandem.runtime.settings import MISTAKEN_STATUS

PASSING_STATUS: Final = 1
"""What a program ends with that may start when it is tried again."""
_SQLITE: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,  # the shared memory of its log needs room too
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
}
_SYSTEM: Final = {errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.ENOSPC}


def may_pass(error: Exception) -> bool:
    """Whether an error of SQLite, or of the system, may go by itself."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE
    return isinstance(error, OSError) and error.errno in _SYSTEM


def status_of(error: ConfigurationError) -> int:
    """What a program ends with that could not start."""
    return PASSING_STATUS if error.passes else MISTAKEN_STATUS


@contextmanager
def start_needs(file: Path) -> Iterator[None]:
    """An OSError within says that a program cannot start for this file: ConfigurationError."""
    try:
        yield
    except OSError as error:
        mistake = f"{file} cannot be used: {error.strerror or error}"
        raise ConfigurationError([mistake], passes=may_pass(error)) from error
