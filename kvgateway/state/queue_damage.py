"""A repair queue whose file is damaged: put out of the way, and what it held found by a crawl.

Nobody knows which writes the queue held, so both homes may lack some. `DAMAGED` stands beside the
queue until that has been noted durably: a start that dies in between forgets nothing.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.passing import may_pass
from tandem.runtime.stable_files import sync_directory

_LOG = logs.get("queue")
DAMAGED: Final = ".damaged"
NOTED: Final = ".was-damaged"
_WITH_IT: Final = ("-wal", "-shm")
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def set_aside(queue: Path) -> None:
    """Moves the queue's file away if it is damaged; blocking. ConfigurationError when it cannot be
    looked at.

    Nobody else may have it open.
    """
    why = _damage(queue) if queue.exists() else ""
    if not why:
        return
    _LOG.error("repair_queue_damaged", why=why, effect="both homes are behind until a crawl")
    for suffix in _WITH_IT:
        queue.with_name(queue.name + suffix).unlink(missing_ok=True)
    _rename(queue, _beside(queue, DAMAGED))


def is_missed(queue: Path) -> bool:
    """Whether a damaged queue was set aside, and that has not been noted."""
    return _beside(queue, DAMAGED).exists()


def note(queue: Path) -> None:
    """Both homes are known to lack what the damaged queue held; its file is left for a person."""
    _rename(_beside(queue, DAMAGED), _beside(queue, NOTED))


def unusable(queue: Path, error: sqlite3.Error) -> ConfigurationError:
    """Why a gateway cannot start with this file."""
    return ConfigurationError([f"the repair queue {queue}: {error}"], passes=may_pass(error))


def _damage(queue: Path) -> str:
    try:
        with closing(sqlite3.connect(queue)) as connection:
            [said] = connection.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in _DAMAGE:
            return str(error)
        raise unusable(queue, error) from error
    return "" if said == "ok" else str(said)


def _beside(queue: Path, suffix: str) -> Path:
    return queue.with_name(queue.name + suffix)


def _rename(old: Path, new: Path) -> None:
    old.replace(new)
    sync_directory(new.parent)
