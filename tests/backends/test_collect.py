"""Deleting for good over two homes in memory: complete, abandoned anywhere, raced, and refused."""

import asyncio
import itertools
from collections.abc import Callable

import pytest

from tandem.backends.collect import Collected, collect, sweep
from tandem.backends.heal import LeftToSweep, heal
from tandem.backends.mirror import read_mirror
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Refused, Side, Stored
from tandem.core.version import NO_VERSION, Version
from tests.backends.collecting import (
    DEADLINE_S,
    HOUR_US,
    NAMESPACE,
    NOW_US,
    PLENTY,
    Crawled,
    World,
    settled,
)
from tests.memory.home import MemoryHome

DAY_US = 24 * HOUR_US
OLD = seal(Version.at(NOW_US - 3 * DAY_US), b"old")
GONE = seal_tombstone(Version.at(NOW_US - 2 * DAY_US))
KEPT = seal(Version.at(NOW_US - 3 * DAY_US + 1), b"kept")
LATER = seal(Version.at(NOW_US - DAY_US // 2), b"later")
EXPIRED = seal(
    Version.at(NOW_US - 3 * DAY_US + 2), b"x" * 100, expires_at_s=(NOW_US - 2 * DAY_US) // 10**6
)
SHAPES = pytest.mark.parametrize("removes", [True, False], ids=["DELETE works", "objects stay"])


def deleted(removes: bool = True) -> World:
    """A key deleted two days ago, one that expired then, one live below them, one above."""
    world = World(removes)
    world.place("key", GONE)
    world.place("expiring", EXPIRED)
    world.place("kept", KEPT)
    world.place("later", LATER)
    return world


async def assert_gone(world: World, *names: str) -> None:
    """No reader sees the keys, in whatever order the homes answer; the others are all there."""
    for name, first in itertools.product(names, Side):
        assert await world.read(name, first) is None, f"{name} is back, {first} first"
    for name, record in (("kept", KEPT), ("later", LATER)):
        assert await world.held(world.sql, name) == record
        assert await world.held(world.s3, name) == record


@SHAPES
async def test_what_is_dead_leaves_both_homes(removes: bool) -> None:
    world = deleted(removes)
    plan = (await world.crawl()).plan()
    done = await collect(world.homes, plan, PLENTY)
    assert await world.floor() == GONE.version
    assert await world.held(world.sql, "key") is None
    assert await world.held(world.sql, "expiring") is None
    if removes:
        assert done == Collected(rows=2, objects=2)
        assert await world.held(world.s3, "key") is None
        assert await world.held(world.s3, "expiring") is None
    else:
        assert done == Collected(rows=2, replaced=1)
        assert await world.held(world.s3, "key") == GONE
        assert await world.held(world.s3, "expiring") == GONE, "its value still takes room"
    assert not (await world.crawl()).unequal
    await assert_gone(world, "key", "expiring")
    assert await collect(world.homes, plan, PLENTY) is not None
    await settled(world)
    await assert_gone(world, "key", "expiring")


async def test_what_is_young_stays() -> None:
    world = World()
    young = seal_tombstone(Version.at(NOW_US - DAY_US))
    world.place("young", young)
    world.place("lately expired", seal(OLD.version, b"v", expires_at_s=(NOW_US - HOUR_US) // 10**6))
    plan = (await world.crawl()).plan()
    assert plan.dead == ()
    assert await collect(world.homes, plan, PLENTY) == Collected()
    assert world.slow_sql.calls == [], "no floor rises for nothing"
    await settled(world)
    assert await world.held(world.sql, "young") == young
    assert await world.floor() == NO_VERSION
    world.clock.us += 1
    assert [one.name for one in (await world.crawl()).plan().dead] == ["young"]


async def test_what_is_unequal_below_a_tombstone_keeps_it() -> None:
    world = deleted()
    world.sql.drop(Key(NAMESPACE, "kept"))
    assert (await world.crawl()).plan().dead == ()
    await settled(world)
    await assert_gone(world, "key", "expiring")
    assert await world.floor() == GONE.version


@SHAPES
async def test_a_late_request_does_not_bring_a_key_back(removes: bool) -> None:
    world = deleted(removes)
    await settled(world)
    for home in (world.sql, world.s3):
        read = await home.get(Key(NAMESPACE, "key"), DEADLINE_S)
        await home.put_if_newer(Key(NAMESPACE, "key"), OLD, DEADLINE_S)
        if read.home_time_us:
            home.place(Key(NAMESPACE, "no grace"), OLD) if home is world.s3 else None
    assert await world.held(world.sql, "key") is None
    assert await world.read("no grace") is None
    outcome = await heal(world.by_side, Key(NAMESPACE, "no grace"), DEADLINE_S)
    assert outcome == LeftToSweep(OLD.version)
    await settled(world)
    await assert_gone(world, "key", "no grace")
    assert await world.held(world.s3, "no grace") == (None if removes else GONE)


async def test_sql_refuses_an_old_copy() -> None:
    world = deleted()
    await settled(world)
    from tandem.backends.port import Heal

    copy = await world.sql.put_if_newer(
        Key(NAMESPACE, "key"), OLD, DEADLINE_S, Heal(world.clock.us)
    )
    assert isinstance(copy, Refused)
    newer = seal(Version.at(NOW_US), b"new")
    assert isinstance(
        await world.sql.put_if_newer(Key(NAMESPACE, "key"), newer, DEADLINE_S), Stored
    )


Disaster = Callable[[World, object], None]


def s3_comes_back_old(world: World, image: object) -> None:
    world.place("key", OLD, world.s3)
    world.place("expiring", seal(OLD.version, b"older, without expiry"), world.s3)


DISASTERS: dict[str, Disaster] = {
    "nothing": lambda world, image: None,
    "SQL wiped": lambda world, image: world.sql.wipe(),
    "SQL restored": lambda world, image: world.sql.restore(image),
    "S3 wiped": lambda world, image: world.s3.wipe(),
    "a day passes": lambda world, image: setattr(world.clock, "us", world.clock.us + DAY_US),
    "a late put lands on S3": lambda world, image: _late_put(world),
}


def _late_put(world: World) -> None:
    """What conditions let land: nothing replaces what is newer."""
    held = world.s3._namespace(NAMESPACE).records.get("key")
    if held is None or held.version < OLD.version:
        world.place("key", OLD, world.s3)


@SHAPES
@pytest.mark.parametrize("disaster", DISASTERS)
async def test_abandoned_at_any_await_and_then_a_disaster(disaster: str, removes: bool) -> None:
    for steps in itertools.count():
        world = World(removes)
        for name, record in (("key", OLD), ("kept", KEPT)):
            world.place(name, record)
        world.place("expiring", seal(OLD.version, b"older, without expiry"))
        image = world.sql.image()
        world.place("key", GONE)
        world.place("expiring", EXPIRED)
        world.place("later", LATER)
        plan = (await world.crawl()).plan()
        finished = await _abandoned_after(steps, world, plan)
        DISASTERS[disaster](world, image)
        await settled(world)
        await assert_gone(world, "key", "expiring")
        if disaster != "a day passes":
            assert await world.held(world.sql, "key") in (None, GONE)
        if finished:
            assert steps > 10
            return


async def _abandoned_after(steps: int, world: World, plan: object) -> bool:
    """Whether it finished within so many turns of the loop; cancels it if not."""
    task = asyncio.ensure_future(collect(world.homes, plan, PLENTY))  # type: ignore[arg-type]
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        return True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return False


@SHAPES
async def test_a_sweep_abandoned_at_any_await_is_done_by_the_next(removes: bool) -> None:
    for steps in itertools.count():
        world = deleted(removes)
        await settled(world)
        s3_comes_back_old(world, None)
        seen = await world.crawl()
        assert set(seen.remains) >= {"key", "expiring"}
        task = asyncio.ensure_future(
            sweep(world.homes, NAMESPACE, seen.remains, seen.clusters.incarnations, PLENTY)
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        finished = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await settled(world)
        await assert_gone(world, "key", "expiring")
        if finished:
            assert steps > 5
            return


@SHAPES
async def test_a_write_that_comes_at_any_await_is_not_lost(removes: bool) -> None:
    written = seal(Version.at(NOW_US), b"written meanwhile")
    for steps in itertools.count():
        world = deleted(removes)
        plan = (await world.crawl()).plan()
        task = asyncio.ensure_future(collect(world.homes, plan, PLENTY))
        for _ in range(steps):
            await asyncio.sleep(0)
        finished = task.done()
        for home in world.by_side.values():
            await home.put_if_newer(Key(NAMESPACE, "key"), written, DEADLINE_S)
        await task
        await settled(world)
        assert await world.held(world.sql, "key") == written
        assert await world.held(world.s3, "key") == written
        await assert_gone(world, "expiring")
        if finished:
            return


@SHAPES
@pytest.mark.parametrize("side", Side)
async def test_a_write_that_reached_one_home_is_not_lost(side: Side, removes: bool) -> None:
    written = seal(Version.at(NOW_US), b"written meanwhile")
    for steps in itertools.count():
        world = deleted(removes)
        plan = (await world.crawl()).plan()
        task = asyncio.ensure_future(collect(world.homes, plan, PLENTY))
        for _ in range(steps):
            await asyncio.sleep(0)
        finished = task.done()
        await world.by_side[side].put_if_newer(Key(NAMESPACE, "key"), written, DEADLINE_S)
        await task
        assert await world.read("key") == written
        await settled(world)
        assert await world.held(world.sql, "key") == written
        if finished:
            return


@SHAPES
async def test_collectors_and_heals_may_race(removes: bool) -> None:
    for lead in range(0, 30, 3):
        world = deleted(removes)
        plan = (await world.crawl()).plan()

        async def second(world: World = world, lead: int = lead) -> None:
            for _ in range(lead):
                await asyncio.sleep(0)
            await collect(world.homes, (await world.crawl()).plan(), PLENTY)

        await asyncio.gather(
            collect(world.homes, plan, PLENTY),
            second(),
            *(heal(world.by_side, Key(NAMESPACE, n), DEADLINE_S) for n in ("key", "expiring")),
        )
        await settled(world)
        await assert_gone(world, "key", "expiring")
        mirror = await read_mirror(world.s3, "memory", DEADLINE_S)
        assert not isinstance(mirror, Failed)
        assert mirror.life is not None
        assert mirror.life.floors_of(NAMESPACE).of(b"key") == GONE.version


@SHAPES
async def test_the_sweep_goes_one_way_and_only_below_the_floor(removes: bool) -> None:
    world = deleted(removes)
    await settled(world)
    both = (world.sql, world.s3)
    cases: dict[str, tuple[Record, tuple[MemoryHome, ...], bool]] = {
        "zombie": (OLD, (world.s3,), True),
        "in both": (OLD, both, False),
        "in SQL alone": (OLD, (world.sql,), False),
        "above the floor": (LATER, (world.s3,), False),
        "at the floor": (GONE, (world.s3,), removes),
    }
    for name, (record, homes, _) in cases.items():
        world.place(name, record, *homes)
    named = (await world.clusters()).incarnations
    await sweep(world.homes, NAMESPACE, list(cases), named, PLENTY)
    for name, (record, homes, goes) in cases.items():
        left = await world.held(world.s3, name)
        before = record if world.s3 in homes else None
        assert left == ((None if removes else GONE) if goes else before), name
        assert await world.held(world.sql, name) == (record if world.sql in homes else None)


async def test_in_kvsp_alone_nothing_but_rows_is_touched() -> None:
    from dataclasses import replace

    world = deleted()
    seen: Crawled = await world.crawl()
    alone = replace(world.homes, objects=None)
    assert await collect(alone, seen.plan(), PLENTY) == Collected(rows=2)
    assert world.slow_s3.calls == []
    assert await world.floor() == GONE.version
