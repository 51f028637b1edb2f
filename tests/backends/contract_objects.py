"""What the home on the S3 side must do when something goes for good, as tests."""

import asyncio

import pytest

from tandem.backends.port import CollectableObjects, Heal
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.limits import HEAL_AGE_MAX_S
from tandem.core.record import Record, Stamp
from tandem.core.removal import Removal
from tandem.core.reply import Failed, Stored
from tests.backends.home_under_test import (
    DEADLINE_S,
    KEY,
    NAMES,
    NAMESPACE,
    OTHER,
    HomeUnderTest,
    held,
    purged_in_steps,
    put,
)


class ObjectsContract:
    """The S3 side. `objects` is the home of `under`."""

    @pytest.fixture
    def objects(self, under: HomeUnderTest) -> CollectableObjects:
        raise NotImplementedError

    async def remove(self, objects: CollectableObjects, record: Record) -> Removal | Failed:
        return await objects.remove(KEY, Stamp(record.version, record.digest), DEADLINE_S)

    async def replace(
        self, under: HomeUnderTest, objects: CollectableObjects, seen: Record | None, new: Record
    ) -> Removal | Failed:
        """Rests on a read of some seconds ago."""
        stamp = None if seen is None else Stamp(seen.version, seen.digest)
        return await objects.replace(KEY, stamp, new, under.now_us() - 5_000_000, DEADLINE_S)

    async def test_exactly_the_object_that_was_seen_goes(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        gone, other = (seal_tombstone(v) for v in under.versions(2))
        await put(under, KEY.name, gone)
        if not objects.removes:
            assert isinstance(await self.remove(objects, gone), Failed)
            assert await held(under) == gone, "an unconditional DELETE was sent"
            return
        assert await self.remove(objects, other) is Removal.DIFFERENT
        assert await held(under) == gone
        assert await self.remove(objects, gone) is Removal.DONE
        assert await held(under) is None
        assert await self.remove(objects, gone) in {Removal.ABSENT, Removal.DONE}
        await put(under, KEY.name, gone)

    async def test_a_newer_object_is_not_removed(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        gone, newer = seal_tombstone(under.version()), under.value(ms=1)
        await put(under, KEY.name, gone)
        await put(under, KEY.name, newer)
        if objects.removes:
            assert await self.remove(objects, gone) is Removal.DIFFERENT
        assert await held(under) == newer

    async def test_exactly_the_object_that_was_seen_is_replaced(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        first, second, third = (seal(v, b"v") for v in under.versions(3))
        assert await self.replace(under, objects, first, second) is Removal.ABSENT
        assert await held(under) is None
        assert await self.replace(under, objects, None, second) is Removal.DONE
        assert await self.replace(under, objects, None, third) is Removal.DIFFERENT
        assert await self.replace(under, objects, first, third) is Removal.DIFFERENT
        assert await held(under) == second
        assert await self.replace(under, objects, second, first) is Removal.DONE
        assert await held(under) == first
        await put(under, KEY.name, third)

    async def test_a_replacement_on_a_stale_read_is_refused(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        record = under.value()
        stale_us = under.now_us() - int(HEAL_AGE_MAX_S * 1e6) - 5_000_000
        reply = await objects.replace(KEY, None, record, stale_us, DEADLINE_S)
        assert isinstance(reply, Failed)
        assert await held(under) is None

    async def test_racers_for_one_object_lose_no_newer_write(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        gone, newest = seal_tombstone(under.version()), under.value(ms=5)
        graves = [seal_tombstone(v) for v in under.versions(4)[1:]]
        await put(under, KEY.name, gone)

        async def write() -> None:
            for _ in range(5):
                heal = Heal(under.now_us())
                if isinstance(await objects.put_if_newer(KEY, newest, DEADLINE_S, heal), Stored):
                    return

        work = [self.replace(under, objects, gone, grave) for grave in graves]
        if objects.removes:
            work.append(self.remove(objects, gone))
        *outcomes, _ = await asyncio.gather(*work, write())
        assert outcomes.count(Removal.DONE) <= 1
        assert await held(under) == newest

    async def test_objects_of_a_namespace_go_step_by_step(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        for name in NAMES:
            await put(under, name, under.value())
        await put(under, "kept", under.value(), OTHER)
        removed = await purged_in_steps(objects, 10)
        assert (sum(removed), len(removed) > 1) == (len(NAMES), True)
        assert not any([await held(under, name) for name in NAMES])
        assert await held(under, "kept", OTHER)

    async def test_it_stays_the_same_home_whatever_is_written(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        before = await objects.incarnation(DEADLINE_S)
        await put(under, KEY.name, under.value())
        assert await objects.incarnation(DEADLINE_S) == before

    async def test_a_closed_home_changes_nothing(
        self, under: HomeUnderTest, objects: CollectableObjects
    ) -> None:
        record = under.value()
        await put(under, KEY.name, record)
        await objects.aclose()
        assert isinstance(await self.replace(under, objects, record, under.value(ms=1)), Failed)
        if objects.removes:
            assert isinstance(await self.remove(objects, record), Failed)
        assert isinstance(await objects.purge_namespace(NAMESPACE, 10, 1.0), Failed)
