"""Looking for a namespace that this gateway does not know, while a home hangs; in virtual time."""

import asyncio

import pytest

from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.records import LOOKUP_S
from tandem.core.envelope import seal
from tandem.core.namespace import Namespace, encode_namespace
from tandem.core.reply import Side
from tandem.core.version import Version
from tandem.errors import NamespaceNotFound, Unavailable, Unconfirmed
from tests.kvgateway.registry.memory_copy import MemoryCopy
from tests.kvgateway.timed import DOWN, TimedGateway, in_virtual_time

UNKNOWN = "cd" * 16
HANGS_S = 60.0


def _registry(gateway: TimedGateway) -> Registry:
    return Registry(
        homes=gateway.homes, reader=gateway.reader, clock=gateway.clock,
        file=MemoryCopy(NAMESPACES), home_is_out=lambda: False,
    )  # fmt: skip


@pytest.mark.parametrize("hanging", list(Side))
def test_a_request_does_not_wait_for_a_home_that_hangs(hanging: Side) -> None:
    @in_virtual_time
    async def scenario() -> None:
        gateway = TimedGateway()
        registry = _registry(gateway)
        gateway.homes[hanging].takes(HANGS_S)
        for _ in range(5):
            with pytest.raises(Unconfirmed):
                await registry.resolve(UNKNOWN)
            assert gateway.loop.time() == LOOKUP_S
        assert gateway.homes[hanging].calls == 1, "the next second need not be asked again"
        await asyncio.sleep(4.0)
        with pytest.raises(NamespaceNotFound):
            await registry.resolve(UNKNOWN)

    scenario()


@in_virtual_time
async def test_a_home_that_is_down_is_answered_for_at_once() -> None:
    gateway = TimedGateway()
    gateway.s3.takes(0.005, DOWN)
    with pytest.raises(Unconfirmed):
        await _registry(gateway).resolve(UNKNOWN)
    assert gateway.loop.time() == 0.005


@in_virtual_time
async def test_while_neither_home_answers_nothing_is_said_of_the_namespace() -> None:
    gateway = TimedGateway()
    gateway.kvsp.takes(0.005, DOWN)
    gateway.s3.takes(0.005, DOWN)
    with pytest.raises(Unavailable) as raised:
        await _registry(gateway).resolve(UNKNOWN)
    assert not isinstance(raised.value, Unconfirmed)


@pytest.mark.parametrize("hanging", list(Side))
def test_a_namespace_that_one_home_shows_is_served_whatever_the_other_does(hanging: Side) -> None:
    @in_virtual_time
    async def scenario() -> None:
        gateway = TimedGateway()
        namespace = Namespace(UNKNOWN, "articles", created_at_s=1)
        record = seal(Version.at(gateway.clock.now_us()), encode_namespace(namespace))
        for home in gateway.homes.values():
            await home.memory.put_if_newer(NAMESPACES.key_of(UNKNOWN), record, 1.0)
        gateway.homes[hanging].takes(HANGS_S)
        assert await _registry(gateway).resolve(UNKNOWN) == namespace
        assert gateway.loop.time() == 0.005

    scenario()


@in_virtual_time
async def test_a_look_shows_what_there_was_when_it_began() -> None:
    gateway = TimedGateway()
    registry = _registry(gateway)
    record = seal(Version.at(gateway.clock.now_us()), encode_namespace(Namespace(UNKNOWN, "a")))
    for home in gateway.homes.values():
        await home.memory.put_if_newer(NAMESPACES.key_of(UNKNOWN), record, 1.0)
        home.takes(2.0)
    await asyncio.sleep(1.0)
    began_us = gateway.clock.monotonic_us()
    await registry.refresh()
    assert gateway.loop.time() == 3.0
    assert registry.looked_us == began_us
