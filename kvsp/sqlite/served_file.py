"""When the file of a cluster is served, and what is answered while it is not.

After a failed COMMIT every connection closes. The file serves again once it was opened anew, shows
the last acknowledged transaction and, unless the disk was merely full, has had its log copied into
it: a commit that follows a lost page of the log would be lost with it. A damaged file is not served
again before a restart.
"""

import asyncio
import sqlite3
from collections.abc import Callable

from kvsp.identity import Meta
from kvsp.sqlite.errors import is_damage
from kvsp.sqlite.lives import Lives
from kvsp.sqlite.opened import Opened, Opener
from tandem.core.backoff import delay_s
from tandem.core.reply import Failed, Reason
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_REOPEN_FIRST_S = 0.05
_REOPEN_MOST_S = 2.0
_log = logs.get("kvsp.cluster")


class ServedFile:
    """One cluster's file; `on_failure` answers those who wait for it."""

    def __init__(
        self,
        opener: Opener,
        meta: Meta,
        lives: Lives,
        entropy: Entropy,
        on_failure: Callable[[Failed], None],
    ) -> None:
        self._opener = opener
        self._meta = meta
        self._name = meta.identity.cluster
        self._lives = lives
        self._entropy = entropy
        self._on_failure = on_failure
        self._failure_for_good: Failed | None = None
        self.opened: Opened | None = None
        self.serving = asyncio.Event()
        self.failure: Failed | None = None
        """What everybody is answered; None while it serves, or is opened for the first time."""
        self.commits = meta.commits
        """The number of the last transaction that was acknowledged."""

    @property
    def served(self) -> Opened | Failed:
        """The file, or why it is not served now."""
        if self.failure is not None:
            return self.failure
        if self.opened is None or not self.serving.is_set():
            return Failed(Reason.ERROR, "its file is being opened again")
        return self.opened

    async def open(self, *, log_must_move: bool) -> None:
        """Opens the file and serves it. Raises sqlite3.Error."""
        self.opened = await self._opener.open(
            self._meta, self._lives.possible, commits_min=self.commits, log_must_move=log_must_move
        )
        self._lives.is_in(self.opened.incarnation)
        self.commits = self.opened.transactions.commits
        self.serving.set()

    async def open_again(self, failed: Failed, *, log_must_move: bool) -> None:
        """Closes the file after a failure, and tries until it can be served again or never."""
        _log.error("cluster_closed", cluster=self._name, failure=failed.detail)
        self.serving.clear()
        attempt = 0
        while self._failure_for_good is None:
            if self.opened is not None:
                await self.opened.aclose()
                self.opened = None
            try:
                await self.open(log_must_move=log_must_move)
            except (sqlite3.Error, ConfigurationError) as error:
                attempt += 1
                self.fail(Failed(Reason.ERROR, f"{failed.detail}; not opened again: {error}"))
                self.met(error)
                await asyncio.sleep(self._pause_s(attempt))
            else:
                self.failure = self._failure_for_good
                _log.info(
                    "cluster_opened_again",
                    cluster=self._name,
                    commits=self.commits,
                )
                return

    def met(self, error: Exception) -> Failed:
        """The answer to what ended in `error`; a damaged file is not served any longer."""
        if not is_damage(error):
            return Failed(Reason.ERROR, str(error))
        damaged = Failed(Reason.ERROR, f"{self._opener.path.name} is damaged: {error}")
        if self._failure_for_good is None:
            _log.error("cluster_damaged", cluster=self._name, error=str(error))
            self.fail_for_good(damaged)
        return damaged

    def fail_for_good(self, failed: Failed) -> None:
        """Like `fail`, and no opening of the file ends it."""
        self._failure_for_good = failed
        self.fail(failed)

    def fail(self, failed: Failed) -> None:
        """Answers everybody so, those who wait and those who come."""
        self.failure = failed
        self._on_failure(failed)

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
