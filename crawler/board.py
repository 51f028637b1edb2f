"""What the crawler shows and is told: progress, pause, runs that somebody asked for."""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from crawler.book import Book
from crawler.crawl import Crawl
from crawler.report import CrawlReport
from tandem.core.crawl_range import Range
from tandem.core.crawl_status import Crawled, RangeProgress, Run, RunRequest
from tandem.core.tally import Tally
from tandem.errors import InvalidArgument, Overloaded
from tandem.runtime.randomness import Entropy

RUNS_WAITING_MAX: Final = 16
RUNS_KEPT_MAX: Final = 64
CRAWLS_KEPT_MAX: Final = 5_000
"""Of runs that have ended; a run over all namespaces has one for each, and a status shows all."""
_ID_BYTES: Final = 6
_PAUSED: Final = "paused"


@dataclass(slots=True)
class Counters:
    """What all rounds did, and what went wrong beside them."""

    rounds: int = 0
    partial_rounds: int = 0
    """Over what is kept in KVSP alone, since S3 could not be used."""
    crawls: int = 0
    incomplete: int = 0
    copied: int = 0
    unhealed: int = 0
    errors: int = 0
    unreadable: int = 0
    """Looks at a plan or a lease in KVSP that could not be read."""
    compared: int = 0
    s3_requests: int = 0
    kvsp_requests: int = 0
    namespaces_ended: int = 0

    def add(self, report: CrawlReport) -> None:
        """What has just been done of a range; what an earlier run did was counted then."""
        now, before = report.tally, report.before or Tally()
        self.copied += sum(now.copied.values()) - sum(before.copied.values())
        self.unhealed += now.unhealed_keys - before.unhealed_keys
        self.compared += now.records - before.records
        self.s3_requests += now.s3_requests - before.s3_requests
        self.kvsp_requests += now.kvsp_requests - before.kvsp_requests


class Board:
    """Shared by the rounds, which write it, and the service, which reads it and asks for runs."""

    def __init__(self, book: Book, entropy: Entropy) -> None:
        self._book = book
        self._entropy = entropy
        self._going = asyncio.Event()
        self._asked = asyncio.Event()
        self._waiting: deque[str] = deque()
        self._runs: dict[str, Run] = {}
        self._under_way: dict[tuple[str, int], tuple[Crawl, int]] = {}
        self._unkept = ""
        self.doing = "starting"
        self.counters = Counters()
        self._latest: dict[str, Crawled] = {crawled.namespace: crawled for crawled in book.latest()}
        if not book.word(_PAUSED):
            self._going.set()

    @property
    def paused(self) -> bool:
        """Whether a person has said stop; kept over restarts."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Nothing goes on behind the page, or the keys, that are on their way."""
        self._going.clear()
        self._keep("yes")

    def go_on(self) -> None:
        """The end of a pause."""
        self._going.set()
        self._keep("")

    def _keep(self, paused: str) -> None:
        """Behind the deed: on a full disk, too, a person can stop it."""
        try:
            self._book.keep(_PAUSED, paused)
            self._unkept = ""
        except sqlite3.Error as error:
            self._unkept = f"; only until a restart: its file cannot be written: {error}"

    @property
    def shown(self) -> str:
        """In words: what it does, or why it does nothing."""
        return f"{_PAUSED if self.paused else self.doing}{self._unkept}"

    def unready(self) -> str:
        """What keeps the crawler from its first round over all that can be crawled; empty once
        there was one."""
        return "" if self.counters.rounds or self.counters.partial_rounds else self.doing

    async def going(self) -> None:
        """Returns when the crawler is not paused."""
        await self._going.wait()

    def ask(self, request: RunRequest) -> Run:
        """Takes a request; InvalidArgument while paused, Overloaded when too many wait."""
        if self.paused:
            raise InvalidArgument("crawler", "is paused; `kvctl crawl resume` lets it go on")
        if len(self._waiting) >= RUNS_WAITING_MAX:
            raise Overloaded(f"{RUNS_WAITING_MAX} runs are waiting")
        run = Run(self._entropy.token(_ID_BYTES).hex(), request)
        self._runs[run.id] = run
        self._forget_oldest()
        self._waiting.append(run.id)
        self._asked.set()
        return run

    async def asked(self, within_s: float) -> Run | None:
        """The next request; None when none comes in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._asked.wait()
        except TimeoutError:
            return None
        run = self._runs[self._waiting.popleft()]
        if not self._waiting:
            self._asked.clear()
        return run

    def ended(self, run: Run, failure: str, crawls: tuple[Crawled, ...]) -> None:
        """A run is over."""
        self._runs[run.id] = replace(run, ended=True, failure=failure, crawls=crawls)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        ended = [run for run in self._runs.values() if run.ended]
        crawls = sum(len(run.crawls) for run in ended)
        for run in ended[:-1]:  # whoever asked for the last one may not have seen its end yet
            if len(self._runs) <= RUNS_KEPT_MAX and crawls <= CRAWLS_KEPT_MAX:
                return
            crawls -= len(self._runs.pop(run.id).crawls)

    def progressed(self, run: Run, crawls: tuple[Crawled, ...]) -> None:
        """So many of a run's crawls have ended."""
        self._runs[run.id] = replace(run, crawls=crawls)

    def note(self, crawled: Crawled) -> None:
        """A crawl of a namespace has ended."""
        if crawled.began_us:
            self._latest[crawled.namespace] = crawled

    def met_unreadable(self) -> None:
        """A plan or a lease could not be read."""
        self.counters.unreadable += 1

    def forget(self, namespaces: Iterable[str]) -> None:
        """These are crawled no more: what was found of them last is no state of today, and their
        breakers wait for nobody."""
        stops = self._book.stops()
        for namespace in namespaces:
            self._latest.pop(namespace, None)
            if namespace in stops:
                self._book.passed(namespace)

    @property
    def latest(self) -> tuple[Crawled, ...]:
        """The last crawl of each namespace."""
        return tuple(self._latest.values())

    @property
    def breakers_open(self) -> int:
        """How many breakers wait for a person."""
        return sum(not stop.accepted for stop in self._book.stops().values())

    @property
    def runs(self) -> tuple[Run, ...]:
        """The last runs, the newest last."""
        return tuple(self._runs.values())

    def began(self, crawl: Crawl, within: Range, ranges: int) -> None:
        """A range is being crawled."""
        self._under_way[crawl.report.namespace, within.number] = (crawl, ranges)

    def left(self, crawl: Crawl, within: Range) -> None:
        """And no more."""
        self.counters.add(crawl.report)
        self._under_way.pop((crawl.report.namespace, within.number), None)

    @property
    def ranges(self) -> tuple[RangeProgress, ...]:
        """Every range that is being crawled."""
        return tuple(
            RangeProgress(
                namespace, number, ranges, crawl.position, crawl.report.tally.records,
                crawl.report.tally.drifted,
            )
            for (namespace, number), (crawl, ranges) in self._under_way.items()
        )  # fmt: skip
