"""Rounds over namespaces that are kept in one home alone, or are on their way between modes."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.crawl_status import HistoryPage, RunRequest, Stop
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.operations import CrawlReport as Told
from tandem.core.reply import Found, Missing, Side
from tandem.core.version import Version
from tests.crawler.rounds_world import A, B, World, in_a_world, record_key
from tests.sim.loop import EPOCH_US

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
async def test_a_run_goes_by_the_mode_that_a_namespace_has_when_its_turn_comes(
    world: World,
) -> None:
    """A run over all of them may last for hours."""
    tell = world.gateways.tell

    async def telling(report: Told) -> None:
        await tell(report)
        if world.gateways.equal() == [SYSTEM_NAMESPACE] * 2:  # the round's, then the run's
            await world.namespace(A, mode=ONLY)
            await world.namespace(B, mode=Mode(Stage.SINGLE, Side.S3))

    world.gateways.tell = telling  # type: ignore[method-assign]
    world.board.ask(RunRequest())
    await world.rounds.round()
    [run] = world.board.runs
    assert [(one.namespace, one.alone) for one in run.crawls] == [
        (SYSTEM_NAMESPACE, None), (A, Side.KVSP),
    ]  # fmt: skip
    assert (run.ended, run.failure) == (True, "")


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


@pytest.mark.parametrize("deleted", [True, False])
def test_of_what_is_crawled_no_more_nothing_is_shown_as_found(deleted: bool) -> None:
    """For a day, until it ends, its drift and its breaker would alarm those who can do nothing."""

    @in_a_world
    async def scenario(world: World) -> None:
        await world.hold(Key(A, "key"), seal(Version.at(EPOCH_US), b"value"), Side.KVSP)
        await world.rounds.round()
        assert {A: 1, B: 0}.items() <= _drifted(world).items()
        for namespace in (A, B):
            world.book.stop(Stop(namespace, EPOCH_US, 5_000, "too much"))
        world.gateways.off_from_look = world.gateways.looks  # B's breaker waits on
        world.gateways.off_leaves = (Side.KVSP,)
        if deleted:
            await world.hold(record_key(A), seal_tombstone(Version.at(EPOCH_US + 10)))
        else:
            await world.namespace(A, mode=Mode(Stage.SINGLE, Side.S3))
        await world.rounds.round()
        assert _drifted(world) == {SYSTEM_NAMESPACE: 0, B: 0}
        assert world.board.breakers_open == 1
        assert world.book.history(HistoryPage(A)), "what was found stays in the report"

    scenario()


def _drifted(world: World) -> dict[str, int]:
    return {one.namespace: one.tally.drifted for one in world.board.latest}


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
    for key, content in ((STORE_ID_KEY, b"6" * 32), (record_key(A), value)):
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
    for left, why in (
        ((Side.S3,), "kvsp is switched off"),
        ((), "no gateway answers the crawler (its log says why), or both homes are off"),
    ):
        world.gateways.off_leaves = left
        await world.rounds.round()
        assert world.pair.kvsp.calls == world.pair.s3.calls == []
        assert _counted(world) == []
        assert world.board.unready() == f"waiting: {why}"


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
