"""Whether a cluster's database can be reached, as it was last asked, and what it must show.

Nothing that another KVSP could change is remembered here, but for one number: the last transaction
that this process has acknowledged. A database that shows less has lost something, and is not served
any more before a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from kvsp.desk import Desk
from kvsp.postgres.connecting import Connection, Database
from kvsp.postgres.errors import FAILURES, LostCommits, failed, may_run_again
from kvsp.postgres.places import Places
from kvsp.postgres.transaction import Work
from tandem.core.reply import Failed, Reason
from tandem.runtime import logs

_Answer = TypeVar("_Answer")
Question = Callable[[Connection], Awaitable[_Answer]]
"""May be asked again of another connection."""

_ATTEMPTS: Final = 3
_OTHER_PLACES: Final = 3
"""Connections for listings, pieces of large values, and what operators ask."""
_log = logs.get("kvsp.cluster")


class Reach:
    """The way of one cluster to its database; its desk shuts when the database has lost commits."""

    def __init__(self, database: Database, readers: int, desk: Desk[Work]) -> None:
        self.writing = Places(database, 1)
        self.reading = Places(database, readers)
        self.others = Places(database, _OTHER_PLACES)
        self.acknowledged = 0
        """The number of the last transaction that was."""
        self._desk = desk
        self._away: Failed | None = None

    @property
    def failure(self) -> Failed | None:
        """Why nobody is served, or nobody was when the database was last asked."""
        return self._desk.shut or self._away

    async def ask(self, question: Question[_Answer]) -> _Answer | Failed:
        """An answer to what stands in no line."""
        if self._desk.shut is not None:
            return self._desk.shut
        return await self.answer(self.others, question)

    async def answer(self, places: Places, question: Question[_Answer]) -> _Answer | Failed:
        """An answer through one of `places`. Raises only what is none of FAILURES."""
        try:
            answer = await _tried(places, question)
        except LostCommits as error:
            return self._lost(error)
        except FAILURES as error:
            return self._met(error)
        if self._away is not None:
            _log.info("cluster_reached_again", cluster=self._desk.cluster)
            self._away = None
        return answer

    async def aclose(self) -> None:
        """Lets go of the database."""
        await asyncio.gather(
            *(places.aclose() for places in (self.writing, self.reading, self.others))
        )

    def _met(self, error: BaseException) -> Failed:
        answer = failed(error)
        if answer.reason is Reason.UNREACHABLE:
            if self._away is None:
                cluster, failure = self._desk.cluster, answer.detail
                _log.error("cluster_unreachable", cluster=cluster, failure=failure)
            self._away = answer
        return answer

    def _lost(self, error: LostCommits) -> Failed:
        lost = Failed(Reason.ERROR, str(error))
        if self._desk.shut is None:
            _log.error("cluster_lost_commits", cluster=self._desk.cluster, error=str(error))
            self._desk.shut_for_good(lost)
        return lost


async def _tried(places: Places, question: Question[_Answer]) -> _Answer:
    """Asked again a few times when it came to nothing for no fault of its own. Raises one of
    FAILURES, and what `question` raises."""
    for _ in range(_ATTEMPTS - 1):
        try:
            async with places.one() as connection:
                return await question(connection)
        except FAILURES as error:
            if not may_run_again(error):
                raise
    async with places.one() as connection:
        return await question(connection)
