"""The keeper: which of the homes misses writes, and until when."""

import asyncio

import pytest

from kvgateway.homes.home_time import DISAGREEMENT_MAX_US
from kvgateway.homes.keeper import SWITCHES_S
from kvgateway.state.ports import RepairTask
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.core.backoff import BreakerState
from tandem.core.reply import Failed, Missing, Reason, Side
from tandem.core.version import Version
from tandem.errors import Unavailable
from tandem.runtime.telemetry import Metrics
from tests.kvgateway.homes.keeper_world import KEY, OFF, Kept, kept
from tests.kvgateway.two_homes import DOWN, NAMESPACE
from tests.sim.loop import EPOCH_US


@kept
async def test_it_shows_which_home_is_behind_and_that_clocks_disagree(here: Kept) -> None:
    metrics = Metrics("test", here.pair.clock)
    here.keeper.show(metrics)
    quiet = b'behind{home="kvsp"} 0.0', b'behind{home="s3"} 0.0', b"clock_alarm 0.0"
    page = metrics.prometheus()
    assert [line for line in quiet if line not in page] == []
    here.trust.missed(Side.S3, NAMESPACE, here.pair.time.now_us())
    for ahead_us in (DISAGREEMENT_MAX_US, 2 * DISAGREEMENT_MAX_US):
        here.pair.time.observe(Side.KVSP, here.pair.clock.now_us() + ahead_us)
    await here.keeper.round()
    page = metrics.prometheus()
    shown = b'behind{home="kvsp"} 0.0', b'behind{home="s3"} 1.0', b"clock_alarm 1.0"
    assert [line for line in shown if line not in page] == []
    metrics.close(1.0)


@pytest.mark.parametrize("side", list(Side))
def test_a_home_with_an_open_breaker_is_behind_until_a_crawl_that_began_later(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        here.pair.homes[side].down()
        for _ in range(4):
            await asyncio.sleep(0.1)
            await here.keeper.round()
        assert here.pair.guards[side].breaker.state is not BreakerState.CLOSED
        assert here.behind() == (side,)
        await here.crawled()
        assert here.behind() == ()
        await here.keeper.round()
        assert here.behind() == (side,), "it still misses writes"
        here.pair.homes[side].up()
        await asyncio.sleep(0.3)
        await here.keeper.round()
        await here.crawled()
        await here.keeper.round()
        assert here.behind() == ()

    scenario()


@kept
async def test_a_breaker_that_opened_and_closed_between_two_rounds_is_noticed(here: Kept) -> None:
    """A round takes as long as the slower home does; a breaker is open for less."""
    guard = here.pair.guards[Side.S3]
    here.pair.s3.down()
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert await guard.get(KEY, 1.0) == DOWN
    states = [guard.breaker.state]
    here.pair.s3.up()
    await asyncio.sleep(0.3)
    guard.heard(Missing(here.pair.clock.now_us()), 2.0)
    states.append(guard.breaker.state)
    assert states == [BreakerState.OPEN, BreakerState.CLOSED]
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_switch_that_was_off_between_two_rounds_is_noticed(here: Kept) -> None:
    following = asyncio.create_task(here.keeper.follow_switches())
    here.switches.store(Switches(1, kvsp=HomeSwitch(reads=True, writes=False)))
    await asyncio.sleep(SWITCHES_S)
    here.switches.store(Switches(2))
    await asyncio.sleep(SWITCHES_S)
    following.cancel()
    assert here.pair.guards[Side.KVSP].switch == HomeSwitch()
    await here.keeper.round()
    assert here.behind() == (Side.KVSP,)
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_home_without_reads_alone_misses_nothing(here: Kept) -> None:
    here.switches.store(Switches(1, s3=HomeSwitch(reads=False, writes=True)))
    await here.keeper.round()
    assert here.pair.guards[Side.S3].switch == HomeSwitch(reads=False, writes=True)
    assert here.behind() == ()


@kept
async def test_switches_are_followed_while_a_round_waits_for_a_slow_home(here: Kept) -> None:
    here.pair.s3.delay_s = 1.9
    running = asyncio.create_task(here.keeper.round())
    following = asyncio.create_task(here.keeper.follow_switches())
    await asyncio.sleep(0.1)
    here.switches.store(Switches(1, s3=OFF))
    await asyncio.sleep(SWITCHES_S)
    assert not running.done()
    assert here.pair.guards[Side.S3].switch == OFF
    following.cancel()
    await running


@kept
async def test_a_home_is_not_trusted_before_its_repairs_are_done(here: Kept) -> None:
    here.switches.store(Switches(1, s3=OFF))
    await here.keeper.round()
    here.switches.store(Switches(2))
    await here.queue.add([RepairTask(KEY, Version.at(EPOCH_US), (Side.S3,))], EPOCH_US)
    for _ in range(3):
        await here.keeper.round()
        await here.crawled()
        await asyncio.sleep(1.0)
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    await here.queue.done(await here.queue.take(1, here.pair.time.now_us(), 1))
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_a_home_is_not_trusted_before_what_dead_workers_left_is_queued(here: Kept) -> None:
    here.switches.store(Switches(1, s3=OFF))
    await here.keeper.round()
    here.switches.store(Switches(2))
    await here.keeper.round()
    here.machine.note_left_over(1)
    for _ in range(3):
        await here.keeper.round()
        await here.crawled()
        await asyncio.sleep(1.0)
    await here.keeper.round()
    assert here.behind() == (Side.S3,)
    here.machine.note_left_over(0)
    await here.crawled()
    await here.keeper.round()
    assert here.behind() == ()


@kept
async def test_repairs_of_a_home_that_missed_nothing_leave_it_trusted(here: Kept) -> None:
    await here.queue.add([RepairTask(KEY, Version.at(EPOCH_US), (Side.S3,))], EPOCH_US)
    await here.keeper.round()
    assert here.behind() == ()


@pytest.mark.parametrize("side", Side)
def test_a_home_lacks_everything_on_an_operators_word_until_a_crawl(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        assert here.behind() == ()
        await here.keeper.mark_behind(side)
        assert here.behind() == (side,)
        assert here.file.trust.behind(NAMESPACE) == (side,), "the other workers hear of it"
        await here.keeper.round()
        assert here.behind() == (side,)
        await here.crawled()
        assert here.behind() == ()

    scenario()


@kept
async def test_without_the_homes_time_nothing_is_marked(here: Kept) -> None:
    await asyncio.sleep(120.0)
    with pytest.raises(Unavailable):
        await here.keeper.mark_behind(Side.S3)
    assert here.file.trust.behind(NAMESPACE) == ()


@kept
async def test_heartbeats_of_a_home_that_fails_them_open_its_breaker(here: Kept) -> None:
    here.pair.s3.down(Failed(Reason.TIMEOUT))
    running = asyncio.create_task(here.keeper.run())
    await asyncio.sleep(3.5)
    assert here.pair.guards[Side.S3].breaker.openings > 0
    running.cancel()
