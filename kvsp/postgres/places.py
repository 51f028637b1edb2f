"""A bounded number of connections, each made when it is needed and given up when it is broken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from kvsp.postgres.connecting import Connection, Database, let_go
from kvsp.postgres.errors import is_away

IDLE_S: Final = 60.0
"""After that long without use a connection may be dead without a word: a router forgets it."""


class Places:
    """Whoever finds no place free waits for one, in order."""

    def __init__(self, database: Database, places: int) -> None:
        self._database = database
        self._free = asyncio.Semaphore(places)
        self._idle: list[tuple[Connection, float]] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """A connection outside any transaction. Raises one of FAILURES; what is raised inside
        gives the connection up, unless it is none the worse for it."""
        async with self._free:
            connection = self._taken() or await self._database.connect()
            sound = False
            try:
                yield connection
                sound = True
            except asyncpg.PostgresError as error:
                sound = not is_away(error)
                raise
            finally:
                if sound and not connection.is_closed() and not connection.is_in_transaction():
                    self._idle.append((connection, _now_s()))
                else:
                    connection.terminate()

    async def aclose(self) -> None:
        """Lets go of the connections that are free."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(let_go(connection) for connection, _ in idle))

    def _taken(self) -> Connection | None:
        while self._idle:
            connection, since_s = self._idle.pop()
            if _now_s() - since_s < IDLE_S and not connection.is_closed():
                return connection
            connection.terminate()
        return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()
