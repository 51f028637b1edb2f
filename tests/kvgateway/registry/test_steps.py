"""Steps from mode to mode at several gateways over two homes, and what stands in their way."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from kvgateway.registry import presence
from kvgateway.registry.presence import PREFIX
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import SettingsChange
from tandem.core.registration import GONE_US, LEASE_US
from tandem.core.reply import Found, Side
from tandem.core.request import Put, Write, Written
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.errors import InvalidArgument, NamespaceNotFound, Overloaded, Unavailable
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import Registered, said

SINGLE, SHADOW = Mode(Stage.SINGLE, Side.S3), Mode(Stage.SHADOW, Side.S3)
RAMP, BOTH = Mode(Stage.ACTIVE, Side.S3, 10), Mode(Stage.ACTIVE, Side.S3)
SHADOW_KVSP, SINGLE_KVSP = Mode(Stage.SHADOW, Side.KVSP), Mode(Stage.SINGLE, Side.KVSP)


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()


async def _two(homes: TwoHomes) -> tuple[Registered, Registered]:
    one, two = Registered(homes, 1), Registered(homes, 2)
    for each in (one, two):
        await each.looks()
    return one, two


async def test_the_whole_way_there_and_back(homes: TwoHomes) -> None:
    one, two = await _two(homes)
    namespace = await one.create(SINGLE)
    way = [SHADOW, RAMP, BOTH, SHADOW_KVSP, SINGLE_KVSP, SHADOW_KVSP, BOTH, SHADOW, SINGLE]
    for number, wanted in enumerate(way, start=1):
        await two.looks()
        one.crawled(namespace)
        await one.looks()
        report = await one.step(namespace, wanted)
        assert report.stepped, said(report)
        assert report.namespace.settings.mode_epoch == number
        assert one.mode_of(namespace) == wanted
        await two.looks()
        assert two.mode_of(namespace) == wanted


async def test_a_step_waits_until_every_gateway_has_seen_the_mode_before(homes: TwoHomes) -> None:
    one, two = await _two(homes)
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
    one, _ = await _two(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    report = await one.step(namespace, SINGLE, force=True)
    assert report.stepped
    assert "g2.0" in said(report)


async def test_a_gateway_that_is_gone_is_waited_for_until_nothing_can_come_of_it(
    homes: TwoHomes,
) -> None:
    one, two = await _two(homes)
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
    one, two = await _two(homes)
    namespace = await one.create(SINGLE)
    await one.step(namespace, SHADOW)
    await two.presence.leave()
    assert not two.presence.stands()
    one.crawled(namespace)
    assert (await one.step(namespace, SINGLE)).stepped


async def test_a_gateway_that_has_taken_its_leave_does_not_come_back(homes: TwoHomes) -> None:
    """A slow home takes the word of its leave late; until then it goes on as usual."""
    one, two = await _two(homes)
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


async def test_a_home_does_not_answer_before_a_crawl_has_passed_since_not_even_by_force(
    homes: TwoHomes,
) -> None:
    one, two = await _two(homes)
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
    one, two = await _two(homes)
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
    one, two = await _two(homes)
    namespace = await one.create(BOTH)
    for lacked in ("0" * 32, "0" * 31 + "1", namespace.id, "f" * 32):
        two.trust.missed(Side.S3, lacked, homes.clock.now_us())
    await two.looks()
    report = await one.step(namespace, SHADOW)
    assert said(report) == "s3 may lack writes, says gateway g2.0: a crawl finds out"


async def test_repairs_that_wait_are_waited_for(homes: TwoHomes) -> None:
    one, two = await _two(homes)
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
    one, two = await _two(homes)
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


async def test_a_home_that_does_not_show_who_is_there_objects(homes: TwoHomes) -> None:
    one, _ = await _two(homes)
    namespace = await one.create(SINGLE)
    homes.kvsp.down = True
    report = await one.step(namespace, SHADOW)
    assert not report.stepped
    assert "kvsp does not take the registration of this gateway" in said(report)
    assert "kvsp does not show which gateways there are" in said(report)
    with pytest.raises(Unavailable, match="switch it off"):
        await one.step(namespace, SHADOW, force=True)


async def test_a_home_that_is_switched_off_is_not_asked(homes: TwoHomes) -> None:
    one, two = await _two(homes)
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


async def test_of_two_steps_at_once_at_most_one_is_taken(homes: TwoHomes) -> None:
    one, two = await _two(homes)
    namespace = await one.create(BOTH)
    await two.looks()
    reports = await asyncio.gather(
        one.steps.step(namespace.id, SHADOW, 0, force=False),
        two.steps.step(namespace.id, SHADOW_KVSP, 0, force=False),
    )
    assert sum(report.stepped for report in reports) <= 1
    assert any("is changing the namespace" in said(report) for report in reports)
    for each in (one, two):
        await each.looks()
    assert one.mode_of(namespace) == two.mode_of(namespace)


async def test_a_step_whose_outcome_is_unknown_keeps_others_from_stepping(homes: TwoHomes) -> None:
    one, two = await _two(homes)
    namespace = await one.create(BOTH)
    await two.looks()
    await one.presence.begin_step(namespace.id)
    report = await two.step(namespace, SHADOW)
    assert said(report) == "gateway g1.0 is changing the namespace just now"
    homes.clock.advance(46.0)
    for each in (one, two):
        await each.looks()
    assert (await two.step(namespace, SHADOW)).stepped


async def test_a_step_whose_outcome_is_unknown_keeps_its_own_process_from_changing_it_too(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another step could have the same epoch as the one that may still land."""

    def lost(_: Sequence[Write]) -> Sequence[asyncio.Future[Written]]:
        answer: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        answer.set_exception(Unavailable("it may have been written"))
        return [answer]

    one, two = await _two(homes)
    namespace = await one.create(BOTH)
    await two.looks()
    with monkeypatch.context() as losing:
        losing.setattr(one.gateway.writer, "write", lost)
        with pytest.raises(Unavailable, match="it may have been written"):
            await one.step(namespace, SHADOW)
    with pytest.raises(Overloaded, match="outcome is not known"):
        await one.step(namespace, SHADOW_KVSP)
    with pytest.raises(Overloaded, match="outcome is not known"):
        await one.namespaces.rename(namespace.id, "another")
    assert said(await two.step(namespace, SHADOW)).endswith("is changing the namespace just now")
    homes.clock.advance(46.0)
    for each in (one, two):
        await each.looks()
    assert (await one.step(namespace, SHADOW_KVSP)).stepped


async def test_a_caller_that_goes_away_before_anything_is_written_leaves_no_claim(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await _two(homes)
    namespace = await one.create(SINGLE)
    refresh, claimed = one.registry.refresh, asyncio.Event()

    async def hang_once_claimed() -> None:
        await refresh()
        if one.presence._steps:
            claimed.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(one.registry, "refresh", hang_once_claimed)
    waiting = asyncio.create_task(one.step(namespace, SHADOW))
    await claimed.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await two.looks()
    assert (await two.step(namespace, SHADOW)).stepped


async def test_a_step_from_a_mode_that_is_not_in_force_any_more_is_not_taken(
    homes: TwoHomes,
) -> None:
    one, two = await _two(homes)
    namespace = await one.create(SHADOW)
    for each in (one, two):
        await each.looks()
    one.crawled(namespace)
    await one.step(namespace, SINGLE)
    await two.looks()
    await two.step(namespace, SHADOW)
    report = await one.steps.step(namespace.id, SINGLE, 0, force=True)
    assert not report.stepped
    assert "the mode is shadow(s3) of epoch 2 by now, not 0" in said(report)


async def test_a_change_by_one_who_has_not_seen_the_step_does_not_undo_it_later(
    homes: TwoHomes,
) -> None:
    """The step is written above all that was registered before it."""
    one, two = await _two(homes)
    namespace = await one.create(SINGLE)
    await two.looks()
    key, ahead = Key(IDENTITY_NAMESPACE, f"{PREFIX}g2.0"), homes.clock.now_us() + 400_000
    held = await homes.s3.memory.get(key, 1.0)
    assert isinstance(held, Found)
    for home in homes.by_side.values():
        await home.memory.put_if_newer(key, seal(Version.at(ahead), held.record.value), 1.0)
    await one.step(namespace, SHADOW)
    kept = one.registry.book.kept(namespace.id)
    assert kept is not None
    assert kept.version > Version.at(ahead)


async def test_what_cannot_be_is_refused(homes: TwoHomes) -> None:
    one, _ = await _two(homes)
    namespace = await one.create(SINGLE)
    with pytest.raises(InvalidArgument, match=r"no step leads from single\(s3\) to active, only"):
        await one.steps.step(namespace.id, ACTIVE, 0, force=True)
    with pytest.raises(InvalidArgument, match="only to: shadow"):
        await one.steps.report(namespace.id, SINGLE_KVSP)
    with pytest.raises(NamespaceNotFound):
        await one.steps.report("f" * 32, None)
    with pytest.raises(InvalidArgument, match="changes by steps"):
        await one.namespaces.configure(namespace.id, SettingsChange(mode=SHADOW))
    assert (await one.steps.report(namespace.id, None)).next == (SHADOW,)


async def test_a_registration_in_a_form_that_is_not_known_objects(homes: TwoHomes) -> None:
    one, _ = await _two(homes)
    namespace = await one.create(SINGLE)
    record = seal(homes.version(), b'{"format": 2}')
    for home in homes.by_side.values():
        await home.memory.put_if_newer(Key(IDENTITY_NAMESPACE, f"{PREFIX}new"), record, 1.0)
    report = await one.step(namespace, SHADOW)
    assert "new is registered in a form unknown here" in said(report)
    assert not report.stepped


async def test_who_is_not_registered_takes_every_mode_for_unknown(homes: TwoHomes) -> None:
    one, _ = await _two(homes)
    namespace = await one.create(SINGLE)
    key = Key(namespace.id, "a")
    homes.clock.advance(LEASE_US / 1e6)
    assert not one.presence.stands()
    assert one.view.mode_of(namespace.id).two
    assert one.view.policy_of(namespace.id) is AckPolicy.BOTH
    assert one.view.behind(namespace.id) == (Side.KVSP, Side.S3)
    for side in Side:
        one.gateway.time.observe(side, homes.clock.now_us())
    [answer] = one.gateway.writer.write([Put(key, b"v")])
    assert isinstance(answer, asyncio.Future)
    await answer
    for home in homes.by_side.values():
        assert isinstance(await home.memory.get(key, 1.0), Found)
    homes.kvsp.down = True
    [answer] = one.gateway.writer.write([Put(key, b"w")])
    assert isinstance(answer, asyncio.Future)
    with pytest.raises(Unavailable):
        await answer
    homes.kvsp.down = False
    await one.looks()
    assert one.presence.stands()
    assert one.mode_of(namespace) == SINGLE


async def test_who_has_looked_but_cannot_say_so_does_not_stand(homes: TwoHomes) -> None:
    one = Registered(homes, 1)
    await one.registry.refresh()
    for home in homes.by_side.values():
        home.down = True
    assert await one.presence.renew() == []
    assert not one.presence.stands()
    homes.s3.down = False
    assert await one.presence.renew() == [Side.S3]
    assert one.presence.stands()


async def test_who_says_so_again_and_again_without_looking_does_not_stand(homes: TwoHomes) -> None:
    one = Registered(homes, 1)
    await one.looks()
    for _ in range(7):
        homes.clock.advance(5.0)
        await one.presence.renew()
    assert not one.presence.stands()


@pytest.mark.parametrize(
    ("error", "event"),
    [(Overloaded("clock bound: the disk is full"), "not_registered"),
     (LookupError("no such mode"), "registration_broke")],
)  # fmt: skip
async def test_what_keeps_a_process_from_registering_is_told_apart_from_a_fault(
    error: Exception, event: str, homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mint(*_: object) -> list[Version]:
        raise error

    one, _ = await _two(homes)
    monkeypatch.setattr(one.gateway.machine, "mint", mint)
    homes.clock.advance(LEASE_US / 1e6)
    with capture_logs() as told:
        running = asyncio.ensure_future(one.presence.run())
        async with asyncio.timeout(60):
            while not one.presence.errors:
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [entry["event"] for entry in told] == [event]
    assert not one.presence.stands()
