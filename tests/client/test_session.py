"""What a client has seen is what its reads show from then on, whichever gateway answers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tandem import Client
from tandem.client import BatchResult, Entry
from tandem.client.session import Session
from tandem.core.request import Write, Written
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError, Unavailable
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, until

NEWER = Version.at(2**51 - 1)


READS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "get": lambda kv: kv.get("k"),
    "get_with_metadata": lambda kv: kv.get_with_metadata("k"),
    "look": lambda kv: kv.look("k"),
    "get_stream": lambda kv: kv.get_stream("k"),
    "get_many": lambda kv: _only(kv.get_many(["k"])),
}


async def _only(reading: Awaitable[BatchResult[Entry | None]]) -> Entry | None:
    (outcome,) = (await reading).values()
    if isinstance(outcome, TandemError):
        raise outcome
    return outcome


@pytest.mark.parametrize("read", READS)
async def test_reads_see_what_the_client_wrote_elsewhere(
    read: str, gateway: Running, at_once: Client
) -> None:
    """A second gateway that has not seen the write must not answer with the past."""
    version = await at_once.put("k", b"new")
    gateway.store.records.clear()
    with pytest.raises(Unavailable, match=str(version)):
        await READS[read](at_once)
    newer = await at_once.put("k", b"newer")
    assert newer > version
    assert await at_once.get("k") == b"newer"


async def test_a_version_travels_between_clients(gateway: Running, at_once: Client) -> None:
    future = Version.at(2**51)
    with pytest.raises(Unavailable, match=str(future)):
        await at_once.get("k", min_version=future)
    assert await at_once.put("k", b"v", above=future) > future
    later = Version.at(future.time_us + 1_000_000)
    assert await at_once.delete("k", above=later) > later


ASKED: dict[str, Callable[[Client], Awaitable[object]]] = {
    "put": lambda kv: kv.put("k", b"mine"),
    "delete": lambda kv: kv.delete("k"),
    "put_stream": lambda kv: kv.put_stream("k", b"mine"),
    "put_many": lambda kv: kv.put_many({"k": b"mine"}),
    "delete_many": lambda kv: kv.delete_many(["k"]),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_a_write_shows_what_has_superseded_it(
    gateway: Running, at_once: Client, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """The homes held a newer write; a gateway that has not seen that one must not answer."""
    write = gateway.store.write

    def superseded(writes: list[Write]) -> list[asyncio.Future[Written]]:
        return [asyncio.ensure_future(_superseded(one)) for one in write(writes)]

    monkeypatch.setattr(gateway.store, "write", superseded)
    await ASKED[asked](at_once)
    with pytest.raises(Unavailable, match=str(NEWER)):
        await at_once.get("k")


async def _superseded(writing: object) -> Written:
    assert isinstance(writing, asyncio.Future)
    written: Written = await writing
    return written._replace(superseded_by=NEWER)


@pytest.mark.parametrize("read", READS)
async def test_what_was_read_is_remembered(read: str, gateway: Running, at_once: Client) -> None:
    async with Client(gateway.address, NAMESPACE) as another:
        version = await another.put("k", b"value")
    assert await READS[read](at_once)
    gateway.store.records.clear()
    with pytest.raises(Unavailable, match=f"no home has version {version}"):
        await at_once.get("k")


async def test_an_answer_that_comes_late_takes_nothing_back(
    gateway: Running, at_once: Client
) -> None:
    await at_once.put("k", b"old")
    gateway.store.held = []
    late = asyncio.create_task(at_once.get("k"))
    await until(lambda: gateway.store.held)
    held, gateway.store.held = gateway.store.held, None
    newer = await at_once.put("k", b"new")
    gateway.store.held = held
    gateway.store.release()
    assert await late == b"old"
    gateway.store.records.clear()
    with pytest.raises(Unavailable, match=str(newer)):
        await at_once.get("k")


def test_of_more_keys_than_are_remembered_the_one_that_changed_longest_ago_is_forgotten() -> None:
    session = Session(2)
    session.saw("nothing is known of this one", NO_VERSION)
    assert not len(session)
    for at, name in enumerate(["a", "b", "a", "c"], start=1):
        session.saw(name, Version.at(at))
        assert len(session) <= 2
    assert [bool(session.version(name)) for name in "abc"] == [True, False, True]
    assert session.newest("a", Version.at(9)) == Version.at(9)
    assert session.newest("a", Version.at(1)) == session.newest("a", None) == Version.at(3)
