"""Rounds over all namespaces: what is crawled, when nothing is, and what ends no round."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from crawler.trouble import Trouble
from tandem.backends.port import Heal, ScanPage
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.crawl_status import RunRequest
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.operations import CrawlReport as Told
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side, WriteReply
from tandem.core.version import Version
from tests.crawler.rounds_world import A, B, C, NearGateways, World, in_a_world, record_key
from tests.kvgateway.two_homes import ScriptedHome
from tests.sim.loop import EPOCH_US


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


class Refusing(ScriptedHome):
    """It takes what was found of a range only when that is tried again."""

    refuses = 2

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        if key.name.startswith(f"crawl/{A}/") and b"report" in record.value and self.refuses:
            self.refuses -= 1
            return Failed(Reason.TIMEOUT)
        return await super().put_if_newer(key, record, deadline_s, heal)


def replace_home(world: World, side: Side, kind: type[ScriptedHome]) -> None:
    home = kind(side, world.pair.clock)
    home.memory = world.pair.homes[side].memory
    world.pair.homes[side] = home


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
async def test_what_a_crawl_in_several_runs_did_is_counted_once(world: World) -> None:
    replace_home(world, Side.KVSP, Refusing)
    world.rounds = world.rounds_for(world.gateways)
    await world.hold(Key(A, "key"), seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
    for _ in range(3):
        await world.rounds.round()
    counters = world.rounds.counters
    assert (counters.crawls, counters.incomplete) == (9, 2)
    assert (counters.copied, counters.compared) == (1, 3 * 2 + 1)


@in_a_world
async def test_that_all_is_equal_still_is_not_told_in_every_round(world: World) -> None:
    """With a thousand namespaces it would be a gigabyte a day."""

    async def told() -> list[tuple[str, str]]:
        with capture_logs() as logs:
            await world.rounds.round()
        await asyncio.sleep(5.0)
        return [(log["event"], log["namespace"]) for log in logs if log["log_level"] != "debug"]

    assert await told() == [("crawl_equal", n) for n in (SYSTEM_NAMESPACE, A, B)]
    assert await told() == []
    await world.hold(Key(A, "key"), seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
    assert await told() == [("drift_found", A)]
    assert await told() == [("crawl_equal", A)]
    assert await told() == []


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
    await world.hold(record_key(A), seal_tombstone(Version.at(EPOCH_US + 1)))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


@in_a_world
async def test_a_damaged_record_keeps_no_other_namespace_from_its_crawl(world: World) -> None:
    await world.hold(record_key(A), seal(Version.at(EPOCH_US + 1), b"{"))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


@pytest.mark.parametrize("side", list(Side))
def test_a_listing_in_circles_does_not_hold_a_round_up(side: Side) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        replace_home(world, side, Circling)
        async with asyncio.timeout(3600):
            await world.rounds.round()
        assert world.gateways.equal() == [SYSTEM_NAMESPACE, A, B]

    scenario()


@pytest.mark.parametrize("side", list(Side))
def test_a_crawl_that_raises_ends_neither_the_round_nor_another_crawl(side: Side) -> None:
    @in_a_world
    async def scenario(world: World) -> None:
        replace_home(world, side, Breaking)
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
        replace_home(world, side, Forgetful)
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
async def test_a_shorter_pause_counts_before_the_one_under_way_is_over(world: World) -> None:
    rounds = world.rounds_for(world.gateways, pause_s=3600.0)
    running = asyncio.create_task(rounds.run())
    await asyncio.sleep(5.0)
    rounds.work = replace(rounds.work, pause_s=20.0)
    await asyncio.sleep(20.0)
    running.cancel()
    assert rounds.counters.rounds == 2


@in_a_world
async def test_a_namespace_in_trouble_comes_before_the_others(world: World) -> None:
    world.gateways.known = Trouble(frozenset({B}))
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B, A]


@in_a_world
async def test_nobody_is_told_of_a_crawl_that_changed_nothing(world: World) -> None:
    world.board.ask(RunRequest(B, dry_run=True))
    await world.rounds.round()
    assert [told.namespace for told in world.gateways.told] == [SYSTEM_NAMESPACE, A, B]


def _raise() -> Failed:
    raise KeyError("a bug")
