"""What an error of SQLite means for the transaction that it met, and for the file."""

import sqlite3


class CommitFailed(Exception):
    """COMMIT went wrong: what was in the transaction may be in the file or not."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error
        self.disk_full = error.sqlite_errorcode == sqlite3.SQLITE_FULL


def is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, so that nothing read from it can be trusted."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def ends_transaction(connection: sqlite3.Connection, error: Exception) -> bool:
    """Whether other rows of the transaction cannot go on: SQLite rolled it back, or ought to."""
    return not connection.in_transaction or is_damage(error)
