"""What an error of PostgreSQL, or of the way to it, means for what was asked."""

from typing import Final

import asyncpg

from tandem.core.reply import Failed, Reason

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""All that a question to a database may end in, beside faults of ours."""

_AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # the server is stopping, or a person ended the connection
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,  # it has become a standby
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
_AGAIN: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)


class CommitFailed(Exception):
    """COMMIT went wrong: what was in the transaction may be in the database or not."""


class LostCommits(Exception):
    """The database shows less than this process has acknowledged."""

    def __init__(self, shown: int, acknowledged: int) -> None:
        super().__init__(
            f"the database shows transaction {shown}, but {acknowledged} was acknowledged: an old"
            " copy took its place, or a standby that was not synchronous"
        )


def is_away(error: BaseException) -> bool:
    """Whether the connection is of no use any more."""
    return isinstance(error, _AWAY)


def may_run_again(error: BaseException) -> bool:
    """Whether the transaction came to nothing for no fault of its own."""
    return isinstance(error, _AGAIN)


def failed(error: BaseException) -> Failed:
    """The answer to what ended in `error`."""
    if isinstance(error, TimeoutError):
        return Failed(Reason.UNREACHABLE, "PostgreSQL did not answer in time")
    text = str(error).partition("\n")[0] or type(error).__name__
    if is_away(error):
        return Failed(Reason.UNREACHABLE, f"PostgreSQL is away: {text}")
    return Failed(Reason.ERROR, f"PostgreSQL: {text}")
