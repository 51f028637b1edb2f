"""`heal` over two homes: whatever they hold, both hold the newest record in the end."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine

import pytest

from tandem.backends.heal import Healed, HealOutcome, LeftToSweep, NotHealed, heal
from tandem.backends.port import Backend, Heal, ScanPage
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record, merge
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side, Stored, WriteReply
from tandem.core.version import Version
from tests.memory.home import MemoryHome

KEY = Key("ab" * 16, "key")
NOW_US = 1_800_000_000_000_000
YESTERDAY_US = NOW_US - 86_400_000_000
DEADLINE_S = 5.0

ABSENT = None
OLD = seal(Version.at(YESTERDAY_US), b"old")
OLD_OTHER_BYTES = seal(OLD.version, b"other")
EXPIRED = seal(Version.at(YESTERDAY_US + 1), b"expired", expires_at_s=1)
TOMBSTONE = seal_tombstone(Version.at(YESTERDAY_US + 2))
NEW = seal(Version.at(NOW_US - 1), b"new", metadata=b'{"a":1}')

CONTENTS = {
    "absent": ABSENT,
    "old": OLD,
    "old with other bytes": OLD_OTHER_BYTES,
    "expired": EXPIRED,
    "tombstone": TOMBSTONE,
    "new": NEW,
}
Homes = dict[Side, "DamageableHome"]


class FixedClock:
    def __init__(self) -> None:
        self.us = NOW_US

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class DamageableHome:
    """A home in memory whose copy of a record can rot, and whose replies take a few loop turns."""

    def __init__(self, side: Side, clock: FixedClock, turns: int = 0) -> None:
        self._home = MemoryHome(side, clock)
        self._turns = turns
        self._clock = clock
        self.rotten: bytes | None = None
        """The digest of the record whose copy here is damaged."""
        self.outage: Failed | None = None
        self.writes = 0

    @property
    def side(self) -> Side:
        return self._home.side

    @property
    def clock_skew_max_us(self) -> int:
        return self._home.clock_skew_max_us

    async def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> ReadReply:
        await self._wait()
        if self.outage is not None:
            return self.outage
        reply = await self._home.get(key, deadline_s, needed)
        if isinstance(reply, Found) and reply.record.digest == self.rotten:
            return Failed(Reason.CORRUPT, "rotten", reply.home_time_us)
        return reply

    async def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> WriteReply:
        await self._wait()
        if self.outage is not None:
            return self.outage
        self.writes += 1
        reply = await self._home.put_if_newer(key, record, deadline_s, heal)
        if isinstance(reply, Stored) and heal is not None and heal.over_corrupt:
            self.rotten = None
        await self._wait()
        return reply

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        return await self._home.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        return await self._home.incarnation(deadline_s)

    async def aclose(self) -> None:
        await self._home.aclose()

    async def _wait(self) -> None:
        for _ in range(self._turns):
            await asyncio.sleep(0)


def homes_with(kvsp: Record | None, s3: Record | None, turns: int = 0) -> Homes:
    """Two homes that hold these records, as if written long ago."""
    clock = FixedClock()
    homes = {side: DamageableHome(side, clock, turns) for side in Side}
    for side, record in ((Side.KVSP, kvsp), (Side.S3, s3)):
        if record is not None:
            homes[side]._home._namespace(KEY.namespace).store(KEY.name, record)
    return homes


def backends(homes: Homes) -> dict[Side, Backend]:
    return dict(homes)


async def held(home: Backend) -> Record | None:
    reply = await home.get(KEY, DEADLINE_S)
    assert isinstance(reply, Found | Missing), reply
    return reply.record if isinstance(reply, Found) else None


async def assert_both_hold(homes: Homes, record: Record | None) -> None:
    """And there is nothing left to heal."""
    assert [await held(homes[side]) for side in Side] == [record, record]
    assert await heal(backends(homes), KEY, deadline_s=DEADLINE_S) == Healed()


def newest_of(*records: Record | None) -> Record | None:
    newest: Record | None = None
    for record in records:
        if record is not None:
            newest = record if newest is None else merge(newest, record)
    return newest


every_pair = pytest.mark.parametrize(
    ("kvsp", "s3"),
    [
        pytest.param(a, b, id=f"{name_a} and {name_b}")
        for (name_a, a), (name_b, b) in itertools.product(CONTENTS.items(), repeat=2)
    ],
)


@every_pair
@pytest.mark.parametrize("recent", [None, OLD, TOMBSTONE, NEW], ids=lambda r: r and r.kind.name)
async def test_both_homes_end_up_with_the_newest(
    kvsp: Record | None, s3: Record | None, recent: Record | None
) -> None:
    homes = homes_with(kvsp, s3)
    newest = newest_of(kvsp, s3, recent)
    outcome = await heal(backends(homes), KEY, DEADLINE_S, recent)
    lacking = tuple(
        side for side, had in ((Side.KVSP, kvsp), (Side.S3, s3)) if newest and had != newest
    )
    assert outcome == Healed(lacking)
    await assert_both_hold(homes, newest)

    writes = [home.writes for home in homes.values()]
    assert await heal(backends(homes), KEY, DEADLINE_S, recent) == Healed()
    assert [home.writes for home in homes.values()] == writes, "a second heal wrote again"


@pytest.mark.parametrize("damaged", Side)
@pytest.mark.parametrize("sound", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("rotten", [r for r in CONTENTS.values() if r], ids=list(CONTENTS)[1:])
async def test_a_damaged_copy_is_replaced_by_the_other(
    rotten: Record, sound: Record | None, damaged: Side
) -> None:
    homes = homes_with(rotten, sound) if damaged is Side.KVSP else homes_with(sound, rotten)
    homes[damaged].rotten = rotten.digest
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    if sound is not None and sound.version >= rotten.version:
        assert outcome == Healed((damaged,))
        await assert_both_hold(homes, sound)
        return
    assert isinstance(outcome, NotHealed), "the newest record has no source"
    if sound is not None:
        assert outcome.reasons == (
            f"{damaged.value}: its damaged copy has a newer version, {rotten.version}",
        )
    assert isinstance(await homes[damaged].get(KEY, DEADLINE_S), Failed)
    assert await held(homes[damaged.other]) == sound


async def test_two_damaged_copies_need_a_person() -> None:
    homes = homes_with(OLD, NEW)
    homes[Side.KVSP].rotten, homes[Side.S3].rotten = OLD.digest, NEW.digest
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    assert isinstance(outcome, NotHealed)
    assert outcome.needs_person
    assert await heal(backends(homes), KEY, DEADLINE_S, NEW) == Healed((Side.KVSP, Side.S3))
    await assert_both_hold(homes, NEW)


@pytest.mark.parametrize("rotten", [False, True])
@pytest.mark.parametrize("down", Side)
async def test_nothing_is_decided_while_a_home_is_down(down: Side, rotten: bool) -> None:
    homes = homes_with(NEW, NEW)
    homes[down].outage = Failed(Reason.UNREACHABLE, "gone")
    homes[down.other].rotten = NEW.digest if rotten else None
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    assert isinstance(outcome, NotHealed)
    assert not outcome.needs_person
    assert homes[down.other].writes == 0


async def test_a_zombie_below_the_floor_is_left_to_the_sweep() -> None:
    homes = homes_with(ABSENT, OLD)
    homes[Side.KVSP]._home.set_floor(KEY.namespace, TOMBSTONE.version)
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    assert outcome == LeftToSweep(OLD.version)
    assert await held(homes[Side.KVSP]) is None
    assert await held(homes[Side.S3]) == OLD


async def test_a_retired_tombstone_is_no_drift() -> None:
    homes = homes_with(ABSENT, TOMBSTONE)
    homes[Side.KVSP]._home.set_floor(KEY.namespace, TOMBSTONE.version)
    assert await heal(backends(homes), KEY, DEADLINE_S) == Healed()
    assert await held(homes[Side.KVSP]) is None


@every_pair
async def test_heals_may_race_each_other_and_a_writer(
    kvsp: Record | None, s3: Record | None
) -> None:
    written = seal(Version.at(NOW_US), b"written meanwhile")
    for lead in range(6):
        homes = homes_with(kvsp, s3, turns=2)

        async def write(homes: Homes = homes, lead: int = lead) -> None:
            for _ in range(lead):
                await asyncio.sleep(0)
            for home in homes.values():
                await home.put_if_newer(KEY, written, DEADLINE_S)

        await asyncio.gather(
            write(), *(heal(backends(homes), KEY, DEADLINE_S, NEW) for _ in range(3))
        )
        await assert_both_hold(homes, written)


@every_pair
async def test_a_heal_abandoned_at_any_await_leaves_a_home_that_heals(
    kvsp: Record | None, s3: Record | None
) -> None:
    for steps in itertools.count():
        homes = homes_with(kvsp, s3, turns=1)
        finished = await _abandoned_after(steps, heal(backends(homes), KEY, DEADLINE_S))
        for side, had in ((Side.KVSP, kvsp), (Side.S3, s3)):
            assert await held(homes[side]) in (had, newest_of(kvsp, s3))
        assert isinstance(await heal(backends(homes), KEY, DEADLINE_S), Healed)
        await assert_both_hold(homes, newest_of(kvsp, s3))
        if finished:
            assert steps > 2
            return


async def _abandoned_after(steps: int, healing: Coroutine[None, None, HealOutcome]) -> bool:
    """Whether it finished within so many turns of the loop; cancels it if not."""
    task = asyncio.ensure_future(healing)
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        return True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return False


async def test_a_heal_on_an_old_read_does_not_write() -> None:
    homes = homes_with(OLD, ABSENT)

    class Stalls(DamageableHome):
        async def put_if_newer(
            self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
        ) -> WriteReply:
            self._clock.us += 61_000_000
            return await super().put_if_newer(key, record, deadline_s, heal)

    homes[Side.S3] = Stalls(Side.S3, FixedClock())
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    assert outcome == NotHealed(("s3: older than the home accepts",), needs_person=False)
    assert await held(homes[Side.S3]) is None


@pytest.mark.parametrize("rotten", [False, True])
async def test_a_copy_that_a_newer_write_has_overtaken_is_healed_unless_it_was_damaged(
    rotten: bool,
) -> None:
    """A newer record in the place of a damaged one may be that damaged one."""
    overtaking = seal(Version.at(NOW_US), b"written meanwhile")
    homes = homes_with(NEW, OLD)

    class Overtaken(DamageableHome):
        async def put_if_newer(
            self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
        ) -> WriteReply:
            await super().put_if_newer(key, overtaking, deadline_s)
            return await super().put_if_newer(key, record, deadline_s, heal)

    homes[Side.S3] = overtaken = Overtaken(Side.S3, FixedClock())
    await overtaken._home.put_if_newer(KEY, OLD, DEADLINE_S, Heal(NOW_US))
    overtaken.rotten = OLD.digest if rotten else None
    outcome = await heal(backends(homes), KEY, DEADLINE_S)
    assert isinstance(outcome, NotHealed) if rotten else outcome == Healed((Side.S3,))
    assert await held(overtaken) == overtaking
