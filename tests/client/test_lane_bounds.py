"""How much of a client waits, and how much is under way: what happens at each bound."""

import asyncio
from collections.abc import Callable

import pytest

from tandem import Client
from tandem.client import lane
from tandem.errors import Overloaded, Unavailable
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running
from tests.servers.ports import free_port

LONG_S = 60.0


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0.001)


async def test_above_what_may_wait_nothing_is_taken_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "WAITING_MAX", 10)
    async with Client(f"127.0.0.1:{free_port()}", NAMESPACE) as kv:
        waiting = [asyncio.create_task(kv.put("k", b"v", timeout_s=LONG_S)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="10 operations are waiting"):
            await kv.put("k", b"v", timeout_s=0.2)
        for one in waiting:
            one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_has_given_up_does_not_wait_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "WAITING_MAX", 10)
    async with Client(f"127.0.0.1:{free_port()}", NAMESPACE) as kv:
        patient = asyncio.create_task(kv.put("k", b"v", timeout_s=LONG_S))
        await asyncio.sleep(0)
        for _ in range(2):
            for ended in await asyncio.gather(
                *(kv.put("k", b"v", timeout_s=0.1) for _ in range(9)), return_exceptions=True
            ):
                assert isinstance(ended, Unavailable), ended
        patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)


async def test_above_the_bytes_that_may_be_under_way_operations_wait(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IN_FLIGHT_BYTES_MAX", 100)
    gateway.store.held = []
    first = asyncio.create_task(kv.put("a", bytes(60)))
    await _until(lambda: gateway.store.writes == 1)
    others = [asyncio.create_task(kv.put(name, bytes(60))) for name in "bc"]
    gets = [asyncio.create_task(kv.get(name)) for name in "xyz"]
    await asyncio.sleep(0.05)  # time to do what it must not
    assert gateway.store.writes == 1
    gateway.store.release()
    await asyncio.gather(first, *others, *gets)
    assert gateway.store.writes == 3


async def test_what_has_waited_too_long_for_its_answer_makes_room(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IN_FLIGHT_MAX", 1)
    gateway.store.held = []
    first = asyncio.create_task(kv.put("a", b"1", timeout_s=0.2))
    await _until(lambda: gateway.store.writes == 1)
    second = asyncio.create_task(kv.put("b", b"2", timeout_s=LONG_S))
    with pytest.raises(Unavailable, match="no answer before the deadline"):
        await first
    await _until(lambda: gateway.store.writes == 2)
    second.cancel()
    third = asyncio.create_task(kv.put("c", b"3", timeout_s=LONG_S))
    await _until(lambda: gateway.store.writes == 3)
    gateway.store.release()
    await third


async def test_what_cannot_be_sent_over_a_good_connection_says_so(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IN_FLIGHT_MAX", 1)
    gateway.store.held = []
    first = asyncio.create_task(kv.get("a"))
    await _until(lambda: gateway.store.reads == 1)
    with pytest.raises(
        Unavailable, match=r"before the deadline .*connected, with others before it"
    ):
        await kv.put("b", b"v", timeout_s=0.2)
    gateway.store.release()
    await first


async def test_an_answer_makes_room_at_once(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IN_FLIGHT_MAX", 1)
    monkeypatch.setattr(lane, "SWEEP_S", 3600.0)
    await asyncio.gather(*(kv.put(name, b"v") for name in "abc"))
    assert gateway.store.writes == 3


async def test_more_may_be_asked_at_once_than_is_sent_at_once(gateway: Running, kv: Client) -> None:
    names = [f"k{number}" for number in range(3 * lane.IN_FLIGHT_MAX // 2)]
    await kv.put_many(dict.fromkeys(names, b"v"))
    assert await asyncio.gather(*map(kv.get, names)) == [b"v"] * len(names)


async def test_what_a_lost_stream_carried_is_under_way_no_more(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IN_FLIGHT_BYTES_MAX", 100)
    gateway.store.held = []
    lost = asyncio.create_task(kv.put("k", bytes(90)))
    await _until(lambda: gateway.store.writes == 1)
    await gateway.stop()
    gateway.store.release()
    with pytest.raises(Unavailable, match="the write may have happened or not"):
        await lost
    await gateway.start()
    await kv.put("k", bytes(90))
    assert gateway.store.writes == 2
    await _until(lambda: kv._calls._small._sweeper is None)
    assert kv._calls._small._sent_bytes == 0


async def test_a_read_that_was_cut_off_is_repeated_within_the_budget_alone(
    gateway: Running, at_once: Client
) -> None:
    gateway.store.held = []
    read = asyncio.create_task(at_once.get("k"))
    await _until(lambda: gateway.store.reads == 1)
    await gateway.stop()
    gateway.store.release()
    with pytest.raises(Unavailable, match=r"the connection was lost \(.*\)$"):
        await read
    await gateway.start()
    assert await at_once.get("k") is None
    assert gateway.store.reads == 2
