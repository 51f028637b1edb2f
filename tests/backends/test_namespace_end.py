"""The end of a deleted namespace: only when both homes have long known, and then all of it."""

import pytest

from tandem.backends.namespace_end import NamespaceEnd, end_namespace
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.record import Record
from tandem.core.removal import Removal
from tandem.core.reply import Failed, Reason, Side
from tandem.core.version import Version
from tests.backends.collecting import (
    DEADLINE_S,
    HOUR_US,
    NAMESPACE,
    NOW_US,
    RULE,
    SetClock,
    World,
)

RECORD = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{NAMESPACE}")
OLD = seal_tombstone(Version.at(NOW_US - 25 * HOUR_US))
YOUNG = seal_tombstone(Version.at(NOW_US - 23 * HOUR_US))
LIVE = seal(Version.at(NOW_US - 30 * HOUR_US), b"{}")


def filled(kvsp: Record | None, s3: Record | None, keys: int = 30) -> World:
    world = World()
    for home, record in ((world.sql, kvsp), (world.s3, s3)):
        if record is not None:
            home.place(RECORD, record)
    for number in range(keys):
        world.place(f"key {number}", LIVE)
    return world


async def end(world: World) -> NamespaceEnd | Failed | None:
    return await end_namespace(world.sql, world.s3, NAMESPACE, RULE, DEADLINE_S)


async def test_all_of_it_goes_and_its_tombstone_stays() -> None:
    world = filled(OLD, OLD)
    other = Key("cd" * 16, "kept")
    for home in (world.sql, world.s3):
        home.place(other, LIVE)
    assert await end(world) == NamespaceEnd(30, 30, more=False)
    assert await end(world) == NamespaceEnd(0, 0, more=False)
    for home in (world.sql, world.s3):
        page = await home.scan(NAMESPACE, after="", prefix="", limit=9, deadline_s=DEADLINE_S)
        assert not isinstance(page, Failed)
        assert page.entries == ()
        assert home._namespace(other.namespace).records == {"kept": LIVE}
        assert home._namespace(SYSTEM_NAMESPACE).records == {RECORD.name: OLD}


@pytest.mark.parametrize(
    ("kvsp", "s3"),
    [(YOUNG, YOUNG), (OLD, None), (None, OLD), (None, None), (LIVE, LIVE), (OLD, YOUNG)],
)
async def test_nothing_goes_before_both_homes_have_long_known(
    kvsp: Record | None, s3: Record | None
) -> None:
    world = filled(kvsp, s3)
    assert await end(world) is None
    assert len(world.sql._namespace(NAMESPACE).records) == 30
    assert len(world.s3._namespace(NAMESPACE).records) == 30


@pytest.mark.parametrize(
    ("rows_at_once", "objects_at_once", "steps"),
    [
        (20, 7, [(20, 7, True), (10, 7, True), (0, 7, True), (0, 7, True), (0, 2, False)]),
        (20, 40, [(20, 30, True), (10, 0, False)]),
    ],
)
async def test_a_step_that_was_cut_short_is_gone_on_with(
    rows_at_once: int,
    objects_at_once: int,
    steps: list[tuple[int, int, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tandem.backends.namespace_end.ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr("tandem.backends.namespace_end.OBJECTS_AT_ONCE", objects_at_once)
    world = filled(OLD, OLD)
    for step in steps:
        assert await end(world) == NamespaceEnd(*step)


@pytest.mark.parametrize("ahead", Side)
async def test_a_home_whose_clock_is_ahead_does_not_hasten_it(ahead: Side) -> None:
    world = filled(YOUNG, YOUNG)
    home = world.sql if ahead is Side.KVSP else world.s3
    home._clock = SetClock(NOW_US + 2 * HOUR_US)
    assert await end(world) is None


async def test_a_home_that_fails_leaves_it_for_later() -> None:
    world = filled(OLD, OLD)
    await world.s3.aclose()
    assert await end(world) is None
    assert len(world.sql._namespace(NAMESPACE).records) == 30


@pytest.mark.parametrize(
    ("answer", "told"),
    [(Removal.LIVE, None), (Failed(Reason.UNREACHABLE), Failed(Reason.UNREACHABLE))],
)
async def test_no_object_goes_while_kvsp_does_not_refuse_the_namespace(
    answer: Removal | Failed, told: Failed | None
) -> None:
    world = filled(OLD, OLD)
    world.slow_sql.fails = lambda call: answer if call == "purge_namespace" else None
    rows, objects = world.homes.rows, world.s3
    assert await end_namespace(rows, objects, NAMESPACE, RULE, DEADLINE_S) == told
    assert len(objects._namespace(NAMESPACE).records) == 30


@pytest.mark.parametrize("namespace", [SYSTEM_NAMESPACE])
async def test_a_reserved_namespace_has_no_end(namespace: str) -> None:
    world = World()
    with pytest.raises(AssertionError):
        await end_namespace(world.sql, world.s3, namespace, RULE, DEADLINE_S)
