"""Steps from mode to mode at several gateways over two homes, and what stands in their way."""

import asyncio

import pytest

from kvgateway.registry import presence
from tandem.core.key import Key
from tandem.core.read_race import ReadRace
from tandem.core.registration import GONE_US, SeenMode
from tandem.core.reply import Missing, Side
from tandem.core.request import Put
from tandem.core.version import NO_VERSION
from tandem.errors import Unchanged
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import said
from tests.kvgateway.registry.stepping import (
    BOTH,
    RAMP,
    SHADOW,
    SHADOW_KVSP,
    SINGLE,
    SINGLE_KVSP,
    two_gateways,
)


async def test_the_whole_way_there_and_back(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    way = [SHADOW, RAMP, BOTH, SHADOW_KVSP, SINGLE_KVSP, SHADOW_KVSP, BOTH, SHADOW, SINGLE]
    for number, wanted in enumerate(way, start=1):
        await two.looks()
        one.crawled(namespace)
        await one.looks()
        report = await one.step(namespace, wanted)
        assert report.stepped, said(report)
        settings = report.namespace.settings
        assert (settings.mode_epoch, settings.epoch) == (number, number)
        assert one.mode_of(namespace) == wanted
        await two.looks()
        assert two.mode_of(namespace) == wanted


async def test_a_step_waits_until_every_gateway_has_seen_the_mode_before(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    assert "g2.0" not in said(await one.step(namespace, SHADOW)), "not even asked: epoch 0 is new"
    one.crawled(namespace)
    report = await one.step(namespace, SINGLE)
    assert not report.stepped
    assert said(report) == "gateway g2.0 goes by epoch 0 of the mode, not by 1"
    assert all(objection.passes for objection in report.objections)
    await two.looks()
    one.crawled(namespace)
    assert (await one.step(namespace, SINGLE)).stepped


async def test_force_does_not_wait_and_says_what_it_sets_aside(homes: TwoHomes) -> None:
    one, _ = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    report = await one.step(namespace, SINGLE, force=True)
    assert report.stepped
    assert "g2.0" in said(report)


async def test_a_gateway_that_is_gone_is_waited_for_until_nothing_can_come_of_it(
    homes: TwoHomes,
) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    one.crawled(namespace)
    homes.clock.advance(GONE_US / 1e6 - 5.0)
    await one.looks()
    assert "g2.0" in said(await one.step(namespace, SINGLE))
    homes.clock.advance(1.0)
    assert not two.presence.stands(), "long before"
    assert (await one.step(namespace, SINGLE)).stepped


async def test_a_gateway_that_takes_its_leave_is_not_waited_for(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    await two.presence.leave()
    assert not two.presence.stands()
    one.crawled(namespace)
    assert (await one.step(namespace, SINGLE)).stepped


async def test_a_gateway_that_has_taken_its_leave_does_not_come_back(homes: TwoHomes) -> None:
    """A slow home takes the word of its leave late; until then it goes on as usual."""
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    homes.s3.puts_held = asyncio.Event()
    leaving = asyncio.create_task(two.presence.leave())
    await asyncio.sleep(0)
    renewing = asyncio.create_task(two.presence.renew())
    for _ in range(20):  # turns of the loop, in which it would say that it serves
        await asyncio.sleep(0)
    homes.s3.puts_held.set()
    await asyncio.gather(leaving, renewing)
    assert not two.presence.stands()
    homes.s3.puts_held = None
    one.crawled(namespace)
    assert (await one.step(namespace, SINGLE)).stepped


async def test_a_gateway_that_leaves_while_it_says_that_it_serves_does_not_stand(
    homes: TwoHomes,
) -> None:
    _, two = await two_gateways(homes)
    homes.s3.puts_held = asyncio.Event()
    renewing = asyncio.create_task(two.presence.renew())
    for _ in range(20):  # turns of the loop, in which it has said so at one home
        await asyncio.sleep(0)
    leaving = asyncio.create_task(two.presence.leave())
    await asyncio.sleep(0)
    homes.s3.puts_held.set()
    confirmed, _ = await asyncio.gather(renewing, leaving)
    assert confirmed
    assert not two.presence.stands()


async def test_a_home_does_not_answer_before_a_crawl_has_passed_since_not_even_by_force(
    homes: TwoHomes,
) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    one.crawled(namespace)
    await one.step(namespace, SHADOW)
    await two.looks()
    for force in (False, True):
        report = await one.step(namespace, RAMP, force=force)
        assert not report.stepped
        assert said(report).startswith("no crawl has found both homes equal since all gateways")
    one.crawled(namespace)
    assert (await one.step(namespace, RAMP)).stepped


async def test_a_home_is_not_left_alone_with_what_it_may_lack(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    two.trust.missed(Side.S3, namespace.id, homes.clock.now_us())
    await two.looks()
    report = await one.step(namespace, SHADOW)
    assert said(report) == "s3 may lack writes, says gateway g2.0: a crawl finds out"
    assert (await one.step(namespace, SHADOW_KVSP)).stepped, "that leaves s3 out of it"


async def test_a_home_that_may_lack_writes_of_many_namespaces_may_lack_this_ones(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "MODES_MAX", 2)
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    for lacked in ("0" * 32, "0" * 31 + "1", namespace.id, "f" * 32):
        two.trust.missed(Side.S3, lacked, homes.clock.now_us())
    await two.looks()
    report = await one.step(namespace, SHADOW)
    assert said(report) == "s3 may lack writes, says gateway g2.0: a crawl finds out"


async def test_what_dead_workers_left_is_waited_for(homes: TwoHomes) -> None:
    """Which home lacks it nobody knows before it has been healed."""
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    two.gateway.machine.note_left_over(3)
    await two.looks()
    report = await one.step(namespace, SHADOW)
    assert said(report) == "repairs wait for s3 at gateway g2.0"


async def test_repairs_that_wait_are_waited_for(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    homes.s3.down = True
    [answer] = two.gateway.writer.write([Put(Key(namespace.id, "a"), b"v")])
    assert isinstance(answer, asyncio.Future)
    await answer
    await two.gateway.writer.drained()
    homes.s3.down = False
    await two.looks()
    report = await one.step(namespace, SHADOW)
    assert said(report) == "repairs wait for s3 at gateway g2.0"
    assert not report.stepped


async def test_writes_of_the_mode_before_are_waited_for(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    homes.s3.puts_held = asyncio.Event()
    [answer] = two.gateway.writer.write([Put(Key(namespace.id, "a"), b"v")])
    assert isinstance(answer, asyncio.Future)
    await answer
    held, homes.s3.puts_held = homes.s3.puts_held, None
    await two.looks()
    one.crawled(namespace)
    await one.looks()
    assert (await one.step(namespace, SHADOW)).stepped
    await two.looks()
    one.crawled(namespace)
    report = await one.step(namespace, SINGLE)
    assert said(report) == "gateway g2.0 has writes under way that began in the mode before"
    held.set()
    await two.gateway.writer.drained()
    await two.looks()
    one.crawled(namespace)
    assert (await one.step(namespace, SINGLE)).stepped


async def test_each_mode_is_settled_and_compared_anew(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    for epoch, wanted in enumerate((SHADOW, BOTH), start=1):
        await two.looks()
        one.crawled(namespace)
        await one.looks()
        assert (await one.step(namespace, wanted)).stepped
        homes.s3.puts_held = held = asyncio.Event()
        [answer] = two.gateway.writer.write([Put(Key(namespace.id, "a"), b"v")])
        homes.s3.puts_held = None
        two.gateway.reader.comparisons.note(namespace.id, NO_VERSION, _both_miss())
        await two.registry.refresh()
        now_us = two.gateway.time.now_us()
        assert two.modes.seen(now_us)[namespace.id] == SeenMode(epoch)
        held.set()
        await two.gateway.writer.drained()
        assert isinstance(answer, asyncio.Future)
        await answer
        homes.clock.advance(1.0)
        for later_us in (now_us + 1_000_000, now_us + 2_000_000):
            seen = two.modes.seen(later_us)[namespace.id]
            assert seen == SeenMode(epoch, now_us + 1_000_000)


def _both_miss() -> ReadRace:
    race = ReadRace()
    for side in Side:
        race.on_reply(side, Missing(0))
    return race


async def test_a_home_that_does_not_show_who_is_there_objects(homes: TwoHomes) -> None:
    one, _ = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    homes.kvsp.down = True
    for force in (False, True):
        with pytest.raises(Unchanged, match=r"nothing was changed: kvsp.*switch it off"):
            await one.step(namespace, SHADOW, force=force)
    assert not one.presence.is_stepping(namespace.id)
    one.a_home_is_out = True
    report = await one.step(namespace, SHADOW)
    assert not report.stepped
    assert "kvsp does not take the registration of this gateway" in said(report)
    assert "kvsp does not show which gateways there are" in said(report)
    assert (await one.step(namespace, SHADOW, force=True)).stepped


async def test_a_home_that_is_switched_off_is_not_asked(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
    namespace = await one.create(BOTH)
    homes.kvsp.down = True
    for each in (one, two):
        each.switch_off(Side.KVSP)
        each.a_home_is_out = True
        await each.looks()
    assert (await one.step(namespace, SHADOW)).stepped
    await two.looks()
    report = await one.step(namespace, SINGLE)
    assert [each.lasting for each in report.objections] == [False]
    assert "no crawl has found both homes equal" in said(report), "nor can any"
    assert (await one.step(namespace, SINGLE, force=True)).stepped
