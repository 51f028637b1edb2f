"""Reads that do not ask both homes at once, in virtual time: who is asked when, and what the lot
shows of the home that is never asked first."""

import asyncio
from typing import Final

import pytest

from kvgateway.data_path.read_bounds import ReadBounds
from kvgateway.state.ports import RepairTask
from tandem.core.latency import KNOWN_FROM
from tandem.core.reading import HEDGE_S_MAX, ReadMode
from tandem.core.reply import Failed, Reason, Side
from tandem.core.request import Read, ReadResult
from tandem.errors import Unavailable
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

PAST_CACHE: Final = Read(KEY, cache_ttl_s=0)
KVSP_S: Final = 0.02
S3_S: Final = 0.1


async def _at_rest(gateway: TimedGateway) -> None:
    while gateway.reader.under_way:
        await asyncio.sleep(0.01)


async def _hedging() -> TimedGateway:
    """A gateway that knows how quick its homes are: KVSP 20 ms, S3 100 ms."""
    gateway = TimedGateway(mode=ReadMode.HEDGED)
    for number in range(KNOWN_FROM):
        gateway.kvsp.takes(KVSP_S)
        gateway.s3.takes(S3_S)
        gateway.reader.read([Read(KEY._replace(name=f"warm/{number}"))])
    await _at_rest(gateway)
    gateway.kvsp.calls = gateway.s3.calls = 0
    return gateway


@in_virtual_time
async def test_hedged_asks_both_until_it_knows_how_quick_they_are() -> None:
    gateway = TimedGateway(mode=ReadMode.HEDGED)
    await gateway.hold(gateway.value())
    for number in range(1, KNOWN_FROM + 5):
        if number <= KNOWN_FROM:
            gateway.kvsp.takes(KVSP_S)
        else:
            gateway.s3.takes(0.001)
        await gateway.read(PAST_CACHE)
        await _at_rest(gateway)
        assert gateway.s3.calls == number, "S3 is the quicker one"
    assert gateway.kvsp.calls == KNOWN_FROM


@in_virtual_time
async def test_a_quick_answer_of_the_first_home_leaves_the_second_in_peace() -> None:
    gateway = await _hedging()
    record = gateway.value()
    await gateway.hold(record)
    gateway.kvsp.takes(KVSP_S - 0.001)
    assert await gateway.read(PAST_CACHE) == (KVSP_S - 0.001, ReadResult(record, record.version))
    assert gateway.reader.under_way == 0, "nobody waits for a home that was not asked"
    await asyncio.sleep(1.0)
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 0)
    assert gateway.reader.counters.hedged == 0


@in_virtual_time
async def test_a_first_home_that_hangs_costs_as_much_as_it_usually_takes() -> None:
    gateway = await _hedging()
    record = gateway.value()
    await gateway.hold(record)
    gateway.kvsp.takes(3.0)
    gateway.s3.takes(S3_S)
    assert await gateway.read(PAST_CACHE) == (
        round(KVSP_S + S3_S, 6),
        ReadResult(record, record.version),
    )
    assert gateway.reader.counters.hedged == 1
    await _at_rest(gateway)
    assert gateway.loop.time() > 3.0, "the slower reply is still compared"


@pytest.mark.parametrize("failure", [None, DOWN, Failed(Reason.CORRUPT, "other bytes")])
@in_virtual_time
async def test_a_first_home_without_an_answer_has_the_second_asked_at_once(
    failure: Failed | None,
) -> None:
    gateway = await _hedging()
    record = gateway.value()
    await gateway.hold(record, Side.S3)
    gateway.kvsp.takes(0.001, failure)
    gateway.s3.takes(S3_S)
    assert await gateway.read(PAST_CACHE) == (0.001 + S3_S, ReadResult(record, record.version))
    await gateway.inbox.drained()
    repaired = failure != DOWN
    assert await gateway.queued() == [RepairTask(KEY, record.version, (Side.KVSP,))] * repaired


@in_virtual_time
async def test_a_record_below_what_is_wanted_is_no_answer_either() -> None:
    gateway = await _hedging()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older)
    await gateway.hold(newer, Side.S3)
    _, result = await gateway.read(Read(KEY, newer.version))
    assert result.record == newer
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, newer.version, (Side.KVSP,))]


@in_virtual_time
async def test_a_miss_is_confirmed_by_the_second_home_before_it_is_told() -> None:
    gateway = await _hedging()
    gateway.s3.takes(S3_S)
    took_s, result = await gateway.read(PAST_CACHE)
    assert result == ReadResult(None), "not marked unconfirmed"
    assert took_s == round(0.005 + S3_S, 6)


@in_virtual_time
async def test_both_homes_down_is_told_as_by_a_race() -> None:
    gateway = await _hedging()
    gateway.kvsp.takes(0.001, DOWN)
    gateway.s3.takes(0.001, DOWN)
    with pytest.raises(Unavailable, match="kvsp: unreachable: it is down; s3: unreachable"):
        await gateway.read(PAST_CACHE)
    assert gateway.reader.under_way == 0


@in_virtual_time
async def test_a_home_that_is_behind_is_not_asked_first_however_quick_it_is() -> None:
    gateway = await _hedging()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(older)
    await gateway.hold(newer, Side.S3)
    gateway.view.late = (Side.KVSP,)
    gateway.s3.takes(S3_S - 0.01)
    assert (await gateway.read(PAST_CACHE))[1] == ReadResult(newer, newer.version)
    assert gateway.kvsp.calls == 0
    gateway.view.late = (Side.KVSP, Side.S3)
    await gateway.read(PAST_CACHE)
    assert gateway.kvsp.calls == 1, "where both are behind both are asked"


@in_virtual_time
async def test_where_homes_become_slow_the_other_one_is_asked_within_a_bound() -> None:
    gateway = await _hedging()
    record = gateway.value()
    await gateway.hold(record)
    for number in range(300):
        gateway.kvsp.takes(3.0)
        gateway.s3.takes(4.0)
        gateway.reader.read([Read(KEY._replace(name=f"slow/{number}"))])
    await _at_rest(gateway)
    gateway.kvsp.takes(3.0)
    gateway.s3.takes(0.01)
    assert (await gateway.read(PAST_CACHE))[0] == HEDGE_S_MAX + 0.01


@in_virtual_time
async def test_readers_of_one_key_share_one_hedged_read() -> None:
    gateway = await _hedging()
    record = gateway.value()
    await gateway.hold(record)
    gateway.kvsp.takes(3.0)
    gateway.s3.takes(S3_S)
    answers = gateway.reader.read([PAST_CACHE, PAST_CACHE])
    await asyncio.sleep(KVSP_S + 0.001)
    answers = [*answers, *gateway.reader.read([PAST_CACHE])]
    for answer in answers:
        assert isinstance(answer, asyncio.Future)
        assert (await answer).record == record
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 1)


@pytest.mark.parametrize("mode", [ReadMode.KVSP, ReadMode.S3, ReadMode.HEDGED])
@in_virtual_time
async def test_a_drawn_read_asks_both_and_what_differs_is_repaired(mode: ReadMode) -> None:
    gateway = TimedGateway(mode=mode)
    older, newer = gateway.value(), gateway.value(5)
    first = gateway.s3 if mode is ReadMode.S3 else gateway.kvsp
    await gateway.hold(newer, first.side)
    await gateway.hold(older, first.side.other)
    if mode is not ReadMode.HEDGED:
        assert (await gateway.read(PAST_CACHE))[1].record == newer
        await gateway.inbox.drained()
        assert await gateway.queued() == [], "a home that is not asked hides its drift"
    gateway.draws.drawn = True
    await gateway.read(PAST_CACHE)
    await _at_rest(gateway)
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, newer.version, (first.side.other,))]
    assert gateway.reader.counters.sampled == 1


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (0.49, 0), (0.51, 20), (1.0, 20)])
@in_virtual_time
async def test_the_share_of_drawn_reads_is_a_setting(share: float, drawn: int) -> None:
    gateway = TimedGateway(mode=ReadMode.KVSP, reads=ReadBounds(sample_share=share))
    gateway.draws.lot = 0.5
    for _ in range(20):
        await gateway.read(PAST_CACHE)
        await _at_rest(gateway)
    assert gateway.reader.counters.sampled == drawn
    assert (gateway.kvsp.calls, gateway.s3.calls) == (20, drawn)


@in_virtual_time
async def test_no_lots_are_drawn_where_both_are_asked_anyway() -> None:
    gateway = TimedGateway(reads=ReadBounds(sample_share=1.0))
    await gateway.read(PAST_CACHE)
    await _at_rest(gateway)
    assert gateway.reader.counters.sampled == 0
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 1)
