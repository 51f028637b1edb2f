"""What every home must do: the definition of `tandem.backends.port.Backend`, as tests.

A home takes the whole of it on by naming itself:

    class TestMyHome(HomeContract):
        @pytest.fixture
        async def under(self) -> AsyncIterator[HomeUnderTest]:
            home = ...
            yield HomeUnderTest(home, now_us=...)
            await home.aclose()
"""

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence

import pytest

from tandem.backends.port import Backend, Heal
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.limits import KIB, METADATA_BYTES_MAX, MIB
from tandem.core.record import Kind, Record
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    Reason,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import NO_VERSION, Version
from tests.backends.contract_scan import ScanContract
from tests.backends.contract_writes import WriteContract
from tests.backends.home_under_test import (
    DEADLINE_S,
    KEY,
    NAMESPACE,
    HomeUnderTest,
    names_of_every_kind,
)

RACERS = 50


async def put(
    home: Backend, record: Record, key: Key = KEY, heal: Heal | None = None
) -> WriteReply:
    return await home.put_if_newer(key, record, DEADLINE_S, heal)


async def stored(home: Backend, record: Record, key: Key = KEY) -> None:
    reply = await put(home, record, key)
    assert isinstance(reply, Stored), reply


async def held(home: Backend, key: Key = KEY) -> Record | None:
    """The record that the home holds; the home must answer."""
    reply = await home.get(key, DEADLINE_S)
    assert isinstance(reply, Found | Missing), reply
    return reply.record if isinstance(reply, Found) else None


class BackendContract:
    """Reads and writes of single keys."""

    async def test_a_key_never_written_is_missing(self, under: HomeUnderTest) -> None:
        reply = await under.home.get(KEY, DEADLINE_S)
        assert isinstance(reply, Missing)
        assert reply.floor == NO_VERSION

    @pytest.mark.parametrize("size", [0, 1, 300, 128 * KIB, 128 * KIB + 1, MIB, 25 * MIB])
    async def test_values_of_any_size_come_back_verbatim(
        self, under: HomeUnderTest, size: int
    ) -> None:
        record = seal(under.version(), random.Random(size).randbytes(size))
        await stored(under.home, record)
        assert await held(under.home) == record

    @pytest.mark.parametrize(
        ("metadata", "expires_at_s"),
        [
            (b"", 0),
            (b'{"a":"\xc3\xa9\xf0\x9f\x98\x80\\u0000"}', 4_102_444_800),
            (b'"' + b"\xff\xfe\x00\r\n" + b'"', 1),
            (b'"' + b"m" * (METADATA_BYTES_MAX - 2) + b'"', 2**63 - 1),
        ],
    )
    async def test_metadata_and_expiry_come_back_verbatim(
        self, under: HomeUnderTest, metadata: bytes, expires_at_s: int
    ) -> None:
        record = seal(under.version(), b"v", metadata=metadata, expires_at_s=expires_at_s)
        await stored(under.home, record)
        assert await held(under.home) == record

    async def test_a_newer_record_replaces_an_older_one(self, under: HomeUnderTest) -> None:
        for version in under.versions(5):
            record = seal(version, version)
            await stored(under.home, record)
            assert await held(under.home) == record

    async def test_an_older_record_is_superseded_by_the_newest(self, under: HomeUnderTest) -> None:
        oldest, older, newest = (seal(v, b"v") for v in under.versions(3))
        await stored(under.home, oldest)
        await stored(under.home, newest)
        for late in (older, oldest):
            reply = await put(under.home, late)
            assert isinstance(reply, Superseded)
            assert reply.newest == newest.version
        assert await held(under.home) == newest

    async def test_tombstones_are_records_like_any_other(self, under: HomeUnderTest) -> None:
        first, second, third, fourth = under.versions(4)
        await stored(under.home, seal(first, b"v"))
        await stored(under.home, seal_tombstone(third))
        reply = await put(under.home, seal(second, b"late"))
        assert isinstance(reply, Superseded)
        tombstone = await held(under.home)
        assert tombstone == seal_tombstone(third)
        assert tombstone.kind is Kind.TOMBSTONE
        await stored(under.home, seal(fourth, b"again"))
        assert await held(under.home) == seal(fourth, b"again")

    async def test_every_kind_of_name_is_its_own_key(self, under: HomeUnderTest) -> None:
        version = under.version()
        records = {
            Key(NAMESPACE, name): seal(version, name.encode()) for name in names_of_every_kind()
        }
        for keys in _groups(list(records), 20):
            await asyncio.gather(*(stored(under.home, records[key], key) for key in keys))
        for keys in _groups(list(records), 20):
            found = await asyncio.gather(*(held(under.home, key) for key in keys))
            assert found == [records[key] for key in keys]

    async def test_namespaces_do_not_see_each_other(self, under: HomeUnderTest) -> None:
        ids = ["a" * 32, "a" * 31 + "b", "b" + "a" * 31, "0" * 31 + "2", "f" * 32]
        for namespace in ids[1:]:
            await stored(under.home, under.value(namespace.encode()), Key(namespace, "key"))
        assert await held(under.home, Key(ids[0], "key")) is None
        for namespace in ids[1:]:
            record = await held(under.home, Key(namespace, "key"))
            assert record is not None
            assert record.value == namespace.encode()

    async def test_records_outlive_the_process(self, under: HomeUnderTest) -> None:
        if under.reopen is None:
            pytest.skip("it does not persist")
        small, large = under.value(), under.value(b"large" * MIB)
        await stored(under.home, small)
        await stored(under.home, large, Key(NAMESPACE, "large"))
        again = await under.reopen()
        assert await held(again) == small
        assert await held(again, Key(NAMESPACE, "large")) == large
        await stored(again, under.value(b"newer", ms=1000))


class RaceContract:
    """Many writers on one key."""

    @pytest.mark.parametrize("seed", range(3))
    async def test_the_newest_of_many_racers_stands(self, under: HomeUnderTest, seed: int) -> None:
        records = [seal(version, version) for version in under.versions(RACERS)]
        shuffled = random.Random(seed).sample(records, RACERS)
        async with asyncio.TaskGroup() as racing:
            watching = racing.create_task(_versions_seen(under.home))
            legs = [racing.create_task(put(under.home, record)) for record in shuffled]
        seen = watching.result()
        assert seen == sorted(seen), "a reader saw the key go back"

        replies = [leg.result() for leg in legs]
        failed = [r for r, reply in zip(shuffled, replies, strict=True) if _failed(reply)]
        assert not (failed and under.settles_races)
        stands = await held(under.home)
        assert stands is not None
        for record, reply in zip(shuffled, replies, strict=True):
            _assert_true_of(reply, record, stands)
        for record in failed:
            _assert_true_of(await put(under.home, record), record, records[-1])
        assert await held(under.home) == records[-1]

    async def test_racers_with_the_same_record_are_all_stored(self, under: HomeUnderTest) -> None:
        record = under.value()
        replies = await asyncio.gather(*(put(under.home, record) for _ in range(10)))
        confirmed = [reply for reply in replies if not _failed(reply)]
        assert confirmed
        assert all(isinstance(reply, Stored) for reply in confirmed)
        assert len(confirmed) == len(replies) or not under.settles_races
        assert await held(under.home) == record

    async def test_racers_on_many_keys_do_not_mix(self, under: HomeUnderTest) -> None:
        old, new = under.versions(2)
        keys = [Key(NAMESPACE, f"key {n}") for n in range(40)]
        legs = [(key, seal(v, key.name.encode() + v)) for key in keys for v in (new, old)]
        random.Random(1).shuffle(legs)
        await asyncio.gather(*(put(under.home, record, key) for key, record in legs))
        found = await asyncio.gather(*(held(under.home, key) for key in keys))
        assert found == [seal(new, key.name.encode() + new) for key in keys]


class TimeContract:
    """What a home says of its own time, and what happens at the end of its own."""

    async def test_every_reply_tells_the_homes_time(self, under: HomeUnderTest) -> None:
        """But a refusal for which the home was not asked, which says 0."""
        skew_us = under.home.clock_skew_max_us
        began_us = under.now_us()
        newer, older = under.value(ms=10), under.value(ms=-4000)
        replies = [
            await under.home.get(KEY, DEADLINE_S),
            await put(under.home, newer),
            await put(under.home, older),
            await put(under.home, under.value(ms=-100_000)),
            await under.home.get(KEY, DEADLINE_S),
            await under.home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=DEADLINE_S),
        ]
        assert isinstance(replies[3], Refused)
        if not replies[3].home_time_us:
            del replies[3]
        times_us = [reply.home_time_us for reply in replies]
        assert all(began_us - skew_us <= t <= under.now_us() + skew_us for t in times_us), times_us
        assert all(b - a >= -skew_us for a, b in itertools.pairwise(times_us)), times_us

    async def test_calls_with_no_time_left_are_answered(self, under: HomeUnderTest) -> None:
        record = under.value()
        for deadline_s in (0.0, 0.000_1):
            read = await under.home.get(KEY, deadline_s)
            written = await under.home.put_if_newer(KEY, record, deadline_s)
            page = await under.home.scan(
                NAMESPACE, after="", prefix="", limit=10, deadline_s=deadline_s
            )
            for reply in (read, written, page):
                assert not isinstance(reply, Failed) or reply.reason is Reason.TIMEOUT
        await stored(under.home, record)

    async def test_an_abandoned_write_harms_nobody(self, under: HomeUnderTest) -> None:
        record, other = under.value(), Key(NAMESPACE, "other")
        async with asyncio.TaskGroup() as group:
            abandoned = group.create_task(put(under.home, record))
            group.create_task(stored(under.home, record, other))
            await asyncio.sleep(0)
            abandoned.cancel()
        assert await held(under.home) in (None, record)
        assert await held(under.home, other) == record
        await stored(under.home, record)

    async def test_a_closed_home_fails_by_value(self, under: HomeUnderTest) -> None:
        record = under.value()
        await stored(under.home, record)
        under_way = [asyncio.ensure_future(under.home.get(KEY, DEADLINE_S)) for _ in range(5)]
        await under.home.aclose()
        for reply in await asyncio.gather(*under_way):
            assert isinstance(reply, Found | Failed)
        assert isinstance(await under.home.get(KEY, DEADLINE_S), Failed)
        assert isinstance(await put(under.home, record), Failed)
        page = await under.home.scan(
            NAMESPACE, after="", prefix="", limit=10, deadline_s=DEADLINE_S
        )
        assert isinstance(page, Failed)
        await under.home.aclose()


class CorruptionContract:
    """Bytes that are not what was stored."""

    @pytest.mark.parametrize("size", [300, MIB])
    async def test_damaged_bytes_are_not_handed_out(self, under: HomeUnderTest, size: int) -> None:
        if under.corrupt is None:
            pytest.skip("its bytes cannot be damaged from here")
        record = under.value(b"x" * size)
        await stored(under.home, record)
        await under.corrupt(KEY)
        reply = await under.home.get(KEY, DEADLINE_S)
        assert isinstance(reply, Failed)
        assert reply.reason is Reason.CORRUPT
        assert abs(reply.home_time_us - under.now_us()) < 10_000_000
        over = Heal(reply.home_time_us, over_corrupt=True)
        assert isinstance(await put(under.home, record, heal=over), Stored)
        assert await held(under.home) == record

    async def test_a_body_that_nobody_needs_may_be_dropped(self, under: HomeUnderTest) -> None:
        record = under.value(b"x" * MIB)
        await stored(under.home, record)
        reply = await under.home.get(KEY, DEADLINE_S, lambda: False)
        match reply:
            case Found(found):
                assert found == record
            case Glimpsed(version, digest):
                assert (version, digest) == (record.version, record.digest)
            case _:
                pytest.fail(str(reply))


class HomeContract(
    BackendContract, WriteContract, RaceContract, TimeContract, CorruptionContract, ScanContract
):
    """All of it."""


def _failed(reply: WriteReply) -> bool:
    return isinstance(reply, Failed)


def _assert_true_of(reply: WriteReply, record: Record, stands: Record) -> None:
    """Holds `reply` against what stands in the end."""
    match reply:
        case Stored():
            assert stands.version >= record.version, "a stored record was lost to an older one"
        case Superseded(newest):
            assert record.version < newest <= stands.version
        case Failed():
            pass
        case Refused():
            pytest.fail(f"a write in time was refused: {reply}")


async def _versions_seen(home: Backend) -> list[Version]:
    found = [await held(home) for _ in range(30)]
    return [record.version for record in found if record is not None]


def _groups(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
