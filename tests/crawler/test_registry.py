"""Which namespaces are compared, by what both homes say of them."""

from typing import Final

import pytest

from crawler.registry import Kept, Registered, registered
from tandem.core.collect import Homes
from tandem.core.envelope import seal
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.one_gateway import TwoHomes

A, B = "a" * 32, "b" * 32
SINGLE: Final = Mode(Stage.SINGLE, Side.S3)


async def _hold(homes: TwoHomes, namespace: str, mode: Mode, ms: int, *sides: Side) -> None:
    value = encode_namespace(Namespace(namespace, "t", Settings(mode=mode)))
    record = seal(homes.version(ms), value)
    key = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{namespace}")
    for side in sides or tuple(Side):
        await homes.by_side[side].memory.put_if_newer(key, record, 1.0)


async def _registered(homes: TwoHomes) -> Registered:
    return await registered(homes.by_side, 1.0)


@pytest.mark.parametrize("home", Side)
async def test_what_is_kept_in_one_home_is_alive_and_not_compared(home: Side) -> None:
    homes = TwoHomes()
    await _hold(homes, A, Mode(Stage.SINGLE, home), 0)
    await _hold(homes, B, Mode(Stage.SHADOW, home), 0)
    found = await _registered(homes)
    assert list(found.kept) == [A, B]
    assert found.kept_in(Homes.BOTH) == (B,)
    assert found.kept_in(Homes.KVSP if home is Side.KVSP else Homes.S3) == (A,)
    assert [kept.alone for kept in found.kept.values()] == [home, None]


@pytest.mark.parametrize("newer", Side)
@pytest.mark.parametrize(("before", "after"), [(SINGLE, ACTIVE), (ACTIVE, SINGLE)])
async def test_of_two_homes_that_differ_the_newer_record_counts(
    newer: Side, before: Mode, after: Mode
) -> None:
    """While a step is on its way to a home, or that home was down."""
    homes = TwoHomes()
    await _hold(homes, A, before, 0)
    await _hold(homes, A, after, 5, newer)
    assert (await _registered(homes)).kept_in(Homes.BOTH) == ((A,) if after.two else ())


async def test_a_home_that_is_down_is_passed_over() -> None:
    homes = TwoHomes()
    await _hold(homes, A, SINGLE, 0)
    homes.kvsp.down = True
    found = await _registered(homes)
    assert found.kept == {A: Kept(SINGLE)}


async def test_homes_that_hold_the_same_are_not_both_asked_for_it() -> None:
    homes = TwoHomes()
    await _hold(homes, A, ACTIVE, 0)
    await _registered(homes)
    assert homes.kvsp.calls + homes.s3.calls == 3, "two listings, one record"


async def test_bytes_that_are_no_namespace_are_passed_over() -> None:
    homes = TwoHomes()
    key = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{A}")
    await homes.s3.memory.put_if_newer(key, seal(Version.at(homes.clock.now_us()), b"{}"), 1.0)
    assert (await _registered(homes)).kept == {}
