"""What stops a collection or a sweep: evidence about others, a home that fails, too much."""

import pytest

from tandem.backends.collect import Allowance, Collected, Stopped, collect, sweep
from tandem.backends.mirror import mirror_key
from tandem.core.envelope import seal
from tandem.core.mass_change import MassLimit, MassWork, NeedsPerson
from tandem.core.removal import FloorReply
from tandem.core.reply import Failed, Reason
from tandem.core.version import NO_VERSION
from tests.backends.collecting import NAMESPACE, PLENTY, settled
from tests.backends.test_collect import (
    DISASTERS,
    GONE,
    OLD,
    Disaster,
    assert_gone,
    deleted,
    s3_comes_back_old,
)
from tests.memory.home import CLUSTER

STOPS: dict[str, Disaster] = {
    "SQL wiped": DISASTERS["SQL wiped"],
    "SQL restored": DISASTERS["SQL restored"],
    "the mirror is of somebody else's format": lambda world, image: world.s3.place(
        mirror_key("memory"), seal(OLD.version, b"{}")
    ),
}


@pytest.mark.parametrize("what", STOPS)
async def test_nothing_is_removed_on_evidence_about_others(what: str) -> None:
    world = deleted()
    image = world.sql.image()
    plan = (await world.crawl()).plan()
    STOPS[what](world, image)
    assert isinstance(await collect(world.homes, plan, PLENTY), Stopped)
    assert await world.held(world.s3, "key") == GONE
    assert await world.floor() == NO_VERSION


@pytest.mark.parametrize("what", ["SQL wiped", "SQL restored"])
async def test_nothing_is_swept_on_evidence_about_others(what: str) -> None:
    world = deleted()
    await settled(world)
    image = world.sql.image()
    s3_comes_back_old(world, None)
    seen = await world.crawl()
    STOPS[what](world, image)
    outcome = await sweep(world.homes, NAMESPACE, seen.remains, seen.clusters.incarnations, PLENTY)
    assert isinstance(outcome, Stopped)
    assert await world.held(world.s3, "key") == OLD


@pytest.mark.parametrize("call", ["clusters", "raise_floor", "get", "replace", "purge", "remove"])
async def test_a_home_that_fails_stops_what_would_come_after(call: str) -> None:
    world = deleted()
    plan = (await world.crawl()).plan()
    down = Failed(Reason.UNREACHABLE, "down")
    for home in (world.slow_sql, world.slow_s3):
        home.fails = lambda name: _as_it_answers(name, down) if name == call else None
    outcome = await collect(world.homes, plan, PLENTY)
    if call in {"purge", "remove"}:
        assert isinstance(outcome, Collected)
        assert outcome.left == 2
    else:
        assert isinstance(outcome, Stopped)
        assert await world.held(world.sql, "key") == GONE
    assert await world.held(world.s3, "key") == GONE
    for home in (world.slow_sql, world.slow_s3):
        home.fails = lambda name: None
    await settled(world)
    await assert_gone(world, "key", "expiring")


def _as_it_answers(call: str, failed: Failed) -> Failed:
    return [failed, failed] if call == "purge" else failed  # type: ignore[return-value]


CLUSTER_REPLIES = {
    "no such cluster": {},
    "failed": {CLUSTER: Failed(Reason.UNREACHABLE, "down")},
    "wiped": {CLUSTER: FloorReply.OTHER_INCARNATION},
    "full": {CLUSTER: FloorReply.TOO_MANY_RANGES},
}


@pytest.mark.parametrize("reply", CLUSTER_REPLIES)
async def test_nothing_is_removed_while_the_floor_of_a_cluster_has_not_risen(reply: str) -> None:
    world = deleted()
    plan = (await world.crawl()).plan()
    world.slow_sql.fails = lambda name: CLUSTER_REPLIES[reply] if name == "raise_floor" else None
    assert isinstance(await collect(world.homes, plan, PLENTY), Stopped)
    assert await world.held(world.sql, "key") == GONE
    assert await world.held(world.s3, "key") == GONE


async def test_nothing_is_removed_while_it_is_not_known_what_to_mirror() -> None:
    world = deleted()
    plan = (await world.crawl()).plan()
    sql, down = world.slow_sql, Failed(Reason.UNREACHABLE, "down")
    sql.fails = lambda call: down if call == "clusters" and "raise_floor" in sql.calls else None
    assert await collect(world.homes, plan, PLENTY) == Stopped(str(down))
    assert await world.held(world.sql, "key") == GONE
    assert await world.held(world.s3, "key") == GONE


async def test_what_goes_in_several_steps_is_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.backends.collect._ROWS_AT_ONCE", 1)
    monkeypatch.setattr("tandem.backends.collect._OBJECTS_AT_ONCE", 1)
    world = deleted()
    plan = (await world.crawl()).plan()
    assert await collect(world.homes, plan, PLENTY) == Collected(rows=2, objects=2)
    s3_comes_back_old(world, None)
    seen = await world.crawl()
    outcome = await sweep(world.homes, NAMESPACE, seen.remains, seen.clusters.incarnations, PLENTY)
    assert outcome == Collected(objects=2)


async def test_too_much_at_once_waits_for_a_person() -> None:
    world = deleted()
    plan = (await world.crawl()).plan()
    strict = MassLimit(share=0.4, always=1)
    asked = await collect(world.homes, plan, Allowance(4, strict))
    assert asked == NeedsPerson(MassWork.COLLECT, 2, 4)
    assert await world.floor() == NO_VERSION
    assert await collect(world.homes, plan, Allowance(4, strict, accepted=2)) == Collected(2, 2)
    s3_comes_back_old(world, None)
    seen = await world.crawl()
    names, named = seen.remains, seen.clusters.incarnations
    few = Allowance(4, strict)
    assert await sweep(world.homes, NAMESPACE, names, named, few) == NeedsPerson(
        MassWork.SWEEP, 2, 4
    )
    assert await world.held(world.s3, "key") == OLD
    accepted = Allowance(4, strict, accepted=2)
    assert await sweep(world.homes, NAMESPACE, names, named, accepted) == Collected(objects=2)
