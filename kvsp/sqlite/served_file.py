"""When the file of a cluster is served, and what is answered while it is not.

After a failed COMMIT, and when the file or its log is not in its place any more, every connection
closes. The file, and no other in its place, serves again once it was opened anew, shows the last
acknowledged transaction and, unless the disk was merely full, has had its log copied into it: a
commit that follows a lost page of the log would be lost with it. A damaged file is not served again
before a restart.

A log without a name is not lost: SQLite copies it into its file when the last connection closes.
"""

import asyncio
import sqlite3
from typing import NamedTuple

from kvsp.desk import Desk
from kvsp.identity import Meta
from kvsp.sqlite.errors import CommitFailed, is_damage
from kvsp.sqlite.lives import Lives
from kvsp.sqlite.opened import Opened, Opener
from kvsp.sqlite.transaction import Work
from tandem.backends.sqlite_place import FileReplaced
from tandem.core.backoff import delay_s
from tandem.core.reply import Failed, Reason
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_REOPEN_FIRST_S = 0.05
_REOPEN_MOST_S = 2.0
_log = logs.get("kvsp.cluster")


class _Distrust(NamedTuple):
    """Why nobody knows what the file holds, and what opens it again."""

    why: str
    log_must_move: bool


class ServedFile:
    """One cluster's file; its desk is shut while it does not serve."""

    def __init__(
        self, opener: Opener, meta: Meta, lives: Lives, entropy: Entropy, desk: Desk[Work]
    ) -> None:
        self._opener = opener
        self._meta = meta
        self._name = meta.identity.cluster
        self._lives = lives
        self._entropy = entropy
        self._desk = desk
        self._distrust: _Distrust | None = None
        self._number: int | None = None
        """Which file has been served: another one in its place is not, before a restart."""
        self.opened: Opened | None = None
        self.serving = asyncio.Event()
        self.commits = meta.commits
        """The number of the last transaction that was acknowledged."""

    @property
    def served(self) -> Opened | Failed:
        """The file, or why it is not served now."""
        if self._desk.shut is not None:
            return self._desk.shut
        if self.opened is None or not self.serving.is_set():
            return Failed(Reason.ERROR, "its file is being opened again")
        return self.opened

    async def open(self, *, log_must_move: bool) -> None:
        """Opens the file and serves it. Raises sqlite3.Error."""
        self.opened = await self._opener.open(
            self._meta, self._lives.possible, commits_min=self.commits, number=self._number,
            log_must_move=log_must_move,
        )  # fmt: skip
        self._number = self.opened.number
        self._lives.is_in(self.opened.incarnation)
        self.commits = self.opened.transactions.commits
        self.serving.set()

    def commit_failed(self, error: CommitFailed) -> Failed:
        """The answer to everything in that transaction; `trusted` sees to the file."""
        self._distrust = _Distrust(f"the commit failed: {error}", not error.disk_full)
        self.met(error.error)
        return Failed(Reason.ERROR, self._distrust.why)

    async def trusted(self) -> None:
        """Returns once the file is as the last answers said: when that is in doubt it is closed,
        and opened again until it can be served, or never."""
        distrust, self._distrust = self._distrust, None
        if distrust is not None:
            await self._open_again(*distrust)

    async def _open_again(self, why: str, log_must_move: bool) -> None:
        _log.error("cluster_closed", cluster=self._name, failure=why)
        self.serving.clear()
        attempt = 0
        while not self._desk.is_shut_for_good:
            await self.aclose()
            self.opened = None
            try:
                await self.open(log_must_move=log_must_move)
            except (sqlite3.Error, ConfigurationError) as error:
                attempt += 1
                self._desk.shut_now(Failed(Reason.ERROR, f"{why}; not opened again: {error}"))
                self.met(error)
                await asyncio.sleep(self._pause_s(attempt))
            else:
                self._desk.open_again()
                _log.info("cluster_opened_again", cluster=self._name, commits=self.commits)
                return

    def met(self, error: Exception) -> Failed:
        """The answer to what ended in `error`; a damaged file is not served any longer, and one
        that was replaced not before it was opened anew."""
        if isinstance(error, FileReplaced):
            self._distrust = _Distrust(str(error), log_must_move=True)
            self._desk.submit([_wake])
        if not is_damage(error):
            return Failed(Reason.ERROR, str(error))
        damaged = Failed(Reason.ERROR, f"{self._opener.path.name} is damaged: {error}")
        if not self._desk.is_shut_for_good:
            _log.error("cluster_damaged", cluster=self._name, error=str(error))
            self._desk.shut_for_good(damaged)
        return damaged

    async def aclose(self) -> None:
        """Lets go of the file."""
        if self.opened is not None:
            await self.opened.aclose()

    def _pause_s(self, attempt: int) -> float:
        return delay_s(
            attempt,
            first_s=_REOPEN_FIRST_S,
            most_s=_REOPEN_MOST_S,
            unit_random=self._entropy.uniform(0.0, 1.0),
        )


def _wake(_: sqlite3.Connection) -> None:
    """For the writer, which sees to the file after each transaction."""
