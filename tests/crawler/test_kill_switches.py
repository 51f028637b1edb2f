"""Switches that are thrown while a crawl is under way."""

import asyncio

import pytest

from crawler.board import Counters
from crawler.crawl import Crawl
from crawler.kill_switches import ALL_OFF, LOOK_S, KillSwitches, SwitchedHome, switched
from crawler.report import CrawlReport, CrawlRule
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Failed, Found, Missing, Reason, Side, Stored
from tandem.core.version import Version
from tests.kvgateway.two_homes import NAMESPACE, Pair
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

KEY = Key(NAMESPACE, "key")
RECORD = seal(Version.at(EPOCH_US), b"value")
OFF = Failed(Reason.SWITCHED_OFF, ALL_OFF)


class Thrown:
    """Gateways with a switch that a test throws."""

    def __init__(self) -> None:
        self.on = True
        self.raises: Exception | None = None

    async def enabled(self) -> frozenset[Side]:
        if self.raises is not None:
            raise self.raises
        return frozenset(Side) if self.on else frozenset()


def test_a_home_refuses_every_call_while_the_switches_are_off() -> None:
    async def main() -> None:
        pair, gateways = Pair(VirtualClock(current())), Thrown()
        switches = KillSwitches(gateways.enabled, Counters())
        homes = switched(pair.homes, switches)
        for side, home in homes.items():
            assert home.side is side
            assert home.clock_skew_max_us == pair.homes[side].clock_skew_max_us
        for side in Side:
            assert await _calls(homes[side]) == [OFF] * 4, "off until somebody was heard"
            assert pair.homes[side].calls == []
        await switches.look()
        for side in Side:
            put, got, page, incarnation = await _calls(homes[side])
            assert isinstance(put, Stored)
            assert isinstance(got, Found)
            assert not isinstance(page, Failed)
            assert incarnation == await pair.homes[side].incarnation(1.0)
        gateways.on = False
        await switches.look()
        for side in Side:
            assert await _calls(homes[side]) == [OFF] * 4

    run(main())


def test_where_no_gateway_answers_nobody_is_said_to_have_switched_a_home_off() -> None:
    async def main() -> None:
        switches = KillSwitches(Thrown().enabled, Counters())
        home = SwitchedHome(Pair(VirtualClock(current())).homes[Side.S3], switches)
        assert str(await home.get(KEY, 1.0)) == f"switched off: {ALL_OFF}"
        switches.on = frozenset({Side.KVSP})
        assert str(await home.get(KEY, 1.0)) == "switched off"

    run(main())


async def _calls(home: object) -> list[object]:
    assert isinstance(home, SwitchedHome)
    put = await home.put_if_newer(KEY, RECORD, 1.0)
    got = await home.get(KEY, 1.0)
    page = await home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=1.0)
    return [put, got, page, await home.incarnation(1.0)]


@pytest.mark.parametrize("names", [3, 40])
def test_a_crawl_stops_in_the_middle_and_heals_nothing_more(names: int) -> None:
    """S3 lacks every name; the switch is thrown while the crawl reads the first pages, or while it
    waits for its second look."""

    async def main() -> CrawlReport:
        pair, gateways = Pair(VirtualClock(current())), Thrown()
        await pair.homes[Side.KVSP].memory.put_if_newer(
            STORE_ID_KEY, seal(Version.at(EPOCH_US), b"5" * 32), 1.0
        )
        for number in range(names):
            key = Key(NAMESPACE, f"{number:03}")
            await pair.homes[Side.KVSP].memory.put_if_newer(key, RECORD, 1.0)
        for home in pair.homes.values():
            home.delay_s = 0.1
        switches = KillSwitches(gateways.enabled, Counters())
        await switches.look()
        following = asyncio.create_task(switches.run())
        crawl = Crawl(switched(pair.homes, switches), NAMESPACE, CrawlRule(page_names=2))
        crawling = asyncio.create_task(crawl.run())
        await asyncio.sleep(0.5)
        gateways.on = False
        report = await crawling
        following.cancel()
        for number in range(names):
            reply = await pair.homes[Side.S3].memory.get(Key(NAMESPACE, f"{number:03}"), 1.0)
            assert isinstance(reply, Missing), "healed a home that is switched off"
        return report

    report = run(main())
    assert not report.equal
    assert "switched off" in (report.failure or report.tally.unhealed[0])


def test_switches_are_followed_and_gateways_that_cannot_be_asked_count_as_off() -> None:
    """And are counted among the crawler's faults, for which there is an alert."""

    async def main() -> None:
        gateways, counters = Thrown(), Counters()
        switches = KillSwitches(gateways.enabled, counters)
        following = asyncio.create_task(switches.run())
        seen = []
        for on, raises in ((True, None), (False, None), (True, None), (True, OSError("broken"))):
            gateways.on, gateways.raises = on, raises
            await asyncio.sleep(LOOK_S)
            seen.append(bool(switches.on))
        assert seen == [True, False, True, False]
        gateways.raises = None
        await asyncio.sleep(2 * LOOK_S)
        assert switches.on
        assert counters.errors >= 1
        following.cancel()

    run(main())


def test_a_look_counts_at_once_for_whoever_asks_by_it() -> None:
    async def main() -> None:
        gateways, home = Thrown(), Pair(VirtualClock(current())).homes[Side.S3]
        switches = KillSwitches(gateways.enabled, Counters())
        switched_home = SwitchedHome(home, switches)
        assert await switched_home.get(KEY, 1.0) == OFF
        assert await switches.look()
        assert isinstance(await switched_home.get(KEY, 1.0), Missing)
        gateways.on = False
        assert not await switches.look()
        assert await switched_home.get(KEY, 1.0) == OFF

    run(main())
