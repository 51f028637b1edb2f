"""Changes of one namespace at the same moment, through two gateways: none undoes another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import combinations, repeat

import pytest

from kvgateway.registry import claims
from kvgateway.registry.presence import STEP_US
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy
from tandem.errors import NamespaceNotFound, Overloaded, Unavailable, Unchanged
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import Registered

NOTHING = SettingsChange()
SHADOW = Mode(Stage.SHADOW, Side.S3)

CHANGES: dict[str, Callable[[Registered, str], Awaitable[object]]] = {
    "rename": lambda at, ns: at.namespaces.rename(ns, "b"),
    "ack": lambda at, ns: at.namespaces.configure(ns, SettingsChange(ack_policy=AckPolicy.BOTH)),
    "read": lambda at, ns: at.namespaces.configure(ns, SettingsChange(read_mode=ReadMode.HEDGED)),
    "step": lambda at, ns: _stepped(at, ns),
}
CHANGED: dict[str, Callable[[Namespace], bool]] = {
    "rename": lambda now: now.title == "b",
    "ack": lambda now: now.settings.ack_policy is AckPolicy.BOTH,
    "read": lambda now: now.settings.read_mode is ReadMode.HEDGED,
    "step": lambda now: now.settings.mode == SHADOW,
}


async def _stepped(at: Registered, namespace_id: str) -> None:
    """A person who tries again when somebody else stands in the way."""
    while not (await at.steps.step(namespace_id, SHADOW, 0, force=False)).stepped:
        await asyncio.sleep(0.1)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries come soon, and there are as many as a busy machine needs."""
    monkeypatch.setattr(claims, "PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(claims, "TRIES_MAX", 1000)


async def _three(homes: TwoHomes) -> tuple[Sequence[Registered], str]:
    there = [Registered(homes, number) for number in (1, 2, 3)]
    for one in there:
        await one.looks()
    namespace = await there[0].create(ACTIVE)
    for one in there:
        await one.looks()
    return there, namespace.id


@pytest.mark.parametrize("names", [*combinations(CHANGES, 2)], ids="-".join)
async def test_both_changes_of_one_moment_count(names: Sequence[str]) -> None:
    there, namespace_id = await _three(TwoHomes())
    changes = (CHANGES[name](at, namespace_id) for name, at in zip(names, there, strict=False))
    await asyncio.gather(*changes)
    for at in there:
        await at.looks()
        now = await at.namespaces.get(namespace_id)
        assert [CHANGED[name](now) for name in names] == [True, True]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_deleted_namespace_stays_deleted_whoever_changes_it_at_that_moment(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that looked before the deletion, and was written after it, would bring it back."""
    (one, two, three), namespace_id = await _three(TwoHomes())
    refresh, looked, goes_on = one.registry.refresh, asyncio.Event(), asyncio.Event()

    async def refresh_and_stand_still() -> None:
        await refresh()
        if one.presence._steps:
            looked.set()
            await goes_on.wait()

    monkeypatch.setattr(one.registry, "refresh", refresh_and_stand_still)
    changing = asyncio.ensure_future(CHANGES[change](one, namespace_id))
    await looked.wait()
    deleting = asyncio.create_task(two.namespaces.delete(namespace_id))
    for _ in range(50):  # turns of the loop
        await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(changing, deleting)
    await three.looks()
    with pytest.raises(NamespaceNotFound):
        await three.namespaces.get(namespace_id)


async def test_three_changes_of_one_moment_count() -> None:
    there, namespace_id = await _three(TwoHomes())
    names = ("rename", "ack", "read")
    await asyncio.gather(
        *(CHANGES[name](at, namespace_id) for name, at in zip(names, there, strict=True))
    )
    for one in there:
        await one.looks()
        now = await one.namespaces.get(namespace_id)
        assert all(CHANGED[name](now) for name in names)


async def test_of_those_who_change_at_once_exactly_one_waits_for_the_others_to_give_way() -> None:
    there, namespace_id = await _three(TwoHomes())
    for one in there:
        await one.presence.begin_step(namespace_id)
    found = [await one.claims.begin(namespace_id) for one in there]
    assert [claim.goes_first for claim in found] == [True, False, False]


async def test_changes_within_one_process_wait_for_each_other() -> None:
    (at, *_), namespace_id = await _three(TwoHomes())
    await asyncio.gather(*(change(at, namespace_id) for change in CHANGES.values()))
    now = await at.namespaces.get(namespace_id)
    assert all(changed(now) for changed in CHANGED.values())


async def test_a_change_gives_way_for_a_while_and_is_then_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "TRIES_MAX", 6)
    homes = TwoHomes()
    (one, two, _), namespace_id = await _three(homes)
    await one.presence.begin_step(namespace_id)
    with pytest.raises(Overloaded) as refused:
        await two.namespaces.rename(namespace_id, "b")
    assert str(refused.value) == "gateway g1.0 is changing the namespace just now; try again"
    assert (await two.namespaces.get(namespace_id)).title == "a"
    await one.presence.end_step(namespace_id)
    await two.namespaces.rename(namespace_id, "b")


async def test_who_died_while_it_changed_is_waited_for_no_longer_than_its_write_can_land() -> None:
    homes = TwoHomes()
    (one, two, _), namespace_id = await _three(homes)
    await one.presence.begin_step(namespace_id)
    homes.clock.advance(STEP_US / 1e6 + 1.0)
    await two.looks()
    await two.namespaces.rename(namespace_id, "b")


async def test_a_caller_that_goes_away_leaves_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PAUSE_FIRST_S", 3600.0)
    monkeypatch.setattr(claims, "PAUSE_MOST_S", 3600.0)
    (one, two, three), namespace_id = await _three(TwoHomes())
    await two.presence.begin_step(namespace_id)
    waiting = asyncio.create_task(one.namespaces.rename(namespace_id, "b"))
    while not one.presence._steps:
        await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not one.presence._steps
    await two.presence.end_step(namespace_id)
    assert (await three.namespaces.rename(namespace_id, "c")).title == "c"


async def test_changes_of_other_namespaces_are_not_waited_for() -> None:
    homes = TwoHomes()
    (one, two, _), namespace_id = await _three(homes)
    other = await two.namespaces.create("other", NOTHING)
    await one.presence.begin_step(namespace_id)
    assert (await two.namespaces.rename(other.id, "b")).title == "b"


@pytest.mark.parametrize("down", list(Side))
async def test_without_a_home_that_is_in_use_nothing_is_changed(down: Side) -> None:
    homes = TwoHomes()
    (one, two, _), namespace_id = await _three(homes)
    homes.by_side[down].failing = repeat(True)
    with pytest.raises(Unavailable, match=f"{down.value}.*switch it off for writes"):
        await one.namespaces.rename(namespace_id, "b")
    homes.by_side[down].failing = repeat(False)
    await two.namespaces.rename(namespace_id, "c")
    assert (await two.namespaces.get(namespace_id)).title == "c", "nothing is claimed any more"


@pytest.mark.parametrize("down", list(Side))
async def test_nobody_is_alone_where_a_home_does_not_show_the_claim(down: Side) -> None:
    """It was well when the change began."""
    homes = TwoHomes()
    (one, two, _), namespace_id = await _three(homes)
    homes.by_side[down].failing = repeat(True)
    with pytest.raises(Unchanged, match=f"{down.value}.*switch it off for writes"):
        async with one.claims.alone(namespace_id):
            pytest.fail("it is changed")
    homes.by_side[down].failing = repeat(False)
    await two.namespaces.rename(namespace_id, "b")


async def test_a_home_that_is_switched_off_is_not_asked() -> None:
    homes = TwoHomes()
    (one, *_), namespace_id = await _three(homes)
    one.switch_off(Side.S3)
    one.a_home_is_out = True
    homes.s3.down = True
    assert (await one.namespaces.rename(namespace_id, "b")).title == "b"


async def test_of_what_does_not_exist_nothing_is_claimed() -> None:
    (one, *_), _ = await _three(TwoHomes())
    with pytest.raises(NamespaceNotFound):
        await one.namespaces.rename("0" * 31 + "f", "b")
