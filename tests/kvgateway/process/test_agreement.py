"""One store for all gateways, whatever dies, fails or comes late at their first start."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from kvgateway.homes.home_time import SLOW_MAX_US, HomeTime
from kvgateway.homes.identity import OwnFile
from kvgateway.homes.trust import Trust
from kvgateway.process.preparation import LOOK_PAUSE_S, agree_on_store
from tandem.backends.store_id import STORE_ID_KEY, shown
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Failed, ReadReply, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tests.kvgateway.two_homes import DOWN, NAMESPACE, Numbers, Pair
from tests.memory.home import MemoryHome
from tests.sim.loop import VirtualClock, current, run


class DistantHome(MemoryHome):
    """A home that takes three seconds for an answer, now on the one way and now on the other."""

    _asked = 0

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> "asyncio.Future[ReadReply]":
        self._asked += 1
        there_s = 2.9 if self._asked % 2 else 0.1
        return asyncio.ensure_future(self._answered(key, deadline_s, there_s))

    async def _answered(self, key: Key, deadline_s: float, there_s: float) -> ReadReply:
        await asyncio.sleep(there_s)
        reply = await super().get(key, deadline_s)
        await asyncio.sleep(3.0 - there_s)
        return reply


@pytest.mark.parametrize("side", list(Side))
def test_a_start_whose_only_home_takes_seconds_comes_later_and_knows_the_time(side: Side) -> None:
    async def scenario() -> None:
        clock = VirtualClock(current())
        homes = {side: DistantHome(side, clock)}
        homes[side].place(STORE_ID_KEY, seal(Version.at(1), b"5" * 32))
        time = HomeTime(clock)
        assert await agree_on_store(homes, "5" * 32, Numbers(), time, Trust()) == "5" * 32
        assert 3.0 < current().time() < 30.0
        assert abs(time.now_us() - clock.now_us()) <= SLOW_MAX_US

    run(scenario())


@pytest.mark.parametrize("head_start_s", [0.0, 0.01, 0.05, 0.5, 1.0, 1.9, 3.0])
@pytest.mark.parametrize("slowest", [0, 1])
def test_two_first_starts_at_once_end_with_one_store(head_start_s: float, slowest: int) -> None:
    async def start(pair: Pair, number: int) -> str:
        if number:
            await asyncio.sleep(head_start_s)
        entropy = Numbers()
        for _ in range(number):
            entropy.token(8)
        time = HomeTime(pair.clock)
        return await agree_on_store(pair.homes, "", entropy, time, Trust())

    async def both() -> None:
        pair = Pair(VirtualClock(current()))
        pair.kvsp.delay_s, pair.s3.delay_s = 0.02, 0.3
        ids = await asyncio.gather(start(pair, slowest), start(pair, 1 - slowest))
        held = await pair.held(STORE_ID_KEY)
        assert {*ids, *map(shown, held.values())} == {ids[0]}

    run(both())


@pytest.mark.parametrize("calls", range(6))
def test_a_gateway_with_a_file_that_is_killed_at_its_first_start_starts_again(calls: int) -> None:
    """Wherever it was: KVSP must not have the id before the file has it."""
    own = OwnFile("objects.sqlite", Path("store-id"))

    async def start() -> None:
        pair = Pair(VirtualClock(current()))
        pair.kvsp.delay_s = pair.s3.delay_s = 0.01
        first = asyncio.ensure_future(
            agree_on_store(pair.homes, "", Numbers(), pair.time, Trust(), own)
        )
        while sum(len(home.calls) for home in pair.homes.values()) < calls and not first.done():
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.wait([first])
        other = Numbers()
        other.token(8)
        store_id = await agree_on_store(pair.homes, "", other, pair.time, Trust(), own)
        assert {shown(reply) for reply in (await pair.held(STORE_ID_KEY)).values()} == {store_id}

    run(start())


def test_a_first_start_waits_for_the_second_home() -> None:
    async def start() -> None:
        pair = Pair(VirtualClock(current()))
        pair.s3.down()
        current().call_later(60.0, pair.s3.up)
        store_id = await agree_on_store(pair.homes, "", Numbers(), pair.time, Trust())
        assert 60.0 < current().time() < 65.0
        assert shown((await pair.held(STORE_ID_KEY))[Side.S3]) == store_id

    run(start())


def test_a_home_that_reads_but_refuses_the_id_is_not_hammered() -> None:
    async def start() -> None:
        pair = Pair(VirtualClock(current()))
        pair.s3.write_answer = _refused
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await agree_on_store(pair.homes, "", Numbers(), pair.time, Trust())
        assert pair.s3.calls.count("put") <= 30

    run(start())


@pytest.mark.parametrize("lost", list(Side))
def test_a_gateway_that_joins_while_a_home_is_rebuilt_knows_what_it_lacks(lost: Side) -> None:
    async def join() -> None:
        pair = Pair(VirtualClock(current()))
        before, meanwhile, joined = Trust(), Trust(), Trust()
        store_id = await agree_on_store(pair.homes, "", Numbers(), pair.time, before)
        assert before.behind(NAMESPACE) == ()
        await asyncio.sleep(1000.0)
        pair.homes[lost].memory = MemoryHome(lost, pair.clock)
        entropy = Numbers()
        entropy.token(8)
        await agree_on_store(pair.homes, store_id, entropy, pair.time, meanwhile)
        rebuilt_us = pair.clock.now_us()
        await asyncio.sleep(100.0)
        assert await agree_on_store(pair.homes, "", Numbers(), pair.time, joined) == store_id
        for trust in (meanwhile, joined):
            assert trust.behind(NAMESPACE) == (lost,)
            trust.crawled(NAMESPACE, rebuilt_us - 10_000_000)
            assert trust.behind(NAMESPACE) == (lost,)
            trust.crawled(NAMESPACE, rebuilt_us + 1)
            assert trust.behind(NAMESPACE) == ()

    run(join())


def _refused() -> Failed:
    return DOWN


@pytest.mark.parametrize("down", list(Side))
def test_a_gateway_that_knows_its_store_starts_with_one_home(down: Side) -> None:
    async def start() -> None:
        pair = Pair(VirtualClock(current()))
        store_id = await agree_on_store(pair.homes, "", Numbers(), pair.time, Trust())
        pair.homes[down].down()
        began_s, trust = current().time(), Trust()
        assert await agree_on_store(pair.homes, store_id, Numbers(), pair.time, trust) == store_id
        assert current().time() == began_s
        assert trust.behind(NAMESPACE) == ()

    run(start())


def test_a_gateway_that_knows_its_store_waits_while_both_homes_are_down() -> None:
    async def start() -> None:
        pair = Pair(VirtualClock(current()))
        store_id = await agree_on_store(pair.homes, "", Numbers(), pair.time, Trust())
        for home in pair.homes.values():
            home.down()
        began_s = current().time()
        current().call_later(30.0, pair.kvsp.up)
        assert await agree_on_store(pair.homes, store_id, Numbers(), pair.time, Trust()) == store_id
        assert 30.0 <= current().time() - began_s <= 30.0 + LOOK_PAUSE_S

    run(start())


@pytest.mark.parametrize("foreign", list(Side))
def test_a_gateway_whose_home_belongs_to_another_store_uses_the_other_one(foreign: Side) -> None:
    async def start() -> None:
        pair, other = (Pair(VirtualClock(current())) for _ in range(2))
        ours = await agree_on_store(pair.homes, "", Numbers(), pair.time, Trust())
        entropy = Numbers()
        entropy.token(16)
        theirs = await agree_on_store(other.homes, "", entropy, other.time, Trust())
        assert ours != theirs
        mixed = {**pair.homes, foreign: other.homes[foreign]}
        assert await agree_on_store(mixed, ours, Numbers(), pair.time, Trust()) == ours
        assert shown((await other.held(STORE_ID_KEY))[foreign]) == theirs
        with pytest.raises(ConfigurationError, match="different stores"):
            await agree_on_store(mixed, "", Numbers(), pair.time, Trust())

    run(start())


def test_two_emptied_homes_of_a_known_store_are_given_its_id_again_and_lack_everything() -> None:
    async def start() -> None:
        pair, trust = Pair(VirtualClock(current())), Trust()
        assert await agree_on_store(pair.homes, "7" * 32, Numbers(), pair.time, trust) == "7" * 32
        assert {shown(reply) for reply in (await pair.held(STORE_ID_KEY)).values()} == {"7" * 32}
        assert trust.behind(NAMESPACE) == tuple(Side)

    run(start())
