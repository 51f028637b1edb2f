"""Rounds over all namespaces: what is crawled, when nothing is, and what ends no round."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from crawler.board import Board
from crawler.book import Book
from crawler.namespace_crawl import NamespaceCrawls
from crawler.pace import Pace
from crawler.plans import Plans
from crawler.report import CrawlRule
from crawler.rounds import Rounds
from crawler.trouble import NO_TROUBLE, Trouble
from tandem.backends.port import ScanPage
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.crawl_status import RunRequest
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.operations import CrawlReport as Told
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side
from tandem.core.version import Version
from tests.kvgateway.two_homes import Numbers, Pair, ScriptedHome
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
        homes = self.pair.homes
        crawls = NamespaceCrawls(
            homes=homes, plans=Plans(homes[Side.KVSP], me, Numbers()), book=self.book,
            board=self.board, rule=RULE, pace=Pace(),
        )  # fmt: skip
        return Rounds(
            homes=homes, enabled=gateways.enabled, gateways=gateways, crawls=crawls,
            board=self.board, pause_s=pause_s,
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
        await self.hold(_record_key(namespace), seal(at, value), *sides)


class Circling(ScriptedHome):
    """Its listing of namespaces never ends."""

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        if prefix:
            after, limit = "", 1
        page = await super().scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )
        if prefix and isinstance(page, ScanPage):
            return ScanPage(page.entries, page.entries[0].name, page.home_time_us)
        return page


class Breaking(ScriptedHome):
    """A home with a bug in the listing of one namespace."""

    broken = A

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        if namespace == self.broken:
            raise KeyError("a bug")
        return await super().scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )


class Forgetful(ScriptedHome):
    """It shows its store id to whoever asks whether a crawl may begin, and then no more."""

    shows = 2

    async def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        self.shows -= key == STORE_ID_KEY
        if key == STORE_ID_KEY and self.shows < 0:
            return Failed(Reason.TIMEOUT)
        return await super().get(key, deadline_s, needed)


def _record_key(namespace: str) -> Key:
    return Key(SYSTEM_NAMESPACE, f"ns/{namespace}")


def _replace(world: World, side: Side, kind: type[ScriptedHome]) -> None:
    home = kind(side, world.pair.clock)
    home.memory = world.pair.homes[side].memory
    world.pair.homes[side] = home


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


@in_a_world
async def test_a_round_crawls_the_registry_first_and_then_every_namespace(world: World) -> None:
    await asyncio.sleep(3.0)
    await world.rounds.round()
    began_us = EPOCH_US + 3_000_000
    assert world.gateways.told == [Told(n, began_us, True) for n in (SYSTEM_NAMESPACE, A, B)]
    counters = world.rounds.counters
    assert (counters.rounds, counters.crawls, counters.copied) == (1, 3, 0)


@in_a_world
async def test_drift_is_healed_counted_and_told_as_equal(world: World) -> None:
    key, record = Key(A, "key"), seal(Version.at(EPOCH_US), b"value")
    await world.hold(key, record, Side.KVSP)
    await world.hold(Key(B, "key"), record, Side.S3)
    await world.rounds.round()
    assert world.rounds.counters.copied == 2
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B]
    for reply in (await world.pair.held(key)).values():
        assert isinstance(reply, Found)


@in_a_world
async def test_what_cannot_be_healed_is_told_as_unequal(world: World) -> None:
    await world.hold(Key(A, "key"), seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
    world.pair.s3.write_answer = lambda: Failed(Reason.ERROR)
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]
    assert world.rounds.counters.unhealed == 1


@in_a_world
async def test_nothing_is_crawled_while_a_home_is_switched_off(world: World) -> None:
    world.gateways.off_from_look = 0
    await world.rounds.round()
    assert world.pair.kvsp.calls == world.pair.s3.calls == []
    assert (world.rounds.counters.rounds, world.gateways.told) == (0, [])


@in_a_world
async def test_a_home_that_is_switched_off_meanwhile_ends_the_round(world: World) -> None:
    world.gateways.off_from_look = 3
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE]
    assert world.rounds.counters.rounds == 0


@in_a_world
async def test_homes_of_two_stores_are_never_copied_into_one_another(world: World) -> None:
    await world.hold(STORE_ID_KEY, seal(Version.at(EPOCH_US + 1), b"6" * 32), Side.S3)
    key = Key(A, "key")
    await world.hold(key, seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
    await world.rounds.round()
    assert isinstance((await world.pair.held(key))[Side.S3], Missing)
    assert world.gateways.told == []


@in_a_world
async def test_a_home_that_is_replaced_meanwhile_ends_the_round(world: World) -> None:
    class Replaced(NearGateways):
        async def tell(self, report: Told) -> None:
            await super().tell(report)
            await world.hold(STORE_ID_KEY, seal(Version.at(EPOCH_US + 1), b"6" * 32), Side.S3)

    gateways = Replaced()
    await world.rounds_for(gateways).round()
    assert gateways.equal() == [SYSTEM_NAMESPACE]


@pytest.mark.parametrize("knows", list(Side))
def test_a_namespace_that_one_home_alone_knows_is_crawled(knows: Side) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        await world.namespace(C, knows)
        await world.rounds.round()
        assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B, C]

    scenario()


@in_a_world
async def test_deleted_namespaces_are_not_crawled(world: World) -> None:
    await world.hold(_record_key(A), seal_tombstone(Version.at(EPOCH_US + 1)))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


@in_a_world
async def test_a_damaged_record_keeps_no_other_namespace_from_its_crawl(world: World) -> None:
    await world.hold(_record_key(A), seal(Version.at(EPOCH_US + 1), b"{"))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


@pytest.mark.parametrize("side", list(Side))
def test_a_listing_in_circles_does_not_hold_a_round_up(side: Side) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        _replace(world, side, Circling)
        async with asyncio.timeout(3600):
            await world.rounds.round()
        assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B]

    scenario()


@pytest.mark.parametrize("side", list(Side))
def test_a_crawl_that_raises_ends_neither_the_round_nor_another_crawl(side: Side) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        _replace(world, side, Breaking)
        await world.rounds.round()
        assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]
        assert (world.rounds.counters.errors, world.rounds.counters.rounds) == (1, 1)

    scenario()


@in_a_world
async def test_gateways_that_cannot_be_told_end_no_round(world: World) -> None:
    world.gateways.fails_to_tell = KeyError("a bug")
    await world.rounds.round()
    counters = world.rounds.counters
    assert (counters.crawls, counters.errors, counters.rounds) == (3, 3, 1)


@pytest.mark.parametrize("side", list(Side))
def test_nobody_is_told_of_a_crawl_that_did_not_begin(side: Side) -> None:
    """The home fails once the round has begun: there is no time that the crawl could count from."""

    @in_a_world
    async def scenario(world: World) -> None:
        _replace(world, side, Forgetful)
        await world.rounds.round()
        assert world.rounds.counters.incomplete == 1
        assert world.gateways.told == []

    scenario()


@in_a_world
async def test_a_round_that_raises_is_counted_and_the_next_one_comes(world: World) -> None:
    world.pair.s3.answer = _raise
    running = asyncio.create_task(world.rounds.run())
    await asyncio.sleep(25.0)
    assert world.rounds.counters.errors == 3
    world.pair.s3.up()
    await asyncio.sleep(10.0)
    assert world.rounds.counters.rounds == 1
    running.cancel()


@in_a_world
async def test_it_rests_between_two_rounds(world: World) -> None:
    running = asyncio.create_task(world.rounds.run())
    await asyncio.sleep(25.0)
    running.cancel()
    assert world.rounds.counters.rounds == 3


@in_a_world
async def test_what_is_asked_for_comes_between_two_crawls_of_a_round(world: World) -> None:
    run_id = world.board.ask(RunRequest(B)).id
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B, A, B]
    [ended] = world.board.runs
    assert (ended.id, ended.ended, [one.namespace for one in ended.crawls]) == (run_id, True, [B])


@in_a_world
async def test_a_run_shows_the_crawls_that_have_ended_while_it_goes_on(world: World) -> None:
    shown: list[list[str]] = []
    tell = world.gateways.tell

    async def telling(report: Told) -> None:
        shown.append([one.namespace for run in world.board.runs for one in run.crawls])
        await tell(report)

    world.gateways.tell = telling  # type: ignore[method-assign]
    world.board.ask(RunRequest())
    running = asyncio.create_task(world.rounds.run())
    await asyncio.sleep(5.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [SYSTEM_NAMESPACE] in shown
    assert [SYSTEM_NAMESPACE, A] in shown


@in_a_world
async def test_a_home_that_is_brought_in_is_filled_when_asked_for_and_then_kept_full(
    world: World,
) -> None:
    await world.namespace(A, mode=Mode(Stage.SHADOW, Side.S3))
    key, late = Key(A, "key"), Key(A, "late")
    await world.hold(key, seal(Version.at(EPOCH_US), b"value"), Side.S3)
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]
    world.board.ask(RunRequest(A, rebuild=Side.KVSP))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B, SYSTEM_NAMESPACE, A, A, B]
    await world.hold(late, seal(Version.at(EPOCH_US), b"value"), Side.S3)
    await world.rounds.round()
    for reply in [*(await world.pair.held(key)).values(), *(await world.pair.held(late)).values()]:
        assert isinstance(reply, Found)


@in_a_world
async def test_what_was_kept_in_one_home_meanwhile_is_filled_when_asked_for_again(
    world: World,
) -> None:
    await world.rounds.round()
    await world.namespace(A, mode=Mode(Stage.SHADOW, Side.S3))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B] * 2, "it is left: rounds go on"
    await world.namespace(A, mode=Mode(Stage.SINGLE, Side.S3))
    await world.rounds.round()
    await world.namespace(A, mode=Mode(Stage.SHADOW, Side.S3))
    await world.rounds.round()
    assert world.gateways.equal()[6:] == [SYSTEM_NAMESPACE, B] * 2


@in_a_world
async def test_a_round_goes_by_steps_that_are_taken_during_it(world: World) -> None:
    """A, in KVSP alone as the round begins, is brought to S3, and a run that was asked for fills
    it; else its turn would begin a crawl of KVSP alone, after which nobody keeps S3 full."""
    await _alone(world)
    tell = world.gateways.tell

    async def stepping(report: Told) -> None:
        await tell(report)
        if len(world.gateways.told) == 1:
            await world.namespace(A, mode=Mode(Stage.SHADOW, Side.KVSP))
            world.board.ask(RunRequest(A, rebuild=Side.S3))

    world.gateways.tell = stepping  # type: ignore[method-assign]
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B, A]
    late = Key(A, "late")
    await world.hold(late, seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
    await world.rounds.round()
    assert isinstance((await world.pair.held(late))[Side.S3], Found)


@in_a_world
async def test_what_is_kept_in_s3_alone_by_now_is_not_crawled(world: World) -> None:
    tell = world.gateways.tell

    async def stepping(report: Told) -> None:
        await tell(report)
        await world.namespace(A, mode=Mode(Stage.SINGLE, Side.S3))

    world.gateways.tell = stepping  # type: ignore[method-assign]
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


ONLY = Mode(Stage.SINGLE, Side.KVSP)


async def _alone(world: World, namespace: str = A) -> None:
    """A namespace that is kept in KVSP alone, with two keys, of which S3 has never heard."""
    await world.namespace(namespace, mode=ONLY)
    for name in ("live", "dead"):
        at = Version.at(EPOCH_US)
        record = seal(at, b"value") if name == "live" else seal_tombstone(at)
        await world.hold(Key(namespace, name), record, Side.KVSP)


def _counted(world: World) -> list[tuple[str, Side | None, int]]:
    return [(one.namespace, one.alone, one.tally.records) for one in world.board.latest]


@in_a_world
async def test_what_is_kept_in_kvsp_alone_is_counted_and_nobody_takes_it_for_equal(
    world: World,
) -> None:
    await _alone(world)
    await world.rounds.round()
    assert (A, Side.KVSP, 2) in _counted(world)
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]
    assert isinstance((await world.pair.held(Key(A, "live")))[Side.S3], Missing)


@in_a_world
async def test_what_is_kept_in_s3_alone_is_not_crawled(world: World) -> None:
    await world.namespace(A, mode=Mode(Stage.SINGLE, Side.S3))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]
    world.board.ask(RunRequest(A))
    await world.rounds.round()
    [run_] = world.board.runs
    assert "kept in s3 alone: there is nothing to compare, and nothing" in run_.failure


def _down(world: World) -> None:
    world.pair.s3.down()


def _switched_off(world: World) -> None:
    world.gateways.off_from_look = 0
    world.gateways.off_leaves = (Side.KVSP,)


def _emptied(world: World) -> None:
    world.pair.s3.memory.wipe()


def _replaced(world: World) -> None:
    """By a bucket of another store, which knows the namespace in another mode."""
    value = encode_namespace(Namespace(A, "theirs", Settings(mode=ACTIVE), created_at_s=1))
    for key, content in ((STORE_ID_KEY, b"6" * 32), (_record_key(A), value)):
        world.pair.s3.memory.place(key, seal(Version.at(EPOCH_US + 10**9), content))


@pytest.mark.parametrize("trouble", [_down, _switched_off, _emptied, _replaced])
def test_while_s3_may_not_be_used_what_is_kept_in_kvsp_alone_is_crawled_all_the_same(
    trouble: Callable[[World], None],
) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        await _alone(world)
        trouble(world)
        assert world.board.unready()
        with capture_logs() as logs:
            await world.rounds.round()
            assert _counted(world) == [(A, Side.KVSP, 2)]
            await world.rounds.round()
        assert [log["event"] for log in logs].count("round_skipped") == 1, "no news the next time"
        counters = world.rounds.counters
        assert (world.gateways.told, counters.rounds, counters.partial_rounds) == ([], 0, 2)
        assert world.board.unready() == "", "it does what can be done"
        assert world.board.doing.startswith("waiting: ")
        world.board.ask(RunRequest(A))
        world.board.ask(RunRequest(B))
        running = asyncio.create_task(world.rounds.run())
        await asyncio.sleep(30.0)
        running.cancel()
        asked, other = world.board.runs
        assert (asked.ended, asked.failure, len(asked.crawls)) == (True, "", 1)
        assert (other.ended, len(other.crawls)) == (True, 0)
        assert other.failure

    scenario()


@in_a_world
async def test_without_kvsp_nothing_is_crawled(world: World) -> None:
    await _alone(world)
    world.gateways.off_from_look = 0
    world.gateways.off_leaves = (Side.S3,)
    await world.rounds.round()
    assert world.pair.kvsp.calls == world.pair.s3.calls == []
    assert _counted(world) == []
    assert world.board.unready().startswith("waiting: ")


@in_a_world
async def test_what_was_crawled_alone_is_filled_only_when_asked_for(world: World) -> None:
    await _alone(world)
    await world.rounds.round()
    await world.namespace(A, mode=Mode(Stage.SHADOW, Side.KVSP))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B] * 2
    world.board.ask(RunRequest(A, rebuild=Side.S3))
    await world.rounds.round()
    assert A in world.gateways.equal()
    for reply in (await world.pair.held(Key(A, "live"))).values():
        assert isinstance(reply, Found)


def _raise() -> Failed:
    raise KeyError("a bug")
