"""What a home must do that takes groups, as tests: `TakesGroups` and `AnswersGroups` of
`tandem.backends.port`."""

import asyncio
from collections.abc import Sequence

import pytest

from tandem.backends.port import AnswersGroups, Backend, Gets, Puts, TakesGroups
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US, KIB, LEG_DEADLINE_S, MIB
from tandem.core.record import Record
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    ReadReply,
    Reason,
    Refusal,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import Version
from tests.backends.home_under_test import DEADLINE_S, KEY, NAMESPACE, HomeUnderTest


async def replies_to(
    home: Backend, puts: Puts, deadline_s: float = DEADLINE_S
) -> Sequence[WriteReply]:
    """The reply to each of `puts`; fails unless each has exactly one, and none at once."""
    assert isinstance(home, TakesGroups)
    replies: dict[int, WriteReply] = {}
    complete = asyncio.Event()

    def replied(some: Sequence[tuple[int, WriteReply]]) -> None:
        for position, reply in some:
            assert position not in replies
            replies[position] = reply
        if len(replies) == len(puts):
            complete.set()

    home.put_all(puts, deadline_s, replied)
    assert replies == {}
    async with asyncio.timeout(DEADLINE_S + 10.0):
        await complete.wait()
    return [replies[position] for position in range(len(puts))]


async def answers_to(
    home: Backend, gets: Gets, deadline_s: float = DEADLINE_S
) -> Sequence[ReadReply]:
    """The reply to each of `gets`; fails unless each has exactly one, and none at once."""
    assert isinstance(home, AnswersGroups)
    replies: dict[int, ReadReply] = {}
    complete = asyncio.Event()

    def got(some: Sequence[tuple[int, ReadReply]]) -> None:
        for position, reply in some:
            assert position not in replies
            replies[position] = reply
        if len(replies) == len(gets):
            complete.set()

    home.get_all(gets, deadline_s, got)
    assert replies == {}
    async with asyncio.timeout(DEADLINE_S + 10.0):
        await complete.wait()
    return [replies[position] for position in range(len(gets))]


def records_in(replies: Sequence[ReadReply]) -> Sequence[Record | None]:
    """The record of each, None for a miss."""
    assert all(isinstance(reply, Found | Missing) for reply in replies), replies
    return [reply.record if isinstance(reply, Found) else None for reply in replies]


async def held(home: Backend, key: Key) -> Record:
    reply = await home.get(key, DEADLINE_S)
    assert isinstance(reply, Found)
    return reply.record


def numbered(count: int) -> list[Key]:
    return [Key(NAMESPACE, f"key-{number}") for number in range(count)]


class GroupContract:
    """Writes that are started together, and reads that are asked together."""

    @pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 300])
    async def test_every_write_of_a_group_is_stored(self, under: HomeUnderTest, count: int) -> None:
        keys = numbered(count)
        records = [under.value(text=key.name.encode()) for key in keys]
        replies = await replies_to(under.home, list(zip(keys, records, strict=True)))
        assert {type(reply) for reply in replies} == {Stored}
        assert [await held(under.home, key) for key in keys] == records

    async def test_each_write_has_an_answer_of_its_own(self, under: HomeUnderTest) -> None:
        stored, newer, untimely, same = numbered(4)
        now_us = under.now_us()
        older, present, same_record = (seal(version, b"v") for version in under.versions(3))
        await replies_to(under.home, [(newer, present), (same, same_record)])
        late = seal(Version.at(now_us - int((LEG_DEADLINE_S + 5.0) * 1e6)), b"late")
        early = seal(Version.at(now_us + CLOCK_SKEW_MAX_US + 60_000_000), b"early")
        replies = await replies_to(
            under.home,
            [
                (stored, under.value()), (newer, older), (untimely, late),
                (untimely, early), (same, same_record),
            ],
        )  # fmt: skip
        times_us = [reply.home_time_us for reply in replies]
        assert replies == [
            Stored(times_us[0]),
            Superseded(present.version, times_us[1]),
            Refused(Refusal.LATE, times_us[2]),
            Refused(Refusal.FUTURE, times_us[3]),
            Stored(times_us[4]),
        ]
        assert await held(under.home, newer) == present

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_of_one_keys_writes_the_newest_stays(
        self, under: HomeUnderTest, newest_first: bool
    ) -> None:
        versions = sorted(under.versions(5), reverse=newest_first)
        replies = await replies_to(under.home, [(KEY, seal(v, bytes(v))) for v in versions])
        assert all(isinstance(reply, Stored | Superseded) for reply in replies)
        assert (await held(under.home, KEY)).version == max(versions)

    async def test_large_values_go_with_small_ones(self, under: HomeUnderTest) -> None:
        sizes = [10, 64 * KIB, 10, 200 * KIB, 2 * MIB, 10]
        keys = numbered(len(sizes))
        records = [seal(under.version(), bytes([size % 251]) * size) for size in sizes]
        replies = await replies_to(under.home, list(zip(keys, records, strict=True)))
        assert {type(reply) for reply in replies} == {Stored}
        assert [await held(under.home, key) for key in keys] == records

    async def test_groups_at_once_keep_their_answers_apart(self, under: HomeUnderTest) -> None:
        older, newest = (seal(version, b"v") for version in under.versions(2))
        await replies_to(under.home, [(KEY, newest)])
        first, *others = numbered(20)
        mine, *rest = await asyncio.gather(
            replies_to(under.home, [(KEY, older), (first, older)]),
            *(replies_to(under.home, [(key, under.value())] * 3) for key in others),
        )
        assert [type(reply) for reply in mine] == [Superseded, Stored]
        assert {type(reply) for replies in rest for reply in replies} == {Stored}

    async def test_a_group_with_no_time_left_is_answered(self, under: HomeUnderTest) -> None:
        puts = [(key, under.value()) for key in numbered(3)]
        for deadline_s in (0.0, 0.000_1):
            for reply in await replies_to(under.home, puts, deadline_s):
                assert not isinstance(reply, Failed) or reply.reason is Reason.TIMEOUT
        assert {type(reply) for reply in await replies_to(under.home, puts)} == {Stored}

    async def test_a_closed_home_fails_a_group_by_value(self, under: HomeUnderTest) -> None:
        await under.home.aclose()
        for reply in await replies_to(under.home, [(key, under.value()) for key in numbered(3)]):
            assert isinstance(reply, Failed)
            assert reply.reason is Reason.UNREACHABLE

    @pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
    async def test_every_read_of_a_group_has_its_own_answer(
        self, under: HomeUnderTest, count: int
    ) -> None:
        keys = numbered(count)
        records = [under.value(text=key.name.encode()) for key in keys]
        present = list(zip(keys, records, strict=True))[::2]
        await replies_to(under.home, present)
        expected = [record if at % 2 == 0 else None for at, record in enumerate(records)]
        assert records_in(await answers_to(under.home, [(key, None) for key in keys])) == expected

    async def test_who_waits_no_longer_harms_nobody(self, under: HomeUnderTest) -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
        first, second, third = numbered(3)
        record = under.value()
        await replies_to(under.home, [(key, record) for key in (first, second)])
        gone = [
            asyncio.ensure_future(under.home.get(first, DEADLINE_S)),
            asyncio.ensure_future(under.home.put_if_newer(third, record, DEADLINE_S)),
        ]
        waiting = asyncio.ensure_future(answers_to(under.home, [(second, None)]))
        await asyncio.sleep(0)
        for call in gone:
            call.cancel()
        assert records_in(await waiting) == [record]
        assert await held(under.home, first) == record
        assert faults == []

    async def test_one_key_may_be_read_twice_in_a_group(self, under: HomeUnderTest) -> None:
        record = under.value()
        await replies_to(under.home, [(KEY, record)])
        gets: Gets = [(KEY, None), (Key(NAMESPACE, "other"), None), (KEY, None)]
        assert records_in(await answers_to(under.home, gets)) == [record, None, record]

    async def test_large_values_are_read_with_small_ones(self, under: HomeUnderTest) -> None:
        sizes = [10, 64 * KIB, 200 * KIB, 2 * MIB, 3 * MIB, 10]
        keys = numbered(len(sizes))
        records = [seal(under.version(), bytes([size % 251]) * size) for size in sizes]
        await replies_to(under.home, list(zip(keys, records, strict=True)))
        assert records_in(await answers_to(under.home, [(key, None) for key in keys])) == records
        needless = await answers_to(under.home, [(key, lambda: False) for key in keys])
        for reply, record in zip(needless, records, strict=True):
            assert isinstance(reply, Found | Glimpsed)
            shown = reply.record if isinstance(reply, Found) else reply
            assert (shown.version, shown.digest) == (record.version, record.digest)
        assert isinstance(needless[0], Found), "a small one costs nothing"
        assert isinstance(needless[4], Glimpsed)

    async def test_reads_with_no_time_left_are_answered(self, under: HomeUnderTest) -> None:
        gets: Gets = [(key, None) for key in numbered(3)]
        for deadline_s in (0.0, 0.000_1):
            for reply in await answers_to(under.home, gets, deadline_s):
                assert not isinstance(reply, Failed) or reply.reason is Reason.TIMEOUT
        assert records_in(await answers_to(under.home, gets)) == [None] * 3

    async def test_a_closed_home_fails_reads_by_value(self, under: HomeUnderTest) -> None:
        await under.home.aclose()
        for reply in await answers_to(under.home, [(key, None) for key in numbered(3)]):
            assert isinstance(reply, Failed)
            assert reply.reason is Reason.UNREACHABLE
