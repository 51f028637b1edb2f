"""Whom the entrance of one's own machine lets in."""

import pytest

from kvgateway.loopback import LoopbackEntrance, is_loopback
from tandem.core.access import Permission
from tandem.errors import Unauthenticated
from tandem.runtime.clock import SystemClock
from tests.kvgateway.rpc.memory_admin import MemoryOperations, MemoryRegistry
from tests.kvgateway.rpc.memory_store import MemoryStore

LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "localhost"]
ELSEWHERE = ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]


def _entrance(host: str) -> LoopbackEntrance:
    store = MemoryStore(SystemClock())
    return LoopbackEntrance(host, store, MemoryRegistry(), MemoryOperations())


@pytest.mark.parametrize("host", LOOPBACK)
async def test_on_loopback_everybody_may_do_everything(host: str) -> None:
    entrance = _entrance(host)
    assert is_loopback(host)
    for credential in ("", "anything"):
        caller = entrance.known(credential)
        caller.grant.demand_deployment(Permission.ADMIN)
        assert await entrance.find(credential) is caller


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_elsewhere_nobody_is_let_in(host: str) -> None:
    entrance = _entrance(host)
    for credential in ("", "anything"):
        with pytest.raises(Unauthenticated):
            entrance.known(credential)
        with pytest.raises(Unauthenticated):
            await entrance.find(credential)
