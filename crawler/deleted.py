"""Deleted namespaces: what they held goes from both homes after the grace, and they are forgotten.

How it goes is `tandem.backends.namespace_end`. Here is decided when: never while something stands
against a crawl, never more at once than a person has to be asked for, and again a day later, since
a heal that was under way, or a home restored from an old copy, may bring some of it back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from crawler.board import Board
from crawler.book import Book
from crawler.pace import Pace
from tandem.backends.namespace_end import NamespaceEnd, end_namespace
from tandem.backends.port import CollectableObjects, CollectableRows
from tandem.core.collect import CollectRule
from tandem.core.crawl_status import Stop
from tandem.core.mass_change import MassLimit, MassWork, mass_change
from tandem.core.reply import Failed
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG: Final = logs.get("collector")
BREAKER: Final = "deleted namespaces"
"""What the breaker is called where others have the id of a namespace."""
AGAIN_US: Final = 86_400 * 1_000_000
RETRY_US: Final = 600 * 1_000_000
"""So long one that could not be ended rests."""
STEP_S: Final = 60.0
ROUND_S: Final = 60.0
"""So long one round is at it: the rest comes in the next ones, with crawls in between."""
LOOKED_AT_MAX: Final = 100
"""So many are seen to in one round; the others come in the next ones."""
ALWAYS: Final = 10
"""So many may go at once however few there are."""


class DeletedNamespaces:
    """Sees to those that a round has found."""

    def __init__(
        self, *, rows: CollectableRows, objects: CollectableObjects, rule: CollectRule,
        share: float, book: Book, board: Board, pace: Pace, clock: Clock,
    ) -> None:  # fmt: skip
        """More than `share` of all namespaces at once wait for a person."""
        self._rows = rows
        self._objects = objects
        self._rule = rule
        self._limit = MassLimit(share, ALWAYS)
        self._book = book
        self._board = board
        self._pace = pace
        self._clock = clock
        self._tried_us: dict[str, int] = {}
        """When those that are still deleted, and have not ended since, were last seen to."""

    async def end(
        self, deleted: Mapping[str, int], alive: int, objection: Callable[[], Awaitable[str]]
    ) -> None:
        """Removes what they held, as far as it may go; `objection` is asked before every step.

        Args:
            deleted: with the time of the deletion.
            alive: how many namespaces there are beside them.
        """
        until_s = asyncio.get_running_loop().time() + ROUND_S
        now_us, ended = self._clock.now_us(), self._book.ended()
        grace_us = self._rule.tombstone_grace_s * 1_000_000
        old = [one for one, at_us in deleted.items() if now_us - at_us > grace_us]
        fresh = [one for one in old if one not in ended]
        if self._needs_person(len(fresh), alive + len(deleted), now_us):
            old = [one for one in old if one in ended]
        self._tried_us = {one: us for one, us in self._tried_us.items() if one in deleted}
        due = [one for one in old if self._is_due(one, now_us, ended)]
        for namespace in sorted(due, key=lambda one: self._tried_us.get(one, 0))[:LOOKED_AT_MAX]:
            self._tried_us[namespace] = now_us
            if not await self._end(namespace, objection, until_s):
                return

    def _is_due(self, namespace: str, now_us: int, ended: Mapping[str, int]) -> bool:
        """What was done at a time to come was done while this machine's clock was wrong."""
        for last_us, pause_us in ((ended, AGAIN_US), (self._tried_us, RETRY_US)):
            if namespace in last_us and 0 <= now_us - last_us[namespace] < pause_us:
                return False
        return True

    def _needs_person(self, fresh: int, known: int, now_us: int) -> bool:
        """Whether more end for the first time than may without a person; opens the breaker."""
        stop = self._book.stops().get(BREAKER)
        accepted = stop.accepted if stop else 0
        needs = mass_change(MassWork.END, fresh, known, self._limit, accepted)
        if needs is None:
            if stop is not None and not fresh:
                self._book.passed(BREAKER)
            return False
        if stop is None or stop.accepted or stop.changes != needs.changes:
            self._book.stop(Stop(BREAKER, now_us, needs.changes, str(needs)))
            _LOG.error("namespaces_stay", why=str(needs))
        return True

    async def _end(
        self, namespace: str, objection: Callable[[], Awaitable[str]], until_s: float
    ) -> bool:
        """Removes one step by step; False when nothing may be removed any more in this round."""
        rows = objects = 0
        while True:
            if asyncio.get_running_loop().time() >= until_s:
                del self._tried_us[namespace]  # it is due in the next round
                return False
            if why := await objection():
                _LOG.warning("namespace_not_ended", namespace=namespace, why=why)
                return False
            async with self._pace.turn():
                step = await end_namespace(self._rows, self._objects, namespace, self._rule, STEP_S)
            match step:
                case None:
                    return True
                case Failed():
                    _LOG.warning("namespace_not_ended", namespace=namespace, why=str(step))
                    return True
                case NamespaceEnd():
                    rows, objects = rows + step.rows, objects + step.objects
            if not step.more:
                self._ended(namespace, rows, objects)
                return True

    def _ended(self, namespace: str, rows: int, objects: int) -> None:
        if rows or objects:
            _LOG.info("namespace_ended", namespace=namespace, rows=rows, objects=objects)
        counters = self._board.counters
        counters.namespaces_ended += namespace not in self._book.ended()
        self._book.forget(namespace, self._clock.now_us())
        self._tried_us.pop(namespace, None)
