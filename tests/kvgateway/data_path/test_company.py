"""Races of a busy gateway, in virtual time: the second home has its turn for many reads at once,
each read is compared all the same, and no read waits for company that has no answer."""

import asyncio
from collections.abc import Sequence
from typing import Final

import pytest

from kvgateway.state.ports import RepairTask
from tandem.core.key import Key
from tandem.core.latency import KNOWN_FROM
from tandem.core.reading import COMPANY_FROM, COMPANY_S
from tandem.core.reply import Failed, Reason, Side
from tandem.core.request import Read, ReadResult
from tandem.errors import Unavailable
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

KVSP_S: Final = 0.002
S3_S: Final = 0.02
LONG_S: Final = 1.0


def _asked(gateway: TimedGateway, names: Sequence[str]) -> list["asyncio.Future[ReadResult]"]:
    """The answers to reads that come one by one, past the cache."""
    answers = []
    for name in names:
        (answer,) = gateway.reader.read([Read(Key(KEY.namespace, name), cache_ttl_s=0)])
        assert isinstance(answer, asyncio.Future)
        answers.append(answer)
    return answers


async def _at_rest(gateway: TimedGateway) -> None:
    while gateway.reader.under_way:
        await asyncio.sleep(0.001)


async def _busy(others_s: float = LONG_S) -> TimedGateway:
    """A gateway that knows KVSP to be quicker, with so many reads under way that more are many."""
    gateway = TimedGateway()
    for number in range(KNOWN_FROM):
        gateway.kvsp.takes(KVSP_S)
        gateway.s3.takes(S3_S)
        _asked(gateway, [f"warm/{number}"])
        await _at_rest(gateway)
    for _ in range(COMPANY_FROM):
        gateway.kvsp.takes(others_s)
        gateway.s3.takes(others_s)
    _asked(gateway, [f"other/{number}" for number in range(COMPANY_FROM)])
    gateway.kvsp.calls = gateway.s3.calls = 0
    return gateway


@in_virtual_time
async def test_few_reads_ask_both_homes_at_once() -> None:
    gateway = TimedGateway()
    for number in range(KNOWN_FROM + 20):
        _asked(gateway, [f"key/{number}"])
        assert (gateway.kvsp.calls, gateway.s3.calls) == (number + 1, number + 1)
        await _at_rest(gateway)


@in_virtual_time
async def test_the_second_home_is_asked_for_all_that_came_meanwhile() -> None:
    gateway = await _busy()
    record = gateway.value()
    await gateway.hold(record)
    for _ in range(2):
        gateway.kvsp.takes(KVSP_S)
    began_s = gateway.loop.time()
    first = _asked(gateway, ["key"])
    await asyncio.sleep(COMPANY_S / 2)
    second = _asked(gateway, ["another"])
    assert (gateway.kvsp.calls, gateway.s3.calls) == (2, 0)
    assert await first[0] == ReadResult(record, record.version)
    assert gateway.loop.time() == began_s + KVSP_S, "nobody waits for a comparison"
    assert gateway.s3.calls == 0
    await asyncio.sleep(began_s + COMPANY_S - gateway.loop.time() + 1e-6)
    assert gateway.s3.groups[-1] == gateway.s3.calls == 2, "one turn for both"
    assert await second[0] == ReadResult(None), "the miss was confirmed"


@in_virtual_time
async def test_reads_that_come_together_are_asked_together() -> None:
    gateway = TimedGateway()
    record = gateway.value()
    await gateway.hold(record)
    reads = [Read(Key(KEY.namespace, f"{n}"), cache_ttl_s=0) for n in range(5)] + [Read(KEY)]
    answers = gateway.reader.read(reads)
    assert gateway.kvsp.groups == gateway.s3.groups == [6]
    results = [await answer for answer in answers if isinstance(answer, asyncio.Future)]
    assert results == [ReadResult(None)] * 5 + [ReadResult(record, record.version)]


@in_virtual_time
async def test_a_later_read_has_a_turn_of_its_own() -> None:
    gateway = await _busy()
    await gateway.hold(gateway.value())
    for turn in range(1, 4):
        gateway.kvsp.takes(KVSP_S)
        _asked(gateway, ["key"])
        await asyncio.sleep(COMPANY_S + 0.001)
        assert gateway.s3.calls == turn


@pytest.mark.parametrize("lacking", list(Side))
@in_virtual_time
async def test_what_differs_is_noticed_in_every_read(lacking: Side) -> None:
    gateway = await _busy()
    older, newer = gateway.value(), gateway.value(5)
    await gateway.hold(newer, lacking.other)
    await gateway.hold(older, lacking)
    gateway.kvsp.takes(KVSP_S)
    (answer,) = _asked(gateway, ["key"])
    assert (await answer).record == (older if lacking is Side.KVSP else newer), "KVSP is quicker"
    await asyncio.sleep(S3_S)
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, newer.version, (lacking,))]
    (again,) = gateway.reader.read([Read(KEY)])
    assert isinstance(again, ReadResult)
    assert again.record == newer, "the cache has moved on"


@in_virtual_time
async def test_a_first_home_that_hangs_costs_a_moment() -> None:
    gateway = await _busy()
    record = gateway.value()
    await gateway.hold(record)
    gateway.kvsp.takes(3.0)
    gateway.s3.takes(S3_S)
    began_s = gateway.loop.time()
    (answer,) = _asked(gateway, ["key"])
    assert (await answer).record == record
    assert round(gateway.loop.time() - began_s, 6) == round(COMPANY_S + S3_S, 6)


@pytest.mark.parametrize("failure", [None, DOWN, Failed(Reason.CORRUPT, "other bytes")])
@in_virtual_time
async def test_a_first_home_without_an_answer_has_the_second_asked_at_once_and_once(
    failure: Failed | None,
) -> None:
    gateway = await _busy()
    record = gateway.value()
    await gateway.hold(record, Side.S3)
    gateway.kvsp.takes(0.0005, failure)
    gateway.s3.takes(0.0005)
    began_s = gateway.loop.time()
    (answer,) = _asked(gateway, ["key"])
    assert (await answer).record == record
    assert round(gateway.loop.time() - began_s, 6) == 0.001
    await asyncio.sleep(COMPANY_S)
    assert gateway.s3.calls == 1, "its turn was over"
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, record.version, (Side.KVSP,))] * (
        failure is not DOWN
    )


@in_virtual_time
async def test_who_had_its_turn_early_keeps_nobody_from_theirs() -> None:
    gateway = await _busy()
    await gateway.hold(gateway.value())
    gateway.kvsp.takes(0.0005, DOWN)
    gateway.kvsp.takes(KVSP_S)
    _asked(gateway, ["early", "key"])
    await asyncio.sleep(0.001)
    assert gateway.s3.calls == 1
    await asyncio.sleep(COMPANY_S)
    assert gateway.s3.calls == 2


@in_virtual_time
async def test_both_homes_down_is_told_as_by_any_race() -> None:
    gateway = await _busy()
    gateway.kvsp.takes(0.0005, DOWN)
    gateway.s3.takes(0.0005, DOWN)
    (answer,) = _asked(gateway, ["key"])
    with pytest.raises(Unavailable, match="kvsp: unreachable: it is down; s3: unreachable"):
        await answer


@pytest.mark.parametrize("behind", [(Side.KVSP,), (Side.S3,), tuple(Side)])
@in_virtual_time
async def test_where_a_home_may_lack_writes_both_are_asked_at_once(
    behind: tuple[Side, ...],
) -> None:
    gateway = await _busy()
    gateway.view.late = behind
    _asked(gateway, ["key"])
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 1)


@in_virtual_time
async def test_a_version_that_is_wanted_is_asked_of_both_at_once() -> None:
    gateway = await _busy()
    gateway.reader.read([Read(KEY, gateway.value().version)])
    assert (gateway.kvsp.calls, gateway.s3.calls) == (1, 1)


@in_virtual_time
async def test_once_few_are_under_way_again_nobody_waits() -> None:
    gateway = await _busy(others_s=0.01)
    _asked(gateway, ["key"])
    assert gateway.s3.calls == 0
    await _at_rest(gateway)
    calls = gateway.s3.calls
    _asked(gateway, ["key"])
    assert gateway.s3.calls == calls + 1
