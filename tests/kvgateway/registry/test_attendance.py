"""Registrations of processes that are gone for good: ignored soon, and buried after a day."""

from itertools import repeat

import pytest

from kvgateway.registry import attendance
from kvgateway.registry.presence import PREFIX
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.record import Kind
from tandem.core.registration import FORGOTTEN_US
from tandem.core.reply import Found, Side
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import Registered

SHADOW = Mode(Stage.SHADOW, Side.S3)
DAY_S = FORGOTTEN_US / 1e6


async def _kinds(homes: TwoHomes, gateway: str) -> list[Kind]:
    """What each home holds of a registration."""
    key = Key(IDENTITY_NAMESPACE, PREFIX + gateway)
    replies = [await home.memory.get(key, 1.0) for home in homes.by_side.values()]
    return [reply.record.kind for reply in replies if isinstance(reply, Found)]


async def _later(homes: TwoHomes, by_s: float) -> tuple[Registered, Registered, str]:
    """Two were there, and one of them is there so much later; and a namespace."""
    one, two = Registered(homes, 1), Registered(homes, 2)
    for each in (one, two):
        await each.looks()
    namespace = await one.create(ACTIVE)
    homes.clock.advance(by_s)
    for each in (one, two):
        each.gateway.time.observe(Side.KVSP, homes.clock.now_us())
    await one.looks()
    return one, two, namespace.id


async def test_who_was_gone_a_day_ago_is_buried_and_not_read_again() -> None:
    homes = TwoHomes()
    one, two, namespace_id = await _later(homes, DAY_S + 1.0)
    await one.namespaces.rename(namespace_id, "b")
    assert await _kinds(homes, "g2.0") == [Kind.TOMBSTONE] * 2
    assert not (await one.steps.report(namespace_id, SHADOW)).objections
    assert await _kinds(homes, "g1.0") == [Kind.VALUE] * 2
    calls = homes.kvsp.calls
    await attendance.look(one.guards, one.gateway.time.now_us())
    assert homes.kvsp.calls - calls == 2, "the listing, and the one that is there"

    await two.looks()
    assert await _kinds(homes, "g2.0") == [Kind.VALUE] * 2, "one that comes back is there again"
    seen = await attendance.look(one.guards, one.gateway.time.now_us())
    assert [each.id for each in seen.registrations] == ["g1.0", "g2.0"]


async def test_who_is_gone_for_less_than_a_day_stays() -> None:
    homes = TwoHomes()
    one, _, namespace_id = await _later(homes, DAY_S - 1.0)
    await one.namespaces.rename(namespace_id, "b")
    assert await _kinds(homes, "g2.0") == [Kind.VALUE] * 2


@pytest.mark.parametrize("down", list(Side))
async def test_while_a_home_does_not_answer_nobody_is_buried(down: Side) -> None:
    homes = TwoHomes()
    one, *_ = await _later(homes, DAY_S + 1.0)
    homes.by_side[down].failing = repeat(True)
    await attendance.bury(one.guards, [f"{PREFIX}g2.0"], one.gateway.time.now_us())
    assert await _kinds(homes, "g2.0") == [Kind.VALUE] * 2


async def test_who_came_back_meanwhile_is_not_buried() -> None:
    """It registers anew between the look and the burial, or after what the burial has read."""
    homes = TwoHomes()
    one, two, _ = await _later(homes, DAY_S + 1.0)
    now_us = one.gateway.time.now_us()
    seen = await attendance.look(one.guards, now_us)
    assert seen.forgotten == (f"{PREFIX}g2.0",)
    await two.looks()
    await attendance.bury(one.guards, seen.forgotten, now_us)
    assert await _kinds(homes, "g2.0") == [Kind.VALUE] * 2


async def test_a_burial_that_reached_one_home_is_ended_later() -> None:
    homes = TwoHomes()
    one, *_ = await _later(homes, DAY_S + 1.0)
    names, now_us = [f"{PREFIX}g2.0"], one.gateway.time.now_us()
    homes.s3.failing = iter([False, *repeat(True, 5)])
    await attendance.bury(one.guards, names, now_us)
    assert await _kinds(homes, "g2.0") == [Kind.TOMBSTONE, Kind.VALUE]
    homes.s3.failing = repeat(False)
    assert (await attendance.look(one.guards, now_us)).forgotten == tuple(names)
    await attendance.bury(one.guards, names, now_us)
    assert await _kinds(homes, "g2.0") == [Kind.TOMBSTONE] * 2


async def test_a_registration_in_a_form_that_is_not_known_is_left_alone() -> None:
    homes = TwoHomes()
    one, *_ = await _later(homes, DAY_S + 1.0)
    name = f"{PREFIX}g9.0"
    for home in homes.by_side.values():
        record = seal(homes.version(), b'{"format": 99}')
        await home.memory.put_if_newer(Key(IDENTITY_NAMESPACE, name), record, 1.0)
    await attendance.bury(one.guards, [name], one.gateway.time.now_us())
    assert await _kinds(homes, "g9.0") == [Kind.VALUE] * 2


async def test_so_many_are_buried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendance, "BURIED_MAX", 2)
    homes = TwoHomes()
    for number in range(11, 16):
        await Registered(homes, number).looks()
    one, _, namespace_id = await _later(homes, DAY_S + 1.0)
    left = []
    for title in "abcd":
        await one.namespaces.rename(namespace_id, title)
        seen = await attendance.look(one.guards, one.gateway.time.now_us())
        left.append(len(seen.forgotten))
    assert left == [4, 2, 0, 0]
