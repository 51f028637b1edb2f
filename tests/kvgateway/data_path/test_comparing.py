"""How often the home that does not answer alone would have said something else: what an operator
rests a step on."""

import asyncio

import pytest

from kvgateway.data_path.comparing import Tally
from kvgateway.data_path.inbox import SETTLE_US
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.request import Read
from tandem.core.version import Version
from tests.kvgateway.one_gateway import NAMESPACE
from tests.kvgateway.timed import DOWN, KEY, TimedGateway, in_virtual_time

SHADOW = Mode(Stage.SHADOW, Side.S3)
LONG_AGO_US = SETTLE_US + 1_000_000


def _shadowed() -> TimedGateway:
    """A gateway all of whose reads are compared, while S3 answers alone."""
    gateway = TimedGateway(namespace_mode=SHADOW)
    gateway.draws.drawn = True
    return gateway


def _written(gateway: TimedGateway, before_us: int, text: bytes = b"value") -> Record:
    return seal(Version.at(gateway.clock.now_us() - before_us), text)


async def _read(gateway: TimedGateway, key: Key = KEY) -> None:
    await gateway.read(Read(key, cache_ttl_s=0))
    while gateway.reader.under_way:
        await asyncio.sleep(0.001)


def _seen(gateway: TimedGateway, namespace: str = NAMESPACE) -> Tally:
    return gateway.reader.comparisons.tally_of(namespace)


@in_virtual_time
async def test_what_both_say_alike_was_compared_and_is_no_difference() -> None:
    gateway = _shadowed()
    await _read(gateway)
    await gateway.hold(_written(gateway, LONG_AGO_US))
    await _read(gateway)
    assert _seen(gateway) == gateway.reader.comparisons.total == Tally(2, 0)


@pytest.mark.parametrize("lacking", Side)
@in_virtual_time
async def test_what_one_home_lacks_is_a_difference_once_a_write_would_have_arrived(
    lacking: Side,
) -> None:
    gateway = _shadowed()
    await gateway.hold(_written(gateway, SETTLE_US // 2), lacking.other)
    await _read(gateway)
    assert _seen(gateway) == Tally(1, 0)
    await asyncio.sleep(LONG_AGO_US / 1e6)
    await _read(gateway)
    assert _seen(gateway) == gateway.reader.comparisons.total == Tally(2, 1)


@in_virtual_time
async def test_a_home_that_does_not_answer_was_not_compared() -> None:
    gateway = _shadowed()
    await gateway.hold(_written(gateway, LONG_AGO_US), Side.S3)
    gateway.kvsp.takes(0.1, DOWN)
    await _read(gateway)
    assert _seen(gateway) == gateway.reader.comparisons.total == Tally(0, 0)


@in_virtual_time
async def test_each_namespace_is_counted_alone_and_anew_with_each_mode() -> None:
    gateway = _shadowed()
    other = "cd" * 16
    await _read(gateway)
    await _read(gateway, Key(other, "key"))
    gateway.reader.comparisons.begin(NAMESPACE)
    assert (_seen(gateway), _seen(gateway, other)) == (Tally(0, 0), Tally(1, 0))
    assert gateway.reader.comparisons.total == Tally(2, 0)
