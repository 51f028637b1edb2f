"""Writes in virtual time: when each is acknowledged, to the microsecond, and what is left of it."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest

from kvgateway.data_path import write_flight
from kvgateway.data_path.writes import WriteBounds
from kvgateway.homes.home_time import FRESH_US
from kvgateway.state.ports import RepairTask
from tandem.backends.port import Puts, Replied
from tandem.core.envelope import seal
from tandem.core.reply import Found, Side
from tandem.core.request import Delete, Put, Written
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.errors import Overloaded, Unavailable
from tests.kvgateway.one_gateway import OneGateway, TwoHomes
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

PUT = Put(KEY, b"value")
Begin: TypeAlias = Callable[[Puts, float, Replied], None]


async def _written(gateway: TimedGateway, write: Put | Delete = PUT) -> tuple[float, Written]:
    """When the write is acknowledged, and as what."""
    written = await gateway.writer.write([write])[0]
    return round(gateway.loop.time(), 6), written


async def _refused(gateway: TimedGateway) -> tuple[float, str]:
    """When the write is given up, and why."""
    with pytest.raises(Unavailable) as refused:
        await gateway.writer.write([PUT])[0]
    return round(gateway.loop.time(), 6), str(refused.value)


@pytest.mark.parametrize(
    ("policy", "kvsp_s", "s3_s", "sync_s", "acked_s"),
    [
        (AckPolicy.FIRST_INTENT, 0.005, 3.0, 0.0003, 0.005),
        (AckPolicy.FIRST_INTENT, 3.0, 0.005, 0.0003, 0.005),
        (AckPolicy.FIRST_INTENT, 0.005, 3.0, 0.020, 0.020),
        (AckPolicy.FIRST_INTENT, 0.005, 0.006, 0.020, 0.006),
        (AckPolicy.FIRST, 0.005, 3.0, 0.020, 0.005),
        (AckPolicy.BOTH, 0.005, 3.0, 0.0003, 3.0),
    ],
)
@in_virtual_time
async def test_the_ack_comes_with_the_last_thing_that_its_policy_waits_for(
    policy: AckPolicy, kvsp_s: float, s3_s: float, sync_s: float, acked_s: float
) -> None:
    gateway = TimedGateway(policy=policy, sync_s=sync_s)
    gateway.kvsp.takes(kvsp_s)
    gateway.s3.takes(s3_s)
    assert (await _written(gateway))[0] == acked_s
    first = Side.KVSP if kvsp_s < s3_s else Side.S3
    assert gateway.writer.counters.acked_first == {first: 1, first.other: 0}
    await gateway.writer.drained()
    assert round(gateway.loop.time(), 6) == max(kvsp_s, s3_s, sync_s)
    assert gateway.journal.live() == 0
    assert await gateway.queued() == []


@in_virtual_time
async def test_a_leg_that_fails_after_the_ack_is_queued_and_only_then_the_intent_goes() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(3.0, DOWN)
    acked_s, written = await _written(gateway)
    assert acked_s == 0.005
    await asyncio.sleep(2.9)
    assert gateway.journal.live() == 1
    assert await gateway.queued() == []
    await asyncio.sleep(0.2)
    assert await gateway.queued() == [RepairTask(KEY, written.version, (Side.S3,))]
    assert gateway.journal.live() == 0


@in_virtual_time
async def test_a_leg_without_an_answer_ends_at_its_own_deadline() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(60.0)
    _, written = await _written(gateway)
    await gateway.writer.drained()
    assert round(gateway.loop.time(), 6) == 30.0
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, written.version, (Side.S3,))]


@in_virtual_time
async def test_both_legs_fail_and_both_reasons_are_named() -> None:
    gateway = TimedGateway()
    gateway.kvsp.takes(1.0, DOWN)
    gateway.s3.takes(60.0)
    gave_up_s, why = await _refused(gateway)
    assert gave_up_s == 30.0
    assert why == "outcome unknown: kvsp: unreachable: it is down; s3: timeout: too slow"
    await gateway.inbox.drained()
    assert [task.missing for task in await gateway.queued()] == [(Side.KVSP, Side.S3)]
    assert gateway.machine.lookup([KEY], gateway.time.now_us()) == [None]


@in_virtual_time
async def test_a_journal_that_cannot_be_written_makes_the_policy_both() -> None:
    gateway = TimedGateway()
    gateway.journal.writable = False
    gateway.s3.takes(3.0)
    assert (await _written(gateway))[0] == 3.0
    gateway.s3.takes(2.0, DOWN)
    gave_up_s, why = await _refused(gateway)
    assert gave_up_s == 5.0
    assert why.endswith("s3: unreachable: it is down; journal: the intent is not durable")


@in_virtual_time
async def test_a_confirmation_after_the_ack_window_counts_for_no_ack() -> None:
    gateway = TimedGateway()
    gateway.kvsp.takes(10.1)
    gateway.s3.takes(12.0, DOWN)
    gave_up_s, why = await _refused(gateway)
    assert gave_up_s == 12.0
    assert "kvsp: confirmed out of time" in why
    assert isinstance(await gateway.kvsp.memory.get(KEY, 1.0), Found)


@in_virtual_time
async def test_a_caller_that_goes_away_takes_nothing_with_it() -> None:
    gateway = TimedGateway()
    gateway.kvsp.takes(1.0)
    gateway.s3.takes(2.0, DOWN)
    answer = gateway.writer.write([PUT])[0]
    await asyncio.sleep(0.5)
    answer.cancel()
    await asyncio.sleep(1.0)
    known = gateway.machine.lookup([KEY], gateway.time.now_us())[0]
    assert known is not None
    assert known.pinned
    await gateway.writer.drained()
    await gateway.inbox.drained()
    assert [task.missing for task in await gateway.queued()] == [(Side.S3,)]


@in_virtual_time
async def test_a_write_is_recent_before_its_ack_and_for_a_while_after_both_homes_have_it() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(3.0)
    answer = gateway.writer.write([PUT])[0]
    pinned_at_ack: list[bool] = []

    def look(_: object) -> None:
        known = gateway.machine.lookup([KEY], gateway.time.now_us())[0]
        pinned_at_ack.append(known is not None and known.pinned and known.record is not None)

    answer.add_done_callback(look)
    await answer
    await asyncio.sleep(3.0 + 9.9)
    known = gateway.machine.lookup([KEY], gateway.time.now_us())[0]
    assert known is not None
    assert known.pinned
    await asyncio.sleep(0.2)
    known = gateway.machine.lookup([KEY], gateway.time.now_us())[0]
    assert known is not None
    assert not known.pinned
    assert pinned_at_ack == [True]


@pytest.mark.parametrize(
    ("failed_s", "sync_s"),
    [(1.0, 0.0003), (0.001, 0.0003), (0.001, 0.020)],
    ids=["the failure", "the home", "the intent"],
)
@in_virtual_time
async def test_a_write_that_one_home_has_stays_recent_whatever_came_last(
    failed_s: float, sync_s: float
) -> None:
    gateway = TimedGateway(sync_s=sync_s)
    gateway.kvsp.takes(failed_s, DOWN)
    gateway.s3.takes(0.005)
    await _written(gateway)
    await asyncio.sleep(1.0 + 10.1)
    known = gateway.machine.lookup([KEY], gateway.time.now_us())[0]
    assert known is not None
    assert known.pinned


@in_virtual_time
async def test_a_write_that_finds_a_newer_version_is_acknowledged_as_superseded() -> None:
    gateway = TimedGateway()
    newer = seal(Version.at(gateway.clock.now_us() + 400_000), b"newer")
    await gateway.hold(newer, Side.KVSP)
    acked_s, written = await _written(gateway)
    assert acked_s == 0.005
    assert written.superseded_by == newer.version
    assert gateway.writer.counters.superseded == 1


@in_virtual_time
async def test_a_group_is_stamped_in_its_order_and_above_what_each_write_demands() -> None:
    gateway = TimedGateway()
    above = Version.at(gateway.clock.now_us() + 300_000)
    answers = gateway.writer.write([PUT, Delete(KEY), Put(KEY, b"third", above=above)])
    versions = [(await answer).version for answer in answers]
    assert len(versions) == 3
    assert versions == sorted(versions)
    assert versions[1] < above < versions[2]


@in_virtual_time
async def test_it_is_counted_how_long_acknowledged_writes_took_and_no_others() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(3.0)
    await asyncio.gather(*gateway.writer.write([PUT, Put(KEY, b"second")]))
    await gateway.writer.drained()
    gateway.kvsp.takes(0.1, DOWN)
    gateway.s3.takes(0.1, DOWN)
    await _refused(gateway)
    assert sum(gateway.writer.waited.counts) == 2
    assert gateway.writer.waited.total_s == pytest.approx(2 * 0.005)


@pytest.mark.parametrize("bounds", [WriteBounds(flights_max=2), WriteBounds(bytes_max=1200)])
@in_virtual_time
async def test_at_the_bound_a_group_is_refused_whole_and_nothing_is_started(
    bounds: WriteBounds,
) -> None:
    gateway = TimedGateway(writes=bounds)
    big = Put(KEY, bytes(500))
    started = gateway.writer.write([big, big])
    calls = gateway.kvsp.calls
    [refused] = gateway.writer.write([big])
    with pytest.raises(Overloaded):
        await refused
    assert gateway.kvsp.calls == calls
    assert gateway.writer.counters.overloaded == 1
    await asyncio.gather(*started)
    await gateway.writer.drained()
    assert await gateway.writer.write([big])[0]


@in_virtual_time
async def test_a_gateway_that_does_not_know_the_homes_time_writes_nothing() -> None:
    gateway = TimedGateway()
    await asyncio.sleep(FRESH_US / 1e6 + 1)
    with pytest.raises(Unavailable):
        await gateway.writer.write([PUT])[0]
    assert gateway.kvsp.calls == gateway.s3.calls == 0
    assert gateway.writer.counters.unavailable == 1


async def test_a_confirmed_write_is_let_go_of_though_the_process_stood_still_meanwhile() -> None:
    """For so long that it does not know the homes' time any more."""
    homes = TwoHomes()
    faults: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    gateway = OneGateway(homes.by_side, homes.clock)
    await gateway.writer.write([PUT])[0]
    homes.clock.advance(2 * FRESH_US / 1e6)
    await gateway.writer.drained()
    await asyncio.sleep(0)
    assert not faults


@in_virtual_time
async def test_the_journal_is_asked_before_any_leg_begins() -> None:
    gateway = TimedGateway()
    live_then: list[int] = []
    for home in gateway.homes.values():
        begin = home.put_all

        def noted(puts: Puts, deadline_s: float, replied: Replied, begin: Begin = begin) -> None:
            live_then.append(gateway.journal.live())
            begin(puts, deadline_s, replied)

        home.put_all = noted  # type: ignore[method-assign]
    await _written(gateway)
    assert live_then == [1, 1]


@in_virtual_time
async def test_a_fault_while_acknowledging_reaches_every_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = TimedGateway()
    with monkeypatch.context() as patched:
        patched.setattr(gateway.machine, "install", _broken)
        answers = gateway.writer.write([PUT, PUT])
        ended = await asyncio.gather(*answers, return_exceptions=True)
    assert list(map(repr, ended)) == ["RuntimeError('broken')"] * 2
    await gateway.writer.drained()
    assert await gateway.writer.write([PUT])[0]


@in_virtual_time
async def test_a_group_that_cannot_begin_leaves_nothing_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = TimedGateway(writes=WriteBounds(flights_max=2))
    with monkeypatch.context() as patched:
        patched.setattr(write_flight, "seal_tombstone", _broken)
        with pytest.raises(RuntimeError):
            gateway.writer.write([PUT, Delete(KEY)])
    assert not gateway.writer.under_way
    await gateway.writer.drained()
    assert await asyncio.gather(*gateway.writer.write([PUT, PUT]))


def _broken(*_: object) -> None:
    raise RuntimeError("broken")
