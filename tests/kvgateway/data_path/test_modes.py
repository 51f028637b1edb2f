"""Writes and reads of a namespace of which one home confirms and answers alone, in virtual time."""

import asyncio
from typing import Final

import pytest

from kvgateway.state.ports import RepairTask
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Found, Missing, Side
from tandem.core.request import Put, Read, ReadResult, Written
from tandem.core.write_race import AckPolicy
from tandem.errors import Unavailable
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

PAST_CACHE: Final = Read(KEY, cache_ttl_s=0)
SINGLE, SHADOW = Mode(Stage.SINGLE, Side.S3), Mode(Stage.SHADOW, Side.S3)
RAMP: Final = Mode(Stage.ACTIVE, Side.S3, 50)


def _key(mode: Mode, drawn: bool) -> Key:
    """A key that is drawn in this mode, or one that is not."""
    keys = (KEY._replace(name=f"key/{number}") for number in range(1000))
    return next(key for key in keys if (len(mode.answers(key)) == 2) == drawn)


async def _written(gateway: TimedGateway, key: Key = KEY) -> tuple[float, Written]:
    began_s = gateway.loop.time()
    answer = gateway.writer.write([Put(key, b"new")])[0]
    assert isinstance(answer, asyncio.Future)
    written = await answer
    return round(gateway.loop.time() - began_s, 6), written


@pytest.mark.parametrize("policy", AckPolicy)
@in_virtual_time
async def test_single_writes_and_asks_one_home_and_owes_the_other_nothing(
    policy: AckPolicy,
) -> None:
    gateway = TimedGateway(namespace_mode=SINGLE, policy=policy)
    gateway.s3.takes(0.3)
    assert (await _written(gateway))[0] == 0.3
    await gateway.writer.drained()
    await gateway.inbox.drained()
    await gateway.read(PAST_CACHE)
    assert gateway.kvsp.calls == 0
    assert await gateway.queued() == []
    assert gateway.journal.live() == 0


@in_virtual_time
async def test_single_says_of_a_miss_that_it_is_sure_and_never_asks_what_was_left() -> None:
    gateway = TimedGateway(namespace_mode=SINGLE)
    await gateway.hold(gateway.value(), Side.KVSP)
    assert (await gateway.read(PAST_CACHE))[1] == ReadResult(None)
    gateway.s3.takes(0.1, DOWN)
    with pytest.raises(Unavailable, match="s3: unreachable"):
        await gateway.read(PAST_CACHE)
    gateway.draws.drawn = True
    assert (await gateway.read(PAST_CACHE))[1] == ReadResult(None)
    assert gateway.kvsp.calls == 0


@pytest.mark.parametrize("policy", AckPolicy)
@in_virtual_time
async def test_in_shadow_a_write_waits_for_the_home_and_not_for_the_other(
    policy: AckPolicy,
) -> None:
    gateway = TimedGateway(namespace_mode=SHADOW, policy=policy)
    gateway.kvsp.takes(0.001)
    gateway.s3.takes(0.3)
    assert (await _written(gateway))[0] == 0.3
    gateway.kvsp.takes(3.0, DOWN)
    gateway.s3.takes(0.3)
    took_s, written = await _written(gateway)
    assert took_s == 0.3
    await gateway.writer.drained()
    await gateway.inbox.drained()
    assert await gateway.queued() == [RepairTask(KEY, written.version, (Side.KVSP,))]


@in_virtual_time
async def test_in_shadow_nothing_is_acknowledged_that_the_home_has_not_confirmed() -> None:
    gateway = TimedGateway(namespace_mode=SHADOW)
    gateway.kvsp.takes(10.0)
    gateway.s3.takes(0.3, DOWN)
    began_s = gateway.loop.time()
    with pytest.raises(Unavailable, match="outcome unknown: s3: unreachable"):
        await _written(gateway)
    assert round(gateway.loop.time() - began_s, 6) == 0.3, "the other leg is not waited for"
    await gateway.writer.drained()
    assert isinstance(await gateway.kvsp.memory.get(KEY, 1.0), Found), "but it is not stopped"


@in_virtual_time
async def test_in_shadow_the_home_answers_alone_and_its_misses_are_sure() -> None:
    gateway = TimedGateway(namespace_mode=SHADOW)
    newer = gateway.value(5)
    await gateway.hold(newer, Side.KVSP)
    assert (await gateway.read(PAST_CACHE))[1] == ReadResult(None)
    await gateway.hold(gateway.value(), Side.S3)
    gateway.s3.takes(0.3)
    assert (await gateway.read(Read(KEY, cache_ttl_s=0)))[0] == 0.3
    assert gateway.kvsp.calls == 0


@in_virtual_time
async def test_in_shadow_the_sample_is_answered_by_the_home_and_compared() -> None:
    gateway = TimedGateway(namespace_mode=SHADOW)
    gateway.draws.drawn = True
    record, stranger = gateway.value(), gateway.value(5)
    await gateway.hold(record, Side.S3)
    await gateway.hold(stranger, Side.KVSP)
    gateway.s3.takes(0.3)
    assert (await gateway.read(PAST_CACHE)) == (0.3, ReadResult(record, record.version))
    await gateway.inbox.drained()
    assert gateway.reader.counters.drift == 1
    assert await gateway.queued() == [RepairTask(KEY, stranger.version, (Side.S3,))]
    told_of_memory = ReadResult(record, record.version, cached=True)
    assert (await gateway.read(Read(KEY)))[1] == told_of_memory, "the stranger is not cached"


@in_virtual_time
async def test_in_shadow_the_other_home_never_stands_in() -> None:
    """It may hold what was deleted for good since it was left."""
    for drawn in (False, True):
        gateway = TimedGateway(namespace_mode=SHADOW)
        gateway.draws.drawn = drawn
        await gateway.hold(gateway.value())
        gateway.s3.takes(0.1, DOWN)
        with pytest.raises(Unavailable, match="s3"):
            await gateway.read(PAST_CACHE)
        assert gateway.kvsp.calls == drawn


@pytest.mark.parametrize("read_mode", ReadMode)
@in_virtual_time
async def test_who_answers_alone_is_asked_whatever_the_read_mode(read_mode: ReadMode) -> None:
    gateway = TimedGateway(namespace_mode=SHADOW, mode=read_mode)
    await gateway.hold(gateway.value())
    await gateway.read(PAST_CACHE)
    assert (gateway.kvsp.calls, gateway.s3.calls) == (0, 1)


@in_virtual_time
async def test_in_the_ramp_a_key_that_is_drawn_is_raced_and_another_is_not() -> None:
    for drawn, took_s in ((True, 0.005), (False, 0.3)):
        gateway, key = TimedGateway(namespace_mode=RAMP), _key(RAMP, drawn)
        for side in Side:
            await gateway.homes[side].memory.put_if_newer(key, gateway.value(), 1.0)
        gateway.s3.takes(0.3)
        assert (await gateway.read(Read(key, cache_ttl_s=0)))[0] == took_s
        await asyncio.sleep(1.0)
        gateway.s3.takes(0.3)
        assert (await _written(gateway, key))[0] == took_s


@in_virtual_time
async def test_a_group_of_writes_reaches_each_home_with_what_it_gets() -> None:
    """Of one group, each key is judged by the mode of its own namespace."""
    gateway = TimedGateway(namespace_mode=SINGLE)
    other = Key("cd" * 16, "key")
    gateway.view.modes[other.namespace] = Mode(Stage.SINGLE, Side.KVSP)
    answers = gateway.writer.write([Put(KEY, b"a"), Put(other, b"b")])
    for answer in answers:
        assert isinstance(answer, asyncio.Future)
        await answer
    await gateway.writer.drained()
    for key, side in ((KEY, Side.S3), (other, Side.KVSP)):
        assert isinstance(await gateway.homes[side].memory.get(key, 1.0), Found)
        assert isinstance(await gateway.homes[side.other].memory.get(key, 1.0), Missing)
