"""Steps that meet others, callers that go away, and changes by those who have not seen them."""

import asyncio
from collections.abc import Sequence

import pytest

from kvgateway.registry import changes
from kvgateway.registry.presence import PREFIX
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.mode import ACTIVE
from tandem.core.namespace import SettingsChange
from tandem.core.reply import Found
from tandem.core.request import Write, Written
from tandem.core.version import Version
from tandem.errors import InvalidArgument, NamespaceNotFound, Overloaded, Unavailable
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import said
from tests.kvgateway.registry.stepping import (
    BOTH,
    SHADOW,
    SHADOW_KVSP,
    SINGLE,
    SINGLE_KVSP,
    two_gateways,
)


async def test_of_two_steps_at_once_at_most_one_is_taken(homes: TwoHomes) -> None:
    one, two = await two_gateways(homes)
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
    one, two = await two_gateways(homes)
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

    one, two = await two_gateways(homes)
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
    one, two = await two_gateways(homes)
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


async def test_a_step_under_way_is_one_of_the_changes_that_may_wait(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps and other changes share one turn, and its bound."""
    monkeypatch.setattr(changes, "CHANGES_MAX", 1)
    one, _ = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    homes.s3.puts_held = asyncio.Event()
    step = asyncio.create_task(one.steps.step(namespace.id, SHADOW, 0, force=False))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 changes of namespaces wait"):
        await one.namespaces.create("b", SettingsChange())
    homes.s3.puts_held.set()
    assert (await step).stepped
    await one.namespaces.create("b", SettingsChange())


async def test_a_step_from_a_mode_that_is_not_in_force_any_more_is_not_taken(
    homes: TwoHomes,
) -> None:
    one, two = await two_gateways(homes)
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
    one, two = await two_gateways(homes)
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
    one, _ = await two_gateways(homes)
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
