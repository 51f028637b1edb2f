"""How a database is reached: what a connection is set to, and how often it is tried."""

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from kvsp.postgres.errors import FAILURES
from tandem.core.backoff import delay_s
from tandem.runtime.randomness import Entropy

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
"""How long one statement may take, and how long a transaction may stand still in between: so long
does a KVSP that stands still in a transaction hold up the others, or the one after the other."""
LOCK_S: Final = 5.0
"""How long a statement waits for the transaction of another KVSP."""
_UNHEARD_S: Final = 20.0
"""After that long the server gives up whoever does not take what it sends."""
_STOP_S: Final = 2.0
_PAUSE_FIRST_S: Final = 0.05
_PAUSE_MOST_S: Final = 2.0


def session_settings() -> dict[str, str]:
    """What every statement relies on, as the server shows it: durations in milliseconds."""
    answer_ms = f"{ANSWER_S * 1000:.0f}"
    return {
        "search_path": "tandem",
        "default_transaction_isolation": "read committed",
        "idle_in_transaction_session_timeout": answer_ms,
        "statement_timeout": answer_ms,
        "lock_timeout": f"{LOCK_S * 1000:.0f}",
        "client_min_messages": "warning",  # what comes with a commit says that it failed
    }


class NotReached(ConnectionError):
    """It was tried a moment ago, and is not tried at this one."""


class Database:
    """One database; many places share what is known of the way to it."""

    def __init__(self, dsn: str, entropy: Entropy) -> None:
        self._dsn = dsn
        self._entropy = entropy
        self._attempts = 0
        self._not_before_s = 0.0
        self._error = ""

    async def connect(self) -> Connection:
        """A new connection to the primary. Raises one of FAILURES, at once while it pauses after an
        attempt that failed."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before_s:
            raise NotReached(self._error)
        try:
            connection = await self._connect()
        except FAILURES as error:
            self._attempts += 1
            self._error = str(error) or type(error).__name__
            self._not_before_s = loop.time() + self._pause_s()
            raise
        self._attempts = 0
        return connection

    async def _connect(self) -> Connection:
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_S,
                command_timeout=ANSWER_S,
                target_session_attrs=SessionAttribute.read_write,
                server_settings={
                    **session_settings(),
                    "application_name": "kvsp",
                    "jit": "off",
                    "tcp_user_timeout": f"{_UNHEARD_S * 1000:.0f}",
                },
            )
        except asyncpg.InternalClientError as error:
            raise NotReached(f"no server of this address takes writes: {error}") from error

    def _pause_s(self) -> float:
        return delay_s(
            self._attempts,
            first_s=_PAUSE_FIRST_S,
            most_s=_PAUSE_MOST_S,
            unit_random=self._entropy.uniform(0.0, 1.0),
        )


async def let_go(connection: Connection) -> None:
    """Says goodbye, or hangs up."""
    try:
        await connection.close(timeout=_STOP_S)
    except FAILURES:
        connection.terminate()
