"""Memory that was emptied while writes were under way: nobody goes back behind them."""

import asyncio

import pytest

from tandem.core.envelope import seal
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.request import Put, Read, ReadResult, Written
from tandem.core.version import NO_VERSION
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

READ = Read(KEY)


def _asked(gateway: TimedGateway) -> "asyncio.Future[ReadResult]":
    answer = gateway.reader.read([READ])[0]
    assert isinstance(answer, asyncio.Future)
    return answer


async def _written(gateway: TimedGateway, lags: Side, after_s: float) -> Written:
    """A write that one home has confirmed, and the other one has not yet."""
    gateway.homes[lags].takes(after_s)
    return await gateway.writer.write([Put(KEY, b"new")])[0]


def _emptied(gateway: TimedGateway) -> None:
    gateway.machine.empty(gateway.clock.now_us())


@in_virtual_time
async def test_while_a_write_may_be_under_way_both_homes_are_waited_for() -> None:
    gateway = TimedGateway()
    await gateway.hold(gateway.value(text=b"old"))
    written = await _written(gateway, Side.S3, 1.0)
    _emptied(gateway)
    gateway.kvsp.takes(0.3)
    took_s, result = await gateway.read(READ)
    assert (took_s, result.version) == (0.3, written.version)


@pytest.mark.parametrize("mode", [ReadMode.HEDGED, ReadMode.S3])
def test_also_where_one_home_is_asked_as_a_rule(mode: ReadMode) -> None:
    @in_virtual_time
    async def scenario() -> None:
        gateway = TimedGateway(mode=mode)
        await gateway.hold(gateway.value(text=b"old"))
        written = await _written(gateway, Side.S3, 1.0)
        _emptied(gateway)
        _, result = await gateway.read(READ)
        assert (result.version, result.stale) == (written.version, False)

    scenario()


@in_virtual_time
async def test_once_every_leg_of_then_has_ended_one_home_will_do_again() -> None:
    gateway = TimedGateway()
    await gateway.hold(gateway.value())
    _emptied(gateway)
    await asyncio.sleep(LEG_DEADLINE_S)
    gateway.kvsp.takes(0.3)
    took_s, _ = await gateway.read(READ)
    assert took_s == 0.005


@in_virtual_time
async def test_nobody_joins_a_race_that_began_before_a_write_that_is_forgotten() -> None:
    gateway = TimedGateway()
    await gateway.hold(gateway.value(text=b"old"))
    gateway.kvsp.takes(0.3, DOWN)
    gateway.s3.takes(0.1)
    racing = _asked(gateway)
    written = await _written(gateway, Side.S3, 1.0)
    _emptied(gateway)
    _, after = await gateway.read(READ)
    assert after.version == written.version
    assert (await racing).version == written.version, "memory knows it again"


@in_virtual_time
async def test_what_a_read_of_before_finds_is_no_cache_entry() -> None:
    gateway = TimedGateway()
    old = gateway.value(text=b"old")
    await gateway.hold(old)
    gateway.kvsp.takes(0.5, DOWN)
    gateway.s3.takes(0.5)
    reading = _asked(gateway)
    await asyncio.sleep(0.1)
    _emptied(gateway)
    await gateway.hold(gateway.value(ms=4_000, text=b"newer"), Side.KVSP)
    await reading
    _, after = await gateway.read(READ)
    assert after.record is not None
    assert after.record.value == b"newer"


@in_virtual_time
async def test_a_write_that_is_acknowledged_late_is_not_taken_for_the_newest() -> None:
    gateway = TimedGateway()
    first, second = (gateway.machine.mint([(KEY, NO_VERSION)], gateway.clock.now_us())[0]
                     for _ in range(2))  # fmt: skip
    await gateway.hold(seal(second, b"second"), Side.KVSP)
    gateway.machine.install([(KEY, seal(second, b"second"))], gateway.clock.now_us())
    _emptied(gateway)
    gateway.machine.install([(KEY, seal(first, b"first"))], gateway.clock.now_us())
    _, result = await gateway.read(READ)
    assert result.version == second
    gateway.kvsp.takes(0.1, DOWN)
    gateway.s3.takes(0.1, DOWN)
    _emptied(gateway)
    gateway.machine.install([(KEY, seal(first, b"first"))], gateway.clock.now_us())
    _, result = await gateway.read(READ)
    assert (result.version, result.stale) == (first, True), "said to be what it may be"
