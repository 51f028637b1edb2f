"""Deleted namespaces: when what they held goes, who is asked first, and what is forgotten."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from crawler import deleted
from crawler.board import Board
from crawler.book import Book
from crawler.deleted import BREAKER
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.rounds import Rounds
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.crawl_status import Crawled, HistoryPage, RunRequest, Stop
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.namespace import Namespace, encode_namespace
from tandem.core.record import Record
from tandem.core.reply import Failed, Reason, Side
from tandem.core.tally import Tally
from tandem.core.version import Version
from tests.crawler.crawling import RULE, Ground, collector, record, work
from tests.crawler.rounds_world import NearGateways
from tests.kvgateway.two_homes import Numbers
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

HOUR_US = 3_600 * 1_000_000
DAY_S = 86_400.0
GONE, ALIVE = "c" * 32, "a" * 32
OLD = seal_tombstone(Version.at(EPOCH_US - 25 * HOUR_US))
YOUNG = seal_tombstone(Version.at(EPOCH_US - 23 * HOUR_US))


class World:
    """A store with a living namespace and a deleted one, and a crawler that makes rounds."""

    def __init__(self) -> None:
        self.ground = Ground()
        self.gateways = NearGateways()
        self.book = Book(Path(":memory:"))
        self.board = Board(self.book, Numbers())
        homes, kvsp, s3 = self.ground.homes, self.ground.kvsp, self.ground.s3
        crawls = NamespaceCrawls(
            homes=homes, plans=Plans(kvsp, "me", Numbers()), book=self.book,
            board=self.board, rule=RULE, pace=Pace(), collector=collector(kvsp, s3),
        )  # fmt: skip
        self.rounds = Rounds(
            homes=homes, enabled=self.gateways.enabled, gateways=self.gateways, board=self.board,
            work=work(crawls, kvsp, s3, self.ground.clock),
        )  # fmt: skip
        self.place(STORE_ID_KEY, seal(Version.at(EPOCH_US), b"5" * 32))
        title = encode_namespace(Namespace(ALIVE, "title", created_at_s=1))
        self.register(ALIVE, seal(Version.at(EPOCH_US), title))

    def place(self, key: Key, one: Record, *sides: Side) -> None:
        for home in (self.ground.kvsp, self.ground.s3):
            if home.side in (sides or tuple(Side)):
                home._namespace(key.namespace).store(key.name, one)

    def register(self, namespace: str, one: Record, *sides: Side) -> None:
        self.place(Key(SYSTEM_NAMESPACE, f"ns/{namespace}"), one, *sides)

    def fill(self, namespace: str, keys: int = 30) -> None:
        for number in range(keys):
            self.place(Key(namespace, f"key {number}"), record(number))

    def held(self, namespace: str) -> tuple[int, int]:
        """How many records each home has of it."""
        kvsp, s3 = (h._namespace(namespace).records for h in (self.ground.kvsp, self.ground.s3))
        return len(kvsp), len(s3)

    async def round(self) -> None:
        """One round of them, and the rest until the next one."""
        await self.rounds.round()
        await asyncio.sleep(deleted.RETRY_US / 1e6)


def in_a_world(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    async def scenario() -> None:
        world = World()
        for namespace in (GONE, ALIVE):
            world.fill(namespace)
        await test(world)

    def run_it() -> None:
        run(scenario())

    run_it.__name__ = test.__name__
    return run_it


@in_a_world
async def test_it_goes_from_both_homes_once_and_nothing_else_does(world: World) -> None:
    world.register(GONE, OLD)
    await world.round()
    assert world.held(GONE) == (0, 0)
    assert world.held(ALIVE) == (30, 30)
    assert world.held(SYSTEM_NAMESPACE) == (2, 2), "its tombstone stays"
    await world.round()
    assert world.rounds.counters.namespaces_ended == 1


@in_a_world
async def test_a_young_one_goes_when_the_grace_has_passed(world: World) -> None:
    world.register(GONE, YOUNG)
    await world.round()
    assert world.held(GONE) == (30, 30)
    await asyncio.sleep(2 * 3600)
    await world.round()
    assert world.held(GONE) == (0, 0)


@pytest.mark.parametrize("side", list(Side))
def test_it_stays_while_a_home_knows_it_as_alive(side: Side) -> None:
    """The registry's crawl makes the homes agree first; here it cannot."""

    @in_a_world
    async def scenario(world: World) -> None:
        other = Side.S3 if side is Side.KVSP else Side.KVSP
        title = encode_namespace(Namespace(GONE, "other title", created_at_s=1))
        world.register(GONE, seal(Version.at(EPOCH_US - 30 * HOUR_US), title), side)
        world.register(GONE, OLD, other)
        for home in (world.ground.kvsp, world.ground.s3):
            home.put_if_newer = _refused  # type: ignore[method-assign, assignment]
        await world.round()
        assert world.held(GONE) == (30, 30)

    scenario()


async def _refused(*_: object) -> object:
    return Failed(Reason.ERROR, "as told")


@in_a_world
async def test_it_stays_while_a_home_is_switched_off(world: World) -> None:
    world.register(GONE, OLD)
    world.gateways.off_from_look = 4
    await world.round()
    assert world.held(GONE) == (30, 30)
    world.gateways.off_from_look = 1_000_000
    await world.round()
    assert world.held(GONE) == (0, 0)


@in_a_world
async def test_a_switch_stops_it_between_two_steps(world: World) -> None:
    world.register(GONE, OLD)
    world.fill(GONE, 2_500)
    world.gateways.off_from_look = 5
    await world.round()
    assert world.held(GONE) == (0, 1_500)
    assert not world.book.ended()
    world.gateways.off_from_look = 1_000_000
    await world.round()
    assert world.held(GONE) == (0, 0)


@in_a_world
async def test_a_large_one_goes_over_several_rounds(world: World) -> None:
    """Nothing is crawled meanwhile, and who asks for a run waits."""
    world.register(GONE, OLD)
    world.fill(GONE, 4_500)
    world.ground.s3.delay_s = deleted.ROUND_S / 3
    left = [4_500]
    while GONE not in world.book.ended():
        await world.rounds.round()
        left.append(world.held(GONE)[1])
    assert len(left) > 3
    assert left == sorted({*left}, reverse=True)


@in_a_world
async def test_a_run_that_somebody_asks_for_removes_nothing(world: World) -> None:
    world.register(GONE, OLD)
    run = world.board.ask(RunRequest(dry_run=True))
    crawls: list[Crawled] = []
    assert await world.rounds._serve_all(run, crawls) == ""
    assert world.held(GONE) == (30, 30)


@in_a_world
async def test_its_history_and_its_breaker_are_forgotten(world: World) -> None:
    for namespace in (GONE, ALIVE):
        crawled = Crawled(namespace, "p", 1, EPOCH_US, EPOCH_US, 0, False, 1, "", "", Tally())
        world.book.enter(crawled)
        world.board.note(crawled)
        world.book.stop(Stop(namespace, EPOCH_US, 5_000, "too much"))
    world.register(GONE, OLD)
    await world.round()
    assert world.book.history(HistoryPage(GONE)) == []
    assert world.book.history(HistoryPage(ALIVE))
    assert GONE not in world.book.stops()
    assert GONE not in {one.namespace for one in world.board.latest}


@in_a_world
async def test_what_comes_back_goes_a_day_later(world: World) -> None:
    """A heal that was under way, or a bucket restored from an old copy."""
    world.register(GONE, OLD)
    await world.round()
    world.fill(GONE, 3)
    await world.round()
    assert world.held(GONE) == (3, 3)
    await asyncio.sleep(DAY_S)
    await world.round()
    assert world.held(GONE) == (0, 0)
    assert world.rounds.counters.namespaces_ended == 1


@in_a_world
async def test_what_was_done_while_the_clock_was_a_year_ahead_is_due_when_it_is_right(
    world: World,
) -> None:
    other = "d" * 32
    world.rounds.work.deleted._clock = clock = VirtualClock(current())
    clock.step(365 * 24 * HOUR_US)
    world.register(GONE, OLD)
    world.register(other, YOUNG)
    world.fill(other)
    await world.round()
    assert world.held(GONE) == (0, 0)
    assert world.held(other) == (30, 30), "the homes' clocks say when it may go"
    world.fill(GONE, 3)
    clock.step(-365 * 24 * HOUR_US)
    await asyncio.sleep(2 * 3600)
    await world.round()
    assert (world.held(GONE), world.held(other)) == ((0, 0), (0, 0))


@in_a_world
async def test_too_many_at_once_wait_for_a_person(world: World) -> None:
    many = [f"{number:032x}" for number in range(0x100, 0x100 + 20)]
    for namespace in many:
        world.register(namespace, OLD)
        world.fill(namespace, 2)
    await world.round()
    assert {world.held(namespace) for namespace in many} == {(2, 2)}
    [stop] = world.book.stops().values()
    assert stop.namespace == BREAKER
    assert stop.why == "ending deleted namespaces would touch 20 of 21 namespaces"
    assert world.board.breakers_open == 1

    await world.round()
    assert [*world.book.stops().values()] == [stop], "said once"

    world.book.accept()
    many.append("e" * 32)
    world.register(many[-1], OLD)
    world.fill(many[-1], 2)
    await world.round()
    [stop] = world.book.stops().values()
    assert (stop.changes, stop.accepted) == (21, 0), "one more than was accepted"
    assert {world.held(namespace) for namespace in many} == {(2, 2)}

    world.book.accept()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deleted, "LOOKED_AT_MAX", 6)
        for left in (15, 9, 3, 0):
            await world.round()
            assert sum(world.held(namespace) == (2, 2) for namespace in many) == left
    await world.round()
    assert not world.book.stops()


@in_a_world
async def test_those_that_may_not_go_yet_are_not_too_many(world: World) -> None:
    for number in range(0x100, 0x100 + 20):
        world.register(f"{number:032x}", YOUNG)
    world.register(GONE, OLD)
    await world.round()
    assert not world.book.stops()
    assert world.held(GONE) == (0, 0)


@in_a_world
async def test_those_of_one_round_are_bounded_and_the_others_come_later(world: World) -> None:
    many = [f"{number:032x}" for number in range(0x100, 0x100 + 8)]
    for namespace in many:
        world.register(namespace, OLD)
        world.fill(namespace, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deleted, "LOOKED_AT_MAX", 3)
        for left in (5, 2, 0):
            await world.round()
            assert sum(world.held(namespace) == (1, 1) for namespace in many) == left


@in_a_world
async def test_one_that_fails_holds_no_other_up(world: World) -> None:
    other = "d" * 32
    for namespace in (GONE, other):
        world.register(namespace, OLD)
        world.fill(namespace)
    real = world.ground.s3.purge_namespace

    async def failing(namespace: str, limit: int, deadline_s: float) -> object:
        if namespace == GONE:
            return await _refused()
        return await real(namespace, limit, deadline_s)

    world.ground.s3.purge_namespace = failing  # type: ignore[method-assign, assignment]
    await world.round()
    assert world.held(other) == (0, 0)
    assert [*world.book.ended()] == [other]
    assert [*world.rounds.work.deleted._tried_us] == [GONE]

    world.ground.s3.purge_namespace = real  # type: ignore[method-assign]
    await world.round()
    assert not world.rounds.work.deleted._tried_us, "what has ended waits for nothing"


@in_a_world
async def test_nothing_is_remembered_of_one_that_is_no_longer_listed(world: World) -> None:
    world.ground.s3.purge_namespace = _refused  # type: ignore[method-assign, assignment]
    world.register(GONE, OLD)
    await world.round()
    assert [*world.rounds.work.deleted._tried_us] == [GONE]
    await world.rounds.work.deleted.end({}, 1, _nothing_stands_against_it)
    assert not world.rounds.work.deleted._tried_us


async def _nothing_stands_against_it() -> str:
    return ""
