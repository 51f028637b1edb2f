"""A home that takes calls and answers nothing: a change is refused while its caller still waits."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from kvgateway.registry.changes import CONFIRM_S
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.records import LOOK_DEADLINE_S
from kvgateway.state.switches import HomeSwitch
from tandem.core.access import Permission
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import SettingsChange
from tandem.core.reply import Found, Missing, Side
from tandem.core.token import TokenWish
from tandem.core.write_race import AckPolicy
from tandem.errors import Unavailable, Unchanged
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.memory_copy import MemoryCopy
from tests.kvgateway.registry.registered import Registered
from tests.kvgateway.timed import in_virtual_time

_NOTHING = SettingsChange()
_WISH = TokenWish("x", Permission.READ, None)
_EACH_HOME = pytest.mark.parametrize("side", list(Side))


async def _refused(
    change: Awaitable[Any], why: str, kind: type[Unavailable] = Unavailable
) -> float:
    """How long it took to refuse a change."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(kind, match=why):
        await change
    return loop.time() - began_s


@_EACH_HOME
@in_virtual_time
async def test_nothing_is_changed_while_a_home_does_not_answer(side: Side) -> None:
    homes = TwoHomes()
    one = Registered(homes)
    made = await one.namespaces.create("a", _NOTHING)
    await one.looks()
    homes.by_side[side].hangs = True
    changes: list[Awaitable[Any]] = [
        one.namespaces.create("b", _NOTHING),
        one.namespaces.rename(made.id, "b"),
        one.namespaces.configure(made.id, SettingsChange(AckPolicy.BOTH)),
        one.namespaces.delete(made.id),
        one.tokens.create(_WISH),
        one.steps.step(made.id, Mode(Stage.SHADOW, Side.KVSP), 0, force=True),
    ]
    why = f"nothing was changed: {side.value}: timeout.*switch it off for writes"
    refused_s = [await _refused(change, why, Unchanged) for change in changes]
    assert refused_s == [LOOK_DEADLINE_S] * len(changes)
    homes.by_side[side].hangs = False
    assert await one.namespaces.list() == [made]
    assert await one.tokens.list() == []


@_EACH_HOME
@in_virtual_time
async def test_a_revocation_counts_though_a_home_does_not_answer(side: Side) -> None:
    homes = TwoHomes()
    one = Registered(homes)
    token = (await one.tokens.create(_WISH)).token
    homes.by_side[side].hangs = True
    took_s = await _refused(one.tokens.revoke(token.id), "outcome unknown.*switch it off")
    assert took_s <= 2 * LOOK_DEADLINE_S + CONFIRM_S
    assert one.token_records.missing(token.id)


@_EACH_HOME
@in_virtual_time
async def test_a_home_that_falls_silent_under_a_change_is_not_waited_for(side: Side) -> None:
    homes = TwoHomes()
    one = Registered(homes)
    home = homes.by_side[side]
    home.puts_held = asyncio.Event()
    why = "outcome unknown: no confirmation of both homes in 3 s.*switch it off"
    assert await _refused(one.namespaces.create("a", _NOTHING), why) == CONFIRM_S
    home.puts_held.set()
    await one.gateway.writer.drained()
    [made] = await one.namespaces.list()
    assert isinstance(await home.get(NAMESPACES.key_of(made.id), 1.0), Found), "the leg ran on"


@_EACH_HOME
@in_virtual_time
async def test_a_silent_home_that_is_switched_off_for_writes_is_done_without(side: Side) -> None:
    homes = TwoHomes()
    one = Registered(homes)
    homes.by_side[side].hangs = True
    one.a_home_is_out = True
    made = await one.namespaces.create("a", _NOTHING)
    homes.by_side[side].hangs = False
    key = NAMESPACES.key_of(made.id)
    assert isinstance(await homes.by_side[side].get(key, 1.0), Missing)
    assert isinstance(await homes.by_side[side.other].get(key, 1.0), Found)


@_EACH_HOME
@in_virtual_time
async def test_a_home_that_is_switched_off_for_reads_is_not_silent(side: Side) -> None:
    homes = TwoHomes()
    one = Registered(homes)
    registry = Registry(
        homes=one.guards, reader=one.gateway.reader, clock=homes.clock,
        file=MemoryCopy(NAMESPACES), home_is_out=lambda: False,
    )  # fmt: skip
    homes.by_side[side].hangs = True
    await registry.refresh()
    assert list(registry.silent()) == [side]
    one.guards[side].switch = HomeSwitch(reads=False, writes=True)
    await registry.refresh()
    assert not registry.silent()
