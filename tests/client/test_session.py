"""What a client has seen is what its reads show from then on, whichever gateway answers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tandem import Client
from tandem.client.session import Session
from tandem.core.request import Write, Written
from tandem.core.version import Version
from tandem.errors import Unavailable
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

NEWER = Version.at(2**51 - 1)


async def test_reads_see_what_the_client_wrote_elsewhere(gateway: Running, at_once: Client) -> None:
    """A second gateway that has not seen the write must not answer with the past."""
    version = await at_once.put("k", b"new")
    gateway.store.records.clear()
    with pytest.raises(Unavailable, match=str(version)):
        await at_once.get("k")
    newer = await at_once.put("k", b"newer")
    assert newer > version
    assert await at_once.get("k") == b"newer"


async def test_a_version_travels_between_clients(gateway: Running, at_once: Client) -> None:
    future = Version.at(2**51)
    with pytest.raises(Unavailable, match=str(future)):
        await at_once.get("k", min_version=future)
    assert await at_once.put("k", b"v", above=future) > future
    assert await at_once.delete("k", above=future) > future


ASKED: dict[str, Callable[[Client], Awaitable[object]]] = {
    "put": lambda kv: kv.put("k", b"mine"),
    "delete": lambda kv: kv.delete("k"),
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


async def test_reads_of_many_keys_are_remembered(gateway: Running, at_once: Client) -> None:
    async with Client(gateway.address, NAMESPACE) as another:
        await another.put("k", b"value")
        found = await at_once.get_many(["k"])
    assert found["k"] is not None
    gateway.store.records.clear()
    with pytest.raises(Unavailable, match="no home has version"):
        await at_once.get("k")


def test_of_more_keys_than_are_remembered_the_one_that_changed_longest_ago_is_forgotten() -> None:
    session = Session(2)
    for at, name in enumerate(["a", "b", "a", "c"], start=1):
        session.saw(name, Version.at(at))
        assert len(session) <= 2
    assert [bool(session.version(name)) for name in "abc"] == [True, False, True]
