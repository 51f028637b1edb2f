"""What the log tells of a home that is given up, comes back, or is switched."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from kvgateway.state.switches import HomeSwitch
from tandem.core.reply import Missing, Side
from tests.kvgateway.homes.keeper_world import KEY, Kept, kept
from tests.kvgateway.two_homes import DOWN

pytestmark = pytest.mark.usefixtures("own_logs")


def _of_homes(logs: list[EventDict]) -> list[EventDict]:
    return [
        {name: field for name, field in line.items() if name != "part"}
        for line in logs
        if line.get("part") == "homes"
    ]


def _given_up(side: Side) -> EventDict:
    return {"event": "home_given_up", "log_level": "warning", "home": side.value, "why": str(DOWN)}


def _in_use(side: Side) -> EventDict:
    return {"event": "home_in_use_again", "log_level": "info", "home": side.value}


@pytest.mark.parametrize("side", list(Side))
def test_an_outage_is_told_once_and_so_is_its_end(side: Side) -> None:
    @kept
    async def scenario(here: Kept) -> None:
        with capture_logs() as logs:
            here.pair.homes[side].down()
            for _ in range(50):
                await asyncio.sleep(0.1)
                await here.keeper.round()
            assert _of_homes(logs) == [_given_up(side)]
            here.pair.homes[side].up()
            for _ in range(50):
                await asyncio.sleep(0.1)
                await here.keeper.round()
            assert _of_homes(logs) == [_given_up(side), _in_use(side)]

    scenario()


@kept
async def test_an_outage_between_two_rounds_is_told(here: Kept) -> None:
    guard = here.pair.guards[Side.S3]
    here.pair.s3.down()
    for _ in range(3):
        await asyncio.sleep(0.01)
        assert await guard.get(KEY, 1.0) == DOWN
    here.pair.s3.up()
    await asyncio.sleep(0.3)
    guard.heard(Missing(here.pair.clock.now_us()), 2.0)
    with capture_logs() as logs:
        await here.keeper.round()
        await here.keeper.round()
    assert _of_homes(logs) == [_given_up(Side.S3), _in_use(Side.S3)]


@kept
async def test_a_switch_is_told_when_it_comes_into_force(here: Kept) -> None:
    with capture_logs() as logs:
        for reads, writes in ((False, False), (True, False), (True, True)):
            here.switches.store(replace(
                here.switches.load(), epoch=here.switches.load().epoch + 1,
                kvsp=HomeSwitch(reads, writes),
            ))  # fmt: skip
            here.keeper.look_at_switches()
            here.keeper.look_at_switches()
    off = {"event": "home_switched_off", "log_level": "warning", "home": "kvsp", "writes": "off"}
    on = {"event": "home_switched_on", "log_level": "info", "home": "kvsp"}
    assert _of_homes(logs) == [
        {**off, "epoch": 1, "reads": "off"}, {**off, "epoch": 2, "reads": "on"}, {**on, "epoch": 3}
    ]  # fmt: skip
