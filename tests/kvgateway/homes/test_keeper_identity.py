"""Whose the homes are: the keeper admits those of its store, names new ones, bars strangers."""

import asyncio

import pytest

from kvgateway.homes.keeper import LOOK_AGAIN_S
from kvgateway.state.switches import Switches
from tandem.backends.store_id import STORE_ID_KEY, shown
from tandem.core.reply import Failed, Missing, Side
from tests.kvgateway.homes.keeper_world import KEY, OFF, OTHER_STORE, STORE, Kept, kept
from tests.memory.home import MemoryHome


@kept
async def test_homes_that_show_the_store_id_are_admitted_and_trusted(here: Kept) -> None:
    assert [here.barred(side) for side in Side] == ["", ""]
    assert here.behind() == ()
    assert here.pair.time.known()


@pytest.mark.parametrize("side", list(Side))
def test_a_home_of_another_store_is_barred_and_left_alone(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        await here.show(side, OTHER_STORE, 2)
        await here.keeper.round()
        assert "another store" in here.barred(side)
        assert here.barred(side.other) == ""
        assert here.behind() == (side,)
        assert shown((await here.pair.held(STORE_ID_KEY))[side]) == OTHER_STORE
        await here.show(side, STORE, 3)
        await here.keeper.round()
        assert here.barred(side) == ""

    scenario()


@kept
async def test_whoever_waits_for_a_home_that_is_reached_anew_has_it_looked_at(here: Kept) -> None:
    """It is known at once to be the right one, or another."""
    guard, home = here.pair.guards[Side.KVSP], here.pair.kvsp
    running = asyncio.create_task(here.keeper.run())
    await asyncio.sleep(0.5)
    for reached, store_id, found in ((1, STORE, Missing), (2, OTHER_STORE, Failed)):
        home.reached = reached
        await here.show(Side.KVSP, store_id, reached)
        assert isinstance(await guard.get(KEY, 1.0), Failed)
        await asyncio.sleep(2 * LOOK_AGAIN_S)
        assert isinstance(await guard.get(KEY, 1.0), found)
        assert bool(here.barred(Side.KVSP)) is (store_id == OTHER_STORE)
    running.cancel()


@kept
async def test_a_home_that_does_not_show_its_id_is_not_looked_at_without_a_pause(
    here: Kept,
) -> None:
    """However many wait for it."""
    guard, home = here.pair.guards[Side.KVSP], here.pair.kvsp
    running = asyncio.create_task(here.keeper.run())
    await asyncio.sleep(0.5)
    home.down()
    home.reached = 1
    home.calls.clear()
    for _ in range(1000):
        await guard.get(KEY, 1.0)
        await asyncio.sleep(0.001)
    assert 0 < len(home.calls) <= 1 / LOOK_AGAIN_S
    running.cancel()


@kept
async def test_a_home_that_is_reached_anew_during_a_look_is_looked_at_again(here: Kept) -> None:
    guard, home = here.pair.guards[Side.KVSP], here.pair.kvsp
    home.delay_s = 0.1
    look = asyncio.create_task(here.keeper.round())
    await asyncio.sleep(0.05)
    home.reached = 1
    await look
    assert isinstance(await guard.get(KEY, 1.0), Missing)


@pytest.mark.parametrize("side", list(Side))
def test_an_empty_home_is_given_the_id_and_lacks_everything(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        await here.crawled()
        here.pair.homes[side].memory = MemoryHome(side, here.pair.clock)
        await here.keeper.round()
        assert "empty" in here.barred(side)
        await here.keeper.round()
        assert here.barred(side) == ""
        assert shown((await here.pair.held(STORE_ID_KEY))[side]) == STORE
        assert here.behind() == (side,)
        await here.keeper.round()
        await here.crawled()
        assert here.behind() == ()

    scenario()


@kept
async def test_an_empty_home_that_is_switched_off_is_not_written_to(here: Kept) -> None:
    here.switches.store(Switches(1, s3=OFF))
    here.pair.s3.memory = MemoryHome(Side.S3, here.pair.clock)
    for _ in range(3):
        await here.keeper.round()
    assert isinstance((await here.pair.held(STORE_ID_KEY))[Side.S3], Missing)


@kept
async def test_a_home_that_does_not_answer_is_no_other_store(here: Kept) -> None:
    here.pair.s3.down()
    await here.keeper.round()
    assert here.barred(Side.S3) == ""
