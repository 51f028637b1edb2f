"""Two homes of one store in virtual time, and the rounds over them, for tests."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from crawler.board import Board
from crawler.book import Book
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.report import CrawlRule
from crawler.rounds import Rounds
from crawler.trouble import NO_TROUBLE, Trouble
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.envelope import seal
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.operations import CrawlReport as Told
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.crawler.crawling import collector, work
from tests.kvgateway.two_homes import Numbers, Pair
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

A, B, C = "a" * 32, "b" * 32, "c" * 32
RULE = CrawlRule(deadline_s=1.0)


class NearGateways:
    """Gateways that remember what they are told, and what was switched off when."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.looks = 0
        self.off_from_look = 1_000_000
        self.off_leaves: tuple[Side, ...] = ()
        self.fails_to_tell: Exception | None = None
        self.known = NO_TROUBLE

    async def enabled(self) -> frozenset[Side]:
        self.looks += 1
        return frozenset(Side) if self.looks < self.off_from_look else frozenset(self.off_leaves)

    async def tell(self, report: Told) -> None:
        if self.fails_to_tell is not None:
            raise self.fails_to_tell
        self.told.append(report)

    async def trouble(self) -> Trouble:
        return self.known

    def equal(self) -> list[str]:
        """The namespaces that were found equal, in order."""
        return [report.namespace for report in self.told if report.equal]


class World:
    """Two homes of one store with two namespaces, and what crawls them."""

    def __init__(self) -> None:
        self.pair = Pair(VirtualClock(current()))
        self.gateways = NearGateways()
        self.written = 0
        self.book = Book(Path(":memory:"))
        self.board = Board(self.book, Numbers())
        self.rounds = self.rounds_for(self.gateways)

    def rounds_for(self, gateways: "NearGateways", me: str = "me", pause_s: float = 10.0) -> Rounds:
        homes, rows, objects = self.pair.homes, self.pair.kvsp.memory, self.pair.s3.memory
        crawls = NamespaceCrawls(
            homes=homes, plans=Plans(homes[Side.KVSP], me, Numbers()), book=self.book,
            board=self.board, rule=RULE, pace=Pace(), collector=collector(rows, objects),
        )  # fmt: skip
        return Rounds(
            homes=homes, enabled=gateways.enabled, gateways=gateways, board=self.board,
            work=work(crawls, rows, objects, self.pair.clock, pause_s),
        )  # fmt: skip

    async def hold(self, key: Key, record: Record, *sides: Side) -> None:
        for side in sides or tuple(Side):
            await self.pair.homes[side].memory.put_if_newer(key, record, 1.0)

    async def begin(self) -> "World":
        await self.hold(STORE_ID_KEY, seal(Version.at(EPOCH_US), b"5" * 32))
        for namespace in (A, B):
            await self.namespace(namespace)
        return self

    async def namespace(self, namespace: str, *sides: Side, mode: Mode = ACTIVE) -> None:
        title, settings = f"title of {namespace[0]}", Settings(mode=mode)
        value = encode_namespace(Namespace(namespace, title, settings, created_at_s=1))
        at = Version.at(EPOCH_US + self.written)
        self.written += 1
        await self.hold(record_key(namespace), seal(at, value), *sides)


def record_key(namespace: str) -> Key:
    return Key(SYSTEM_NAMESPACE, f"ns/{namespace}")


def in_a_world(
    test: Callable[[World], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Runs a scenario in a world of its own, in virtual time."""

    async def scenario() -> None:
        await test(await World().begin())

    def run_it() -> None:
        run(scenario())

    run_it.__name__ = test.__name__
    return run_it
