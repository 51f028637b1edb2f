"""Who says that he is there, and whom that does not help to stand."""

import asyncio

import pytest
from structlog.testing import capture_logs

from kvgateway.registry.doubles import Doubles
from kvgateway.registry.presence import PREFIX
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.registration import GONE_US, LEASE_US
from tandem.core.reply import Found, Side
from tandem.core.request import Put
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy
from tandem.errors import Overloaded, Unavailable
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.registered import Registered, said
from tests.kvgateway.registry.stepping import SHADOW, SINGLE, two_gateways


async def test_a_registration_in_a_form_that_is_not_known_objects(homes: TwoHomes) -> None:
    one, _ = await two_gateways(homes)
    namespace = await one.create(SINGLE)
    record = seal(homes.version(), b'{"format": 2}')
    for home in homes.by_side.values():
        await home.memory.put_if_newer(Key(IDENTITY_NAMESPACE, f"{PREFIX}new"), record, 1.0)
    report = await one.step(namespace, SHADOW)
    assert "new is registered in a form unknown here" in said(report)
    assert not report.stepped


async def test_who_is_not_registered_takes_every_mode_for_unknown(homes: TwoHomes) -> None:
    one, _ = await two_gateways(homes)
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

    one, _ = await two_gateways(homes)
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


async def test_gateways_of_one_id_go_by_no_mode_until_one_of_them_is_gone(homes: TwoHomes) -> None:
    """A data directory was copied, and both were started."""
    one, copy = Registered(homes, 1), Registered(homes, 1)
    mine, others = (Doubles(each.presence, each.guards) for each in (one, copy))
    await one.looks()
    await mine.look()
    assert one.presence.stands()
    homes.clock.advance(1.0)
    await copy.looks()
    await others.look()
    assert copy.presence.stands(), "it may have come after one that is dead"
    with capture_logs() as told:
        await mine.look()
    assert [entry["event"] for entry in told] == ["gateway_doubled"]
    homes.clock.advance(1.0)
    await one.looks()
    await others.look()
    assert not one.presence.stands()
    assert not copy.presence.stands()
    with pytest.raises(Unavailable, match=r"another gateway uses the id of this one: g1\.0"):
        await one.presence.begin_step("n")
    homes.clock.advance(GONE_US / 1e6)
    await one.looks()
    await mine.look()
    assert one.presence.stands()
