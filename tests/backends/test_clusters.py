"""Clusters and their mirrors: written by compare-and-swap, and found behind when they are."""

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from tandem.backends.clusters import (
    Clusters,
    look_at_clusters,
    mirror_floor,
    mirror_floors,
    renew_behind,
)
from tandem.backends.mirror import Mirror, mirror_key, read_mirror, write_mirror
from tandem.core.cluster_life import ClusterLife, encode_mirror
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.removal import Removal, Renewed, Span
from tandem.core.reply import Failed, ReadReply, Reason
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.randomness import SystemEntropy
from tests.backends.collecting import DEADLINE_S, NAMESPACE, NOW_US, World
from tests.memory.home import CLUSTER

ENTROPY: Final = SystemEntropy()
LOW, HIGH = Version.at(NOW_US - 200), Version.at(NOW_US - 100)
SPAN = Span(NAMESPACE)
OTHER = "cd" * 16


async def life_of(world: World) -> ClusterLife:
    [life] = (await world.clusters()).lives
    return life


async def mirror_of(world: World) -> Mirror:
    mirror = await read_mirror(world.s3, CLUSTER, DEADLINE_S)
    assert isinstance(mirror, Mirror), mirror
    return mirror


async def raised(world: World, floor: Version, span: Span = SPAN) -> None:
    """The floor of both the cluster and its mirror."""
    world.sql.set_floor(span.namespace, floor, span.raw_start, span.raw_end)
    life = await life_of(world)
    assert await mirror_floor(world.s3, life, span, floor, ENTROPY, DEADLINE_S) is None


async def renewed(world: World) -> Renewed:
    outcomes = await renew_behind(world.sql, world.s3, await world.clusters(), ENTROPY, DEADLINE_S)
    outcome = outcomes[CLUSTER]
    assert isinstance(outcome, Renewed)
    return outcome


async def test_a_mirror_says_what_was_said_to_it_and_survives_repetition() -> None:
    world = World()
    assert (await mirror_of(world)).life is None
    await raised(world, LOW, Span(NAMESPACE, "b", "d"))
    await raised(world, HIGH, Span(OTHER))
    first = await mirror_of(world)
    await raised(world, LOW, Span(NAMESPACE, "b", "d"))
    assert await mirror_of(world) == first, "it was written again for nothing"
    life = first.life
    assert life is not None
    assert [life.floors_of(NAMESPACE).of(n) for n in (b"a", b"b", b"d")] == [
        NO_VERSION, LOW, NO_VERSION,
    ]  # fmt: skip
    assert life.floors_of(OTHER).of(b"x") == HIGH
    assert not (await world.clusters()).behind


async def test_mirrors_take_over_what_they_lack_and_are_not_written_for_nothing() -> None:
    world = World()
    world.sql.set_floor(NAMESPACE, LOW, b"b", b"d")
    world.sql.set_floor(OTHER, HIGH)
    assert await taken_over(world, NAMESPACE) is None
    first = await mirror_of(world)
    assert first.life is not None
    assert first.life.floors_of(NAMESPACE).of(b"c") == LOW
    assert set(first.life.floors) == {NAMESPACE}
    world.slow_s3.calls.clear()
    assert await taken_over(world, NAMESPACE) is None
    assert "replace" not in world.slow_s3.calls
    assert await mirror_of(world) == first


async def test_a_mirror_that_cannot_take_over_says_why() -> None:
    world = World()
    world.sql.set_floor(NAMESPACE, HIGH)
    world.slow_s3.fails = lambda call: Failed(Reason.TIMEOUT) if call == "replace" else None
    assert await taken_over(world, NAMESPACE) == Failed(Reason.TIMEOUT)
    assert (await mirror_of(world)).life is None


async def taken_over(world: World, namespace: str) -> Failed | None:
    objects = world.homes.objects
    assert objects is not None
    found = await world.clusters()
    return await mirror_floors(objects, found, namespace, b"", b"", ENTROPY, DEADLINE_S)


async def test_a_mirror_of_an_earlier_life_is_written_anew_though_it_has_the_floor() -> None:
    world = World()
    await raised(world, HIGH)
    old = world.s3.image()
    world.sql.wipe()
    await renewed(world)
    world.s3.restore(old)
    await raised(world, HIGH)
    mirror = (await mirror_of(world)).life
    assert mirror is not None
    assert mirror.incarnation == (await life_of(world)).incarnation


async def test_mirrors_written_at_once_lose_nothing() -> None:
    world = World()
    spans = [Span(NAMESPACE, letter) for letter in "abc"]
    life = await life_of(world)
    outcomes = await asyncio.gather(
        *(mirror_floor(world.homes.objects or world.s3, life, span, HIGH, ENTROPY, DEADLINE_S)
          for span in spans)
    )  # fmt: skip
    written = await mirror_of(world)
    assert written.life is not None
    for span, outcome in zip(spans, outcomes, strict=True):
        starts = [start for start, _ in written.life.floors_of(NAMESPACE)]
        assert (span.raw_start in starts) == (outcome is None)
    assert any(outcome is None for outcome in outcomes)


async def test_a_swap_loses_to_whoever_came_first() -> None:
    world = World()
    found, life = await mirror_of(world), await life_of(world)
    first = await write_mirror(world.s3, found, life, ENTROPY, DEADLINE_S)
    second = await write_mirror(world.s3, found, life, ENTROPY, DEADLINE_S)
    assert (first, second) == (Removal.DONE, Removal.DIFFERENT)


@pytest.mark.parametrize("over", [0, 1])
async def test_a_mirror_that_no_record_can_hold_is_not_written(
    over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    found, life = await mirror_of(world), await life_of(world)
    room = len(encode_mirror(life)) - over
    monkeypatch.setattr("tandem.backends.mirror.VALUE_BYTES_MAX", room)
    written = await write_mirror(world.s3, found, life, ENTROPY, DEADLINE_S)
    assert isinstance(written, Failed) if over else written is Removal.DONE
    assert ((await mirror_of(world)).life is None) == bool(over)


async def test_a_wiped_cluster_is_behind_and_begins_a_new_life() -> None:
    world = World()
    await raised(world, HIGH)
    old = await life_of(world)
    world.sql.wipe()
    clusters = await world.clusters()
    assert [life.name for life, _ in clusters.behind] == [CLUSTER]
    assert (await renewed(world)).rows_removed == 0
    assert not (await world.clusters()).behind
    assert (await life_of(world)).incarnation != old.incarnation
    mirror = (await mirror_of(world)).life
    assert mirror is not None
    assert (mirror.incarnation, mirror.floors) == ((await life_of(world)).incarnation, {})
    nothing = await renew_behind(world.sql, world.s3, await world.clusters(), ENTROPY, DEADLINE_S)
    assert nothing == {}


async def test_a_restored_cluster_loses_what_it_had_collected_since() -> None:
    world = World()
    old, above = seal(LOW, b"deleted later"), seal(Version.at(NOW_US), b"above")
    world.place("key", old)
    world.place("above", above)
    image = world.sql.image()
    world.place("key", seal_tombstone(HIGH))
    await raised(world, HIGH)
    world.sql.drop(Key(NAMESPACE, "key"))
    world.s3.drop(Key(NAMESPACE, "key"))
    world.sql.restore(image)
    assert (await renewed(world)).rows_removed == 1
    assert await world.held(world.sql, "key") is None
    assert await world.held(world.sql, "above") == above
    assert await world.floor() == NO_VERSION


@pytest.mark.parametrize("between", ["wiped", "restored", "wiped twice"])
async def test_a_copy_that_is_older_than_a_whole_life_loses_what_was_deleted_before_that_one(
    between: str,
) -> None:
    world = World()
    world.place("key", seal(LOW, b"deleted later"))
    image = world.sql.image()
    world.place("key", seal_tombstone(HIGH))
    await raised(world, HIGH)
    world.sql.drop(Key(NAMESPACE, "key"))
    world.s3.drop(Key(NAMESPACE, "key"))
    for _ in range(2 if between == "wiped twice" else 1):
        if between == "restored":
            world.sql.restore(image)
        else:
            world.sql.wipe()
        await renewed(world)
    world.sql.restore(image)
    assert (await renewed(world)).rows_removed == 1
    assert await world.held(world.sql, "key") is None


async def test_a_copy_that_knows_every_deletion_keeps_its_rows_though_lives_have_ended_since() -> (
    None
):
    """There need not be another home: the namespace may be kept in KVSP alone since."""
    world = World()
    await raised(world, LOW)
    value = seal(LOW, b"alive")
    world.place("key", value)
    image = world.sql.image()
    for _ in range(2):
        world.sql.wipe()
        await renewed(world)
    world.sql.restore(image)
    assert (await renewed(world)).rows_removed == 0
    assert await world.held(world.sql, "key") == value
    assert await world.floor() == LOW


@pytest.mark.parametrize("raised_before", [False, True])
async def test_a_copy_that_knows_all_floors_but_not_all_commits_is_behind_too(
    raised_before: bool,
) -> None:
    world = World()
    if raised_before:
        await raised(world, LOW)
    image = world.sql.image()
    for name in ("a", "b"):
        key = Key(NAMESPACE, name)
        await world.sql.put_if_newer(key, seal(Version.at(NOW_US), b"v"), DEADLINE_S)
    await raised(world, LOW, Span(OTHER))
    world.sql.restore(image)
    world.sql.set_floor(OTHER, LOW)
    assert (await world.clusters()).behind


async def test_a_mirror_that_was_itself_restored_says_nothing() -> None:
    world = World()
    await raised(world, HIGH)
    old_s3 = world.s3.image()
    world.sql.wipe()
    await renewed(world)
    world.s3.restore(old_s3)
    assert not (await world.clusters()).behind
    await raised(world, LOW)
    mirror = (await mirror_of(world)).life
    assert mirror is not None
    assert mirror.incarnation == (await life_of(world)).incarnation


async def test_after_s3_was_emptied_only_what_is_said_again_is_mirrored() -> None:
    world = World()
    await raised(world, HIGH)
    world.s3.wipe()
    assert not (await world.clusters()).behind
    await raised(world, LOW, Span(OTHER))
    mirror = (await mirror_of(world)).life
    assert mirror is not None
    assert set(mirror.floors) == {OTHER}


async def test_a_renewal_that_was_abandoned_before_the_mirror_is_whole() -> None:
    world = World()
    await raised(world, HIGH)
    world.sql.wipe()
    world.slow_s3.fails = lambda call: (
        Failed(Reason.UNREACHABLE, "down") if call == "replace" else None
    )
    assert world.homes.objects is not None
    clusters = await world.clusters()
    outcomes = await renew_behind(world.sql, world.homes.objects, clusters, ENTROPY, DEADLINE_S)
    assert isinstance(outcomes[CLUSTER], Renewed)
    assert not (await world.clusters()).behind


async def test_a_cluster_that_is_behind_gets_no_mirror() -> None:
    world = World()
    await raised(world, HIGH)
    world.sql.wipe()
    before = await mirror_of(world)
    failed = await mirror_floor(world.s3, await life_of(world), SPAN, LOW, ENTROPY, DEADLINE_S)
    assert isinstance(failed, Failed)
    assert await mirror_of(world) == before


async def test_bytes_that_are_no_mirror_stop_everything() -> None:
    world = World()
    world.s3.place(mirror_key(CLUSTER), seal(LOW, b"not a mirror"))
    found = await look_at_clusters(world.sql, world.s3, DEADLINE_S)
    assert isinstance(found, Failed)
    assert found.reason is Reason.CORRUPT
    life = (await world.sql.clusters(DEADLINE_S))[0]  # type: ignore[index]
    assert isinstance(await mirror_floor(world.s3, life, SPAN, LOW, ENTROPY, DEADLINE_S), Failed)


@pytest.mark.parametrize("call", ["clusters", "get"])
async def test_a_home_that_does_not_answer_leaves_all_open(call: str) -> None:
    world = World()
    for slow in (world.slow_sql, world.slow_s3):
        slow.fails = lambda name: Failed(Reason.TIMEOUT) if name == call else None
    assert world.homes.objects is not None
    found = await look_at_clusters(world.homes.rows, world.homes.objects, DEADLINE_S)
    assert found == Failed(Reason.TIMEOUT)


async def test_one_cluster_that_does_not_serve_leaves_all_open() -> None:
    world = World()

    async def damaged(deadline_s: float, *, floors: bool = False) -> tuple[ClusterLife, ...]:
        return (replace(life, failure="damaged"),)

    life = await life_of(world)
    world.sql.clusters = damaged  # type: ignore[method-assign]
    assert isinstance(await look_at_clusters(world.sql, world.s3, DEADLINE_S), Failed)


async def test_kvsp_alone_has_no_mirrors() -> None:
    world = World()
    await raised(world, HIGH)
    world.sql.wipe()
    alone = await look_at_clusters(world.sql, None, DEADLINE_S)
    assert isinstance(alone, Clusters)
    assert not alone.behind
    assert set(alone.incarnations) == {CLUSTER}


async def test_a_mirror_that_is_written_while_one_looks_is_not_ahead_of_its_cluster() -> None:
    world = World()
    await raised(world, LOW)
    read = world.s3.get

    async def late(key: Key, deadline_s: float) -> ReadReply:
        world.s3.get = read  # type: ignore[method-assign]
        await raised(world, HIGH)
        return await read(key, deadline_s)

    world.s3.get = late  # type: ignore[method-assign,assignment]
    found = await look_at_clusters(world.sql, world.s3, DEADLINE_S)
    assert isinstance(found, Clusters)
    assert found.mirrors == [await mirror_of(world)]
    assert not found.behind
    assert list(found.lives) == [await life_of(world)]
