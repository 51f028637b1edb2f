"""What the home on the SQL side must do when something goes for good, as tests."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tandem.backends.port import CollectableRows, Heal
from tandem.core.cluster_life import ClusterLife
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.floors import RangeFloors
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.limits import MIB
from tandem.core.record import Record
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
    Span,
)
from tandem.core.reply import Failed, Missing, Refusal, Refused, Stored
from tandem.core.version import NO_VERSION, Version
from tests.backends.home_under_test import (
    DEADLINE_S,
    NAMES,
    NAMESPACE,
    OTHER,
    HomeUnderTest,
    held,
    purged_in_steps,
    put,
)


async def floor_of(home: CollectableRows, name: str, namespace: str = NAMESPACE) -> Version:
    reply = await home.get(Key(namespace, name), DEADLINE_S)
    assert isinstance(reply, Missing), reply
    return reply.floor


async def lives(home: CollectableRows) -> Mapping[str, ClusterLife]:
    clusters = await home.clusters(DEADLINE_S, floors=True)
    assert not isinstance(clusters, Failed), clusters
    return {life.name: life for life in clusters}


async def named(home: CollectableRows) -> dict[str, str]:
    return {name: life.named for name, life in (await lives(home)).items()}


async def raised(
    home: CollectableRows,
    floor: Version,
    start: str = "",
    end: str = "",
    namespace: str = NAMESPACE,
) -> None:
    incarnations = await named(home)
    raising = FloorRaise(Span(namespace, start, end), floor, incarnations)
    replies = await home.raise_floor(raising, DEADLINE_S)
    assert replies == dict.fromkeys(incarnations, FloorReply.RAISED)


async def purged(
    home: CollectableRows, records: Sequence[tuple[str, Record]],
    incarnations: Mapping[str, str] | None = None,
) -> list[Removal | Failed]:  # fmt: skip
    rows = [PurgeRow(name.encode(), one.version, one.digest) for name, one in records]
    purge = RowPurge(NAMESPACE, rows, await named(home) if incarnations is None else incarnations)
    return list(await home.purge(purge, DEADLINE_S))


class RowsContract:
    """The SQL side. `rows` is the home of `under`."""

    @pytest.fixture
    def rows(self, under: HomeUnderTest) -> CollectableRows:
        raise NotImplementedError

    async def test_a_cluster_in_its_first_life_has_no_floors(self, rows: CollectableRows) -> None:
        clusters = await lives(rows)
        assert clusters
        for name, life in clusters.items():
            assert life.name == name
            assert life.incarnation
            assert life.opening
            assert not life.failure
            assert not life.floors
        assert len({life.named for life in clusters.values()}) == len(clusters)

    async def test_commit_numbers_rise_with_writes(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        before = await lives(rows)
        for name in NAMES:
            await put(under, name, under.value())
        after = await lives(rows)
        assert all(after[name].commits > before[name].commits for name in before)

    async def test_a_floor_refuses_inserts_but_no_updates(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        old, floor, new = (seal(v, b"v") for v in under.versions(3))
        for name in NAMES[::2]:
            await put(under, name, old)
        await raised(rows, floor.version)
        for name in NAMES:
            heal = Heal(under.now_us())
            key = Key(NAMESPACE, name)
            reply = await under.home.put_if_newer(key, floor, DEADLINE_S, heal)
            if name in NAMES[::2]:
                assert isinstance(reply, Stored)
                continue
            assert isinstance(reply, Refused)
            assert reply.refusal is Refusal.FLOOR
            assert await floor_of(rows, name) == floor.version
            await put(under, name, new)

    async def test_a_range_ends_where_it_was_said_to(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        low, middle, high = under.versions(3)
        await raised(rows, middle, "m", "z")
        await raised(rows, low)
        await raised(rows, high, "m5", "m7")
        await raised(rows, low, "m", "n")
        expected = {"a1": low, "m1": middle, "m5": high, "m6": high, "m7": middle, "z1": low}
        assert {name: await floor_of(rows, name) for name in expected} == expected
        assert await floor_of(rows, "m5", OTHER) == NO_VERSION

    async def test_a_floor_is_shown_and_outlives_the_process(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        lowest, low, high = under.versions(3)
        await raised(rows, lowest, "b", "y")
        await raised(rows, low, "b", "y")
        await raised(rows, high, "m", namespace=OTHER)
        for life in (await lives(rows)).values():
            assert [life.floors_of(NAMESPACE).of(n) for n in (b"a", b"b", b"x", b"y")] == [
                NO_VERSION, low, low, NO_VERSION,
            ]  # fmt: skip
            assert life.floors_of(OTHER).of(b"m") == high
        if under.reopen is not None:
            again = await under.reopen()
            reply = await again.get(Key(NAMESPACE, "c"), DEADLINE_S)
            assert isinstance(reply, Missing)
            assert reply.floor == low

    async def test_nothing_is_done_for_another_incarnation(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        gone = under.tombstone()
        for name in NAMES:
            await put(under, name, gone)
        for others in (
            {name: f"{life.incarnation}/other" for name, life in (await lives(rows)).items()},
            {name: f"other/{life.opening}" for name, life in (await lives(rows)).items()},
        ):
            raising = FloorRaise(Span(NAMESPACE), gone.version, others)
            replies = await rows.raise_floor(raising, DEADLINE_S)
            assert replies == dict.fromkeys(others, FloorReply.OTHER_INCARNATION)
        await raised(rows, gone.version)
        records = [(name, gone) for name in NAMES]
        refused = [Removal.OTHER_INCARNATION] * len(NAMES)
        assert await purged(rows, records, others) == refused
        assert await purged(rows, records, {}) == refused
        for name, life in (await lives(rows)).items():
            renewal = Renewal(name, others[name], life)
            assert await rows.renew(renewal, DEADLINE_S) is Removal.OTHER_INCARNATION
        assert all([await held(under, name) == gone for name in NAMES])

    async def test_a_cluster_that_is_not_named_does_nothing(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        raising = FloorRaise(Span(NAMESPACE), under.version(), {})
        assert await rows.raise_floor(raising, DEADLINE_S) == {}
        assert not any(life.floors for life in (await lives(rows)).values())
        strange = raising._replace(incarnations={"no such cluster": "x/y"})
        assert await rows.raise_floor(strange, DEADLINE_S) == {}
        absent = Renewal("no such cluster", "x/y", ClusterLife("no such cluster", "x", 0))
        assert await rows.renew(absent, DEADLINE_S) is Removal.ABSENT

    async def test_a_row_goes_only_if_dead_below_the_floor_and_the_one_named(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        first, second, third = under.versions(3)
        expired = seal(first, b"v", expires_at_s=1)
        lasting = seal(first, b"v", expires_at_s=under.now_us() // 1_000_000 + 1000)
        present = {
            "tombstone": seal_tombstone(second),
            "expired": expired,
            "lasting": lasting,
            "live": seal(first, b"v"),
            "newer": seal_tombstone(third),
            "changed": seal_tombstone(second),
        }
        for name, record in present.items():
            await put(under, name, record)
        asked = [
            ("tombstone", present["tombstone"], Removal.DONE),
            ("expired", expired, Removal.DONE),
            ("lasting", lasting, Removal.LIVE),
            ("live", present["live"], Removal.LIVE),
            ("newer", present["newer"], Removal.ABOVE_FLOOR),
            ("changed", seal_tombstone(first), Removal.DIFFERENT),
            ("never there", present["tombstone"], Removal.ABSENT),
        ]
        records = [(name, record) for name, record, _ in asked]
        before = await purged(rows, records)
        assert Removal.DONE not in before
        assert before[0] is Removal.ABOVE_FLOOR
        await raised(rows, second)
        assert await purged(rows, records) == [removal for *_, removal in asked]
        for name, record in present.items():
            assert await held(under, name) == (None if name in asked[0] + asked[1] else record)
        assert (await purged(rows, records))[:2] == [Removal.ABSENT] * 2

    async def test_a_large_row_goes_too(self, under: HomeUnderTest, rows: CollectableRows) -> None:
        large = seal(under.version(), b"x" * MIB, expires_at_s=1)
        await put(under, "large", large)
        await raised(rows, large.version)
        assert await purged(rows, [("large", large)]) == [Removal.DONE]
        assert await held(under, "large") is None

    async def test_a_new_life_has_nothing_of_what_its_past_had_outlived(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        below, floor, known, above = (seal(v, b"v") for v in under.versions(4))
        for name in NAMES:
            await put(under, name, below if name < "m4" else above)
        await put(under, "m0", below, OTHER)
        await raised(rows, floor.version, "m", "n")
        before = await lives(rows)
        higher = RangeFloors().raised(b"m2", b"z", known.version)
        removed = 0
        for name, life in before.items():
            past = replace(life, floors={NAMESPACE: higher})
            outcome = await rows.renew(Renewal(name, life.named, past), DEADLINE_S)
            assert isinstance(outcome, Renewed)
            removed += outcome.rows_removed
        assert removed == len(["m2", "m3"])
        after = await lives(rows)
        assert all(after[name].incarnation != life.incarnation for name, life in before.items())
        for name in NAMES:
            kept = None if name in {"m2", "m3"} else below if name < "m4" else above
            assert await held(under, name) == kept
        assert await held(under, "m0", OTHER) == below
        floors = [await floor_of(rows, name) for name in ("a", "m01", "m2", "mm", "n", "z")]
        assert floors == [NO_VERSION, floor.version, *[NO_VERSION] * 4]
        await put(under, "m2", below)
        if under.reopen is not None:
            await under.reopen()

    async def test_incarnations_change_with_a_new_life_only(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        before = await rows.incarnation(DEADLINE_S)
        await put(under, "a", under.value())
        await raised(rows, under.version())
        assert await rows.incarnation(DEADLINE_S) == before
        [life, *_] = (await lives(rows)).values()
        await rows.renew(Renewal(life.name, life.named, life), DEADLINE_S)
        assert await rows.incarnation(DEADLINE_S) != before

    async def test_rows_of_a_deleted_namespace_go_step_by_step(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        for name in NAMES:
            await put(under, name, under.value())
            await put(under, name, under.value(), OTHER)
        assert await rows.purge_namespace(NAMESPACE, 2, DEADLINE_S) is Removal.LIVE
        gone = seal_tombstone(under.version(1000))
        await put(under, f"{NAMESPACE_RECORD}{NAMESPACE}", gone, SYSTEM_NAMESPACE)
        removed = await purged_in_steps(rows, 2)
        assert (sum(removed), len(removed) > 1) == (len(NAMES), True)
        assert not any([await held(under, name) for name in NAMES])
        assert all([await held(under, name, OTHER) for name in NAMES])

    async def test_collectors_may_race(self, under: HomeUnderTest, rows: CollectableRows) -> None:
        gone = [
            (name, seal_tombstone(v)) for name, v in zip(NAMES, under.versions(24), strict=True)
        ]
        for name, record in gone:
            await put(under, name, record)
        versions = [record.version for _, record in gone]
        await asyncio.gather(*(raised(rows, version) for version in versions[::-3]))
        assert await floor_of(rows, "nothing") == max(versions[::-3])
        outcomes = await asyncio.gather(*(purged(rows, gone) for _ in range(3)))
        for row in zip(*outcomes, strict=True):
            assert sorted(one.value for one in row if isinstance(one, Removal)) == sorted(
                [Removal.DONE.value, Removal.ABSENT.value, Removal.ABSENT.value]
            )

    async def test_a_closed_home_collects_nothing(
        self, under: HomeUnderTest, rows: CollectableRows
    ) -> None:
        record, incarnations = under.tombstone(), await named(rows)
        await rows.aclose()
        assert isinstance(await rows.clusters(1.0), Failed)
        assert isinstance(await rows.incarnation(1.0), Failed)
        raising = FloorRaise(Span(NAMESPACE), record.version, incarnations)
        assert isinstance(await rows.raise_floor(raising, 1.0), Failed)
        [outcome] = await purged(rows, [("a", record)], incarnations)
        assert isinstance(outcome, Failed)
        assert isinstance(await rows.purge_namespace(NAMESPACE, 1, 1.0), Failed)
