"""Round after round over all namespaces: when to crawl, and whom to tell."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from crawler.board import Board, Counters
from crawler.deleted import DeletedNamespaces
from crawler.gateways import Gateways
from crawler.kill_switches import ALL_OFF
from crawler.namespace_crawl import NamespaceCrawls
from crawler.outcomes import Outcomes
from crawler.registry import IN_BOTH, Kept, Registered, kept_now, registered
from crawler.renewing import Renewing
from crawler.same_store import objection
from crawler.trouble import NO_TROUBLE, Trouble
from tandem.backends.port import Backend
from tandem.core.collect import Homes
from tandem.core.crawl_status import Crawled, Run, RunRequest
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.mode import Mode, Stage
from tandem.core.operations import CrawlReport as Told
from tandem.core.reply import Side
from tandem.runtime import logs

_LOG = logs.get("crawler")
PAUSE_LOOK_S = 10.0
"""How often a rest looks whether it should be another one by now."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a round does, and how long a rest follows it."""

    renewing: Renewing
    crawls: NamespaceCrawls
    deleted: DeletedNamespaces
    pause_s: float


class Rounds:
    """Crawls every namespace in turn; `run` is its one task."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        enabled: Callable[[], Awaitable[frozenset[Side]]],
        gateways: Gateways,
        board: Board,
        work: Work,
    ) -> None:
        """`enabled` asks which homes may be used now."""
        self._homes = homes
        self._enabled = enabled
        self._gateways = gateways
        self._board = board
        self._outcomes = Outcomes(board)
        self.work = work
        """Other work counts from the next namespace on."""
        self._skipped = ""
        """Why the last round was not over all namespaces."""

    @property
    def _deadline_s(self) -> float:
        return self.work.crawls.rule.deadline_s

    @property
    def counters(self) -> Counters:
        """What all rounds did."""
        return self._board.counters

    async def run(self) -> None:
        """Crawls until cancelled; a round that raises is counted, and the next one comes.

        Between two rounds it rests, and sees to what somebody has asked for.
        """
        while True:
            await self._board.going()
            try:
                await self.round()
            except Exception as error:
                self.counters.errors += 1
                _LOG.error("round_failed", error=repr(error), exc_info=True)
            await self._rest()

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while (left_s := began_s + self.work.pause_s - loop.time()) > 0:
            run = await self._board.asked(min(left_s, PAUSE_LOOK_S))
            if run is not None:
                await self._serve(run)

    async def _serve(self, run: Run) -> None:
        """A run that raises has failed, and ends nothing else."""
        crawls: list[Crawled] = []
        before = self._board.doing
        try:
            failure = await self._serve_all(run, crawls)
        except Exception as error:
            self.counters.errors += 1
            failure = f"it met a fault of the crawler: {error!r}"
            _LOG.error("run_failed", error=repr(error), exc_info=True)
        self._board.doing = before
        self._board.ended(run, failure, tuple(crawls))

    async def _serve_all(self, run: Run, crawls: list[Crawled]) -> str:
        request = run.request
        homes, why = await self._usable()
        if not homes:
            return why
        found = await registered(homes, self._deadline_s)
        known = _crawled(found)
        for namespace in [request.namespace] if request.namespace else known:
            if namespace not in known:
                return why or _unknown(namespace, found)
            kept = await self._kept_by_now(namespace, known[namespace])
            if kept.homes is Homes.S3:
                continue
            if why := await self._objection(kept):
                return why
            crawls.append(await self._crawl(namespace, kept, request, NO_TROUBLE))
            self._board.progressed(run, tuple(crawls))
        return next((one.failure for one in crawls if one.failure), "")

    async def round(self) -> None:
        """One crawl of every namespace, the registry first; what somebody asks for comes between
        two of them. A home that is brought in is filled once somebody says so, then kept full.

        Before it, and even where there can be none, restored clusters begin a new life. While S3
        may not be used, what is kept in KVSP alone is crawled all the same.
        """
        await self.work.renewing.look()
        homes, why = await self._usable()
        if why:
            self._board.doing = f"waiting: {why}"
        self._tell_skipped(why, homes)
        if not homes:
            return
        trouble = await self._gateways.trouble()
        found = await registered(homes, self._deadline_s)
        for namespace in found.kept_in(Homes.S3) if not why else ():
            await self.work.crawls.forget(namespace)
        self._board.forget([*found.deleted, *found.kept_in(Homes.S3)])
        known = _crawled(found) if not why else _only(found, Homes.KVSP)
        self._outcomes.keep(known.keys())
        for namespace in trouble.order([*known]):
            kept = await self._kept_by_now(namespace, known[namespace])
            if obstacle := await self._objection(kept):
                self._board.doing = f"waiting: {obstacle}"
                return
            await self._take_turn(namespace, kept, trouble)
            while (run := await self._board.asked(0.0)) is not None:
                await self._serve(run)
        if why:
            self._board.doing = f"waiting: {why}"
            self.counters.partial_rounds += 1
            return
        if found.deleted:
            self._board.doing = "removing what deleted namespaces held"
            await self.work.deleted.end(found.deleted, len(found.kept), self._objection)
        self._board.doing = "resting between two rounds"
        self.counters.rounds += 1

    def _tell_skipped(self, why: str, homes: Mapping[Side, Backend]) -> None:
        """A home that is gone for good is no news in every round."""
        if why and why != self._skipped:
            _LOG.warning("round_skipped", why=why, crawled=[side.value for side in homes])
        self._skipped = why

    async def _kept_by_now(self, namespace: str, kept: Kept) -> Kept:
        """What KVSP says just before a namespace's turn, unless that is older: a round may last for
        hours, and what was asked for meanwhile has gone by a later step."""
        kvsp = {Side.KVSP: self._homes[Side.KVSP]}
        now = await kept_now(kvsp, namespace, self._deadline_s)
        return now if now is not None and now.epoch >= kept.epoch else kept

    async def _take_turn(self, namespace: str, kept: Kept, trouble: Trouble) -> None:
        """A crawl that raises is counted, and ends no other; in S3 alone there is none by now."""
        if kept.homes is Homes.S3:
            return
        try:
            if kept.mode.filled is None or await self.work.crawls.has_begun(namespace):
                await self._crawl(namespace, kept, None, trouble)
        except Exception as error:
            self.counters.errors += 1
            _LOG.error("crawl_failed", namespace=namespace, error=repr(error), exc_info=True)

    async def _usable(self) -> tuple[Mapping[Side, Backend], str]:
        """The homes that may be crawled now, both, KVSP or none, and why not both."""
        why = await self._objection()
        if not why:
            return self._homes, ""
        alone = Kept(Mode(Stage.SINGLE, Side.KVSP))
        return ({} if await self._objection(alone) else self._homes_of(alone)), why

    async def _objection(self, kept: Kept = IN_BOTH) -> str:
        """Why nothing may be crawled now that is kept so; empty when it may."""
        await self._board.going()
        homes = self._homes_of(kept)
        enabled = await self._enabled()
        if not enabled:
            return ALL_OFF
        if off := sorted(side.value for side in homes.keys() - enabled):
            return f"{off[0]} is switched off"
        return await objection(homes)

    def _homes_of(self, kept: Kept) -> Mapping[Side, Backend]:
        return {side: self._homes[side] for side in kept.mode.legs}

    async def _crawl(
        self, namespace: str, kept: Kept, request: RunRequest | None, trouble: Trouble
    ) -> Crawled:
        """Of both homes, the gateways hear what it has found."""
        self._board.doing = f"crawling {namespace}"
        urgent = trouble.names(namespace)
        crawled = await self.work.crawls.crawl(namespace, request, urgent, kept)
        self._outcomes.note(crawled)
        if crawled.began_us and not crawled.dry_run and crawled.alone is None:
            await self._gateways.tell(Told(namespace, crawled.began_us, crawled.equal))
        return crawled


def _crawled(found: Registered) -> Mapping[str, Kept]:
    """What can be crawled, the registry first: all but what is kept in S3 alone, where there is
    nothing to compare and nothing may be collected."""
    return {
        SYSTEM_NAMESPACE: IN_BOTH,
        **_only(found, Homes.BOTH),
        **_only(found, Homes.KVSP),
    }


def _only(found: Registered, homes: Homes) -> Mapping[str, Kept]:
    return {namespace: found.kept[namespace] for namespace in found.kept_in(homes)}


def _unknown(namespace: str, found: Registered) -> str:
    if namespace in found.kept:
        return (
            f"namespace {namespace} is kept in s3 alone: there is nothing to compare, and nothing"
            " may be collected"
        )
    return f"no home knows a namespace {namespace}"
