"""Reads in virtual time: who answers when, who joins whom, and what is noticed afterwards."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from kvgateway.data_path.read_bounds import ReadBounds
from kvgateway.state.ports import Known, RepairTask, Seen
from tandem.backends.port import Gets, Got
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.request import Put, Read, ReadResult
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Overloaded, Unavailable
from tests.kvgateway.one_gateway import NAMESPACE
from tests.kvgateway.timed import DOWN, KEY, QUICK_S, TimedGateway, TimedHome, in_virtual_time

READ = Read(KEY)
PAST_CACHE = Read(KEY, cache_ttl_s=0)
BROKEN = Key(NAMESPACE, "broken")


def _asked(gateway: TimedGateway, read: Read = READ) -> "asyncio.Future[ReadResult]":
    answer = gateway.reader.read([read])[0]
    assert isinstance(answer, asyncio.Future)
    return answer


def _fails(_: RepairTask) -> None:
    raise RuntimeError("the inbox is broken")


def _in_one_message(home: TimedHome) -> Callable[[Gets, float, Got], None]:
    """Answers a group with one list of replies, as KVSP does."""

    def get_all(gets: Gets, deadline_s: float, got: Got) -> None:
        replies = [home.memory.get(key, deadline_s).result() for key, _ in gets]
        asyncio.get_running_loop().call_later(QUICK_S, got, list(enumerate(replies)))

    return get_all


@in_virtual_time
async def test_the_first_record_answers_and_the_slower_reply_is_only_compared() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    gateway.s3.takes(3.0)
    assert await gateway.read(READ) == (0.005, ReadResult(record, record.version))
    assert gateway.reader.under_way == 1
    await asyncio.sleep(3.0)
    assert gateway.reader.under_way == 0
    assert await gateway.queued() == []


@in_virtual_time
async def test_it_is_counted_how_long_readers_waited_whose_answer_was_not_in_memory() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    await asyncio.gather(_asked(gateway), _asked(gateway))
    assert (await gateway.read(READ))[1].cached
    gateway.kvsp.takes(0.1, DOWN)
    gateway.s3.takes(0.3, DOWN)
    await gateway.read(PAST_CACHE)
    assert sum(gateway.reader.waited.counts) == 3
    assert gateway.reader.waited.total_s == pytest.approx(2 * 0.005 + 0.3)


@in_virtual_time
async def test_a_miss_waits_for_the_other_home_and_is_repaired() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record, Side.S3)
    gateway.s3.takes(0.02)
    assert await gateway.read(READ) == (0.02, ReadResult(record, record.version))
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, record.version, (Side.KVSP,))]


@in_virtual_time
async def test_a_miss_in_both_homes_is_remembered_for_a_second_from_when_it_was_asked() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(0.8)
    assert await gateway.read(READ) == (0.8, ReadResult(None))
    assert await gateway.read(READ) == (0.0, ReadResult(None, cached=True))
    await asyncio.sleep(0.3)
    assert (await gateway.read(READ))[0] == 0.005


@in_virtual_time
async def test_a_miss_that_one_home_alone_has_seen_is_said_to_be_so_and_not_remembered() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(60.0)
    assert await gateway.read(READ) == (5.0, ReadResult(None, unconfirmed=True))
    assert (await gateway.read(READ))[0] == 0.005


@in_virtual_time
async def test_a_miss_in_doubt_does_not_hide_what_the_machine_has_read_before() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record, Side.KVSP)
    await gateway.read(READ)
    gateway.kvsp.takes(0.1, DOWN)
    found_s, result = await gateway.read(PAST_CACHE)
    assert found_s == 0.1
    assert result.record == record
    assert result.stale


@in_virtual_time
async def test_of_two_homes_that_are_behind_neither_answers_first() -> None:
    gateway = TimedGateway()
    gateway.view.late = (Side.KVSP, Side.S3)
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older, Side.KVSP)
    await gateway.hold(newer, Side.S3)
    gateway.s3.takes(0.3)
    assert await gateway.read(READ) == (0.3, ReadResult(newer, newer.version))
    gateway.s3.takes(0.3, DOWN)
    took_s, result = await gateway.read(PAST_CACHE)
    assert (took_s, result.version) == (0.3, newer.version), "never below what was shown"


@in_virtual_time
async def test_while_memory_misses_news_neither_home_answers_first() -> None:
    """Either may be the one that a write under way has not reached yet."""
    gateway = TimedGateway()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older, Side.KVSP)
    await gateway.hold(newer, Side.S3)
    gateway.s3.takes(0.3)
    gateway.machine.no_room = True
    assert await gateway.read(READ) == (0.3, ReadResult(newer, newer.version))


@in_virtual_time
async def test_nobody_goes_back_behind_a_stale_answer() -> None:
    gateway = TimedGateway()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older)
    await gateway.read(READ)
    await gateway.hold(newer, Side.S3)
    gateway.view.late = (Side.S3,)
    gateway.kvsp.takes(0.1, DOWN)
    _, result = await gateway.read(PAST_CACHE)
    assert (result.record, result.stale) == (newer, True)
    took_s, result = await gateway.read(READ)
    assert took_s == 0.005, "what was stale must not be served from memory as if it were fresh"
    assert result.record == newer


@in_virtual_time
async def test_both_homes_down_answers_from_memory_what_is_stale_or_own() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    for _ in range(2):
        gateway.kvsp.takes(0.1, DOWN)
        gateway.s3.takes(0.2, DOWN)
    with pytest.raises(Unavailable, match="kvsp: unreachable: it is down; s3: unreachable"):
        await gateway.read(READ)
    gateway.machine.fill([Seen(KEY, record, gateway.time.now_us())], gateway.time.now_us())
    await asyncio.sleep(0.1)
    assert await gateway.read(PAST_CACHE) == (
        0.2,
        ReadResult(record, record.version, cached=True, stale=True),
    )


@in_virtual_time
@pytest.mark.parametrize("mode", [ReadMode.RACE, ReadMode.KVSP])
@pytest.mark.parametrize("long_ago", [False, True])
async def test_memory_overrules_the_homes_only_for_a_while(mode: ReadMode, long_ago: bool) -> None:
    """A key that was deleted for good is nowhere, and memory may still have its last value."""
    bounds = ReadBounds(remembered_s=90)
    gateway = TimedGateway(mode=mode, reads=bounds)
    record = gateway.value()
    gateway.machine.fill([Seen(KEY, record, gateway.time.now_us())], gateway.time.now_us())
    if long_ago:
        await asyncio.sleep(bounds.remembered_s + 1)
    _, result = await gateway.read(PAST_CACHE)
    assert result.record == (None if long_ago else record)


@in_virtual_time
async def test_with_both_homes_down_memory_answers_only_for_a_while() -> None:
    gateway = TimedGateway(reads=ReadBounds(remembered_s=90))
    record = gateway.value()
    gateway.machine.fill([Seen(KEY, record, gateway.time.now_us())], gateway.time.now_us())
    await asyncio.sleep(91)
    for home in (gateway.kvsp, gateway.s3):
        home.takes(0.1, DOWN)
    with pytest.raises(Unavailable):
        await gateway.read(PAST_CACHE)


@in_virtual_time
async def test_readers_of_one_key_share_one_race() -> None:
    gateway = TimedGateway()
    await gateway.hold(gateway.value())
    gateway.kvsp.takes(0.5)
    gateway.s3.takes(1.0)
    first = _asked(gateway)
    await asyncio.sleep(0.3)
    second = _asked(gateway)
    assert await first == await second
    assert round(gateway.loop.time(), 6) == 0.5
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 1)


@in_virtual_time
async def test_who_wants_more_than_a_race_does_begins_another() -> None:
    gateway = TimedGateway()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older)
    gateway.kvsp.takes(0.5)
    gateway.s3.takes(0.5)
    first = _asked(gateway)
    await asyncio.sleep(0.1)
    await gateway.hold(newer, Side.S3)
    assert (await _asked(gateway, Read(KEY, newer.version))).record == newer
    assert round(gateway.loop.time(), 6) == 0.105
    assert (gateway.kvsp.calls, gateway.s3.calls) == (2, 2)
    assert (await first).version >= older.version


@in_virtual_time
async def test_an_own_write_that_one_home_lacks_is_waited_for_even_without_its_payload() -> None:
    gateway = TimedGateway()
    older = gateway.value()
    await gateway.hold(older)
    gateway.s3.takes(0.1, DOWN)
    (written,) = gateway.writer.write([Put(KEY, bytes(100_000))])
    assert isinstance(written, asyncio.Future)
    version = (await written).version
    gateway.kvsp.takes(1.0)
    took_s, result = await gateway.read(READ)
    assert (took_s, result.version) == (1.0, version)
    gateway.kvsp.takes(1.0, DOWN)
    with pytest.raises(Unavailable, match="s3: holds only an older version"):
        await gateway.read(READ)


@in_virtual_time
async def test_what_a_session_has_seen_is_demanded_though_an_own_write_is_older() -> None:
    gateway = TimedGateway()
    (written,) = gateway.writer.write([Put(KEY, bytes(100_000))])
    assert isinstance(written, asyncio.Future)
    await written
    newer = seal(Version.at(gateway.clock.now_us() + 1_000), b"newer, by another gateway")
    await gateway.hold(newer, Side.S3)
    gateway.s3.takes(0.1)
    assert await gateway.read(Read(KEY, newer.version)) == (0.1, ReadResult(newer, newer.version))


@in_virtual_time
async def test_an_own_write_is_read_from_memory_at_once() -> None:
    gateway = TimedGateway()
    (written,) = gateway.writer.write([Put(KEY, b"mine")])
    assert isinstance(written, asyncio.Future)
    version = (await written).version
    took_s, result = await gateway.read(Read(KEY, version))
    assert took_s == 0.0
    assert result.record is not None
    assert result.record.value == b"mine"


@in_virtual_time
async def test_a_caller_that_goes_away_does_not_end_the_race() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    gateway.kvsp.takes(0.5)
    gateway.s3.takes(1.0)
    first, second = _asked(gateway), _asked(gateway)
    await asyncio.sleep(0.1)
    first.cancel()
    assert (await second).record == record
    assert await gateway.read(READ) == (0.0, ReadResult(record, record.version, cached=True))


@in_virtual_time
async def test_a_slower_reply_that_is_newer_moves_the_cache_on_and_is_repaired() -> None:
    gateway = TimedGateway()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older)
    await gateway.hold(newer, Side.S3)
    gateway.s3.takes(0.2)
    assert (await gateway.read(READ))[1].record == older
    await asyncio.sleep(0.3)
    assert (await gateway.read(READ))[1].record == newer
    assert await gateway.queued() == [RepairTask(KEY, newer.version, (Side.KVSP,))]


@in_virtual_time
async def test_other_bytes_under_one_version_are_counted_and_repaired_in_both_homes() -> None:
    gateway = TimedGateway()
    version = gateway.value().version
    for side in Side:
        await gateway.hold(seal(version, side.value.encode()), side)
    await gateway.read(READ)
    await asyncio.sleep(0.1)
    assert gateway.reader.counters.corrupt == 1
    assert await gateway.queued() == [RepairTask(KEY, version, (Side.KVSP, Side.S3))]


@pytest.mark.parametrize("side_with_it", Side)
@in_virtual_time
async def test_a_fault_with_one_key_leaves_the_others_of_its_group_their_answers(
    side_with_it: Side,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    fill = gateway.machine.fill

    def failing(seen: Sequence[Seen], now_us: int) -> Sequence[Known | None]:
        if any(one.key == BROKEN for one in seen):
            raise RuntimeError("the map is damaged")
        return fill(seen, now_us)

    monkeypatch.setattr(gateway.machine, "fill", failing)
    for home in gateway.homes.values():
        monkeypatch.setattr(home, "get_all", _in_one_message(home))
    await gateway.homes[side_with_it].memory.put_if_newer(BROKEN, record, 1.0)
    broken, whole = gateway.reader.read([Read(BROKEN), READ])
    assert isinstance(broken, asyncio.Future)
    assert isinstance(whole, asyncio.Future)
    with pytest.raises(RuntimeError, match="damaged"):
        await broken
    assert (await whole).record == record
    await asyncio.sleep(1.0)
    assert gateway.reader.under_way == 0
    again = gateway.reader.read([Read(BROKEN)])[0]
    assert isinstance(again, asyncio.Future), "nobody waits for a race that has ended"
    with pytest.raises(RuntimeError, match="damaged"):
        await again


@in_virtual_time
async def test_a_fault_while_a_difference_is_noticed_leaves_the_others_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = TimedGateway(reads=ReadBounds(company_from=1000))
    met: list[object] = []
    gateway.loop.set_exception_handler(lambda _, context: met.append(context["exception"]))
    for home in gateway.homes.values():
        monkeypatch.setattr(home, "get_all", _in_one_message(home))
    record = gateway.value()
    await gateway.hold(record)
    await gateway.homes[Side.S3].memory.put_if_newer(BROKEN, record, 1.0)
    monkeypatch.setattr(gateway.inbox, "add", _fails)
    for answer in gateway.reader.read([Read(BROKEN), READ]):
        assert isinstance(answer, asyncio.Future)
        assert (await answer).record == record
    await asyncio.sleep(1.0)
    assert gateway.reader.under_way == 0
    assert [str(error) for error in met] == ["the inbox is broken"]


@in_virtual_time
async def test_a_cache_entry_serves_for_its_lifetime() -> None:
    gateway = TimedGateway(reads=ReadBounds(cache_ttl_s=8))
    await gateway.hold(gateway.value())
    await gateway.read(READ)
    await asyncio.sleep(6.9)
    assert (await gateway.read(READ))[1].cached
    assert (await gateway.read(Read(KEY, cache_ttl_s=5)))[0] == 0.005
    await asyncio.sleep(8.1)
    assert not (await gateway.read(READ))[1].cached


@in_virtual_time
async def test_entries_of_one_moment_expire_one_after_the_other() -> None:
    gateway = TimedGateway(reads=ReadBounds(cache_ttl_s=80))
    reads = [Read(KEY._replace(name=f"user/{number}")) for number in range(200)]
    version = gateway.machine.mint([(KEY, NO_VERSION)], gateway.time.now_us())[0]
    for read in reads:
        record = seal(version, b"value")
        now_us = gateway.time.now_us()
        gateway.machine.fill([Seen(read.key, record, now_us)], now_us)

    def served() -> int:
        return sum(isinstance(answer, ReadResult) for answer in gateway.reader.read(reads))

    counts = []
    for pause_s in (70.0, 2.5, 2.5, 2.5, 2.6):
        await asyncio.sleep(pause_s)
        counts.append(served())
    assert counts[0] == 200
    assert counts[-1] == 0
    assert counts == sorted(set(counts), reverse=True)


@in_virtual_time
async def test_at_the_bound_a_read_is_refused_and_memory_still_answers() -> None:
    gateway = TimedGateway(reads=ReadBounds(flights_max=1))
    record = gateway.value()
    gateway.machine.fill([Seen(KEY, record, gateway.time.now_us())], gateway.time.now_us())
    gateway.kvsp.takes(1.0)
    running = _asked(gateway, Read(KEY._replace(name="other")))
    refused = gateway.reader.read([Read(KEY._replace(name="third"))])[0]
    assert isinstance(refused, Overloaded)
    assert (await gateway.read(READ))[1].record == record
    assert (await running).version == NO_VERSION
