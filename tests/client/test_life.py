"""A client from its opening to its closing, and in what it can be used."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tandem import Client
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.errors import Overloaded, TandemError, Unavailable
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, until

CALLS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "get": lambda kv: kv.get("k"),
    "put": lambda kv: kv.put("k", b"v"),
    "large put": lambda kv: kv.put("k", bytes(100_000)),
    "list": lambda kv: anext(kv.list()),
    "get_stream": lambda kv: kv.get_stream("k"),
    "put_stream": lambda kv: kv.put_stream("k", b"v"),
    "namespaces": lambda kv: kv.namespaces.list(),
    "tokens": lambda kv: kv.tokens.list(),
    "ops": lambda kv: kv.ops.status(),
}


@asynccontextmanager
async def _silence() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A server that takes connections, and never says a word."""
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: connections.append(writer), "127.0.0.1")
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}", connections
    finally:
        server.close()
        for connection in connections:
            connection.close()
            await connection.wait_closed()


async def test_a_client_that_was_never_opened_can_be_closed(gateway: Running) -> None:
    await Client(gateway.address, NAMESPACE).aclose()


@pytest.mark.parametrize("call", CALLS)
async def test_a_client_that_is_not_open_says_so(call: str, gateway: Running) -> None:
    kv = Client(gateway.address, NAMESPACE)
    with pytest.raises(TandemError, match="not open"):
        await CALLS[call](kv)
    async with kv:
        pass
    with pytest.raises(Unavailable, match="the client is closed"):
        await CALLS[call](kv)
    assert not gateway.store.calls


@pytest.mark.parametrize("call", CALLS)
async def test_what_is_under_way_when_the_client_is_closed_is_told_so(call: str) -> None:
    """A task that gRPC cancelled would be gone without a word: task groups pass over it."""
    async with _silence() as (address, connections), asyncio.timeout(60):
        async with Client(address, NAMESPACE, timeout_s=3600) as kv:
            under_way = asyncio.ensure_future(CALLS[call](kv))
            await until(lambda: connections)
        with pytest.raises(Unavailable, match="the client was closed"):
            await under_way


@pytest.mark.parametrize(
    "call",
    [
        lambda kv: kv.get("k", timeout_s=0.2),
        lambda kv: kv.look("k", timeout_s=0.2),
        lambda kv: kv.put("k", b"v", timeout_s=0.2),
        lambda kv: kv.delete("k", timeout_s=0.2),
        lambda kv: anext(kv.list(timeout_s=0.2)),
        lambda kv: kv.get_stream("k", timeout_s=0.2),
        lambda kv: kv.put_stream("k", b"v", timeout_s=0.2),
    ],
    ids=["get", "look", "put", "delete", "list", "get_stream", "put_stream"],
)
async def test_a_server_that_never_answers_is_waited_for_as_long_as_the_call_says(
    call: Callable[[Client], Awaitable[object]],
) -> None:
    async with (
        _silence() as (address, _),
        asyncio.timeout(60),
        Client(address, NAMESPACE, timeout_s=3600) as kv,
    ):
        with pytest.raises(Unavailable):
            await call(kv)


@pytest.mark.parametrize("call", CALLS)
async def test_who_is_cancelled_while_the_client_is_closed_is_cancelled(call: str) -> None:
    async with _silence() as (address, connections), asyncio.timeout(60):
        async with Client(address, NAMESPACE, timeout_s=3600) as kv:
            under_way = asyncio.ensure_future(CALLS[call](kv))
            await until(lambda: connections)
            closing = asyncio.create_task(kv.aclose())
            under_way.cancel()
            await closing
        with pytest.raises(asyncio.CancelledError):
            await under_way


async def test_a_value_of_which_pieces_are_missing_when_the_client_is_closed(
    gateway: Running,
) -> None:
    async with Client(gateway.address, NAMESPACE) as kv:
        await kv.put("k", bytes(VALUE_BYTES_MAX))
        entry = await kv.get_stream("k")
        assert entry is not None
        assert await anext(entry.pieces)
    with pytest.raises(Unavailable, match="the client is closed"):
        [piece async for piece in entry]


async def test_a_client_is_opened_once_at_a_time(gateway: Running) -> None:
    async with Client(gateway.address, NAMESPACE) as kv:
        with pytest.raises(TandemError, match="open already"):
            await kv.__aenter__()
        await kv.put("k", b"v")


async def test_a_client_that_could_not_be_opened_can_be_opened_later(gateway: Running) -> None:
    async def opened() -> None:
        async with client:
            pass

    client = Client(gateway.address, "articles", timeout_s=60)
    await asyncio.to_thread(asyncio.run, opened())
    await gateway.stop()
    client._timeout_s = 0.1
    with pytest.raises(Unavailable):
        await opened()
    await gateway.start()
    client._timeout_s = 60
    async with client as kv:
        assert await kv.get("k") is None


@pytest.mark.parametrize("call", ["get", "put", "get_stream", "put_stream"])
async def test_in_another_event_loop_nothing_is_done(
    call: str, gateway: Running, kv: Client
) -> None:
    async def elsewhere() -> None:
        with pytest.raises(TandemError, match="opened in another event loop"):
            await CALLS[call](kv)

    await asyncio.to_thread(asyncio.run, elsewhere())
    await CALLS[call](kv)
    assert gateway.store.calls == 1


FORKING = """
import asyncio, os, sys
from tandem import Client

async def opened():
    async with Client("127.0.0.1:1"):
        pass

if "before" in sys.argv:
    asyncio.run(opened())
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
asyncio.run(opened())
"""


@pytest.mark.parametrize(("when", "status", "says"), [("before", 1, "was forked"), ("", 0, "")])
async def test_where_grpc_cannot_work_after_a_fork_the_client_says_so(
    when: str, status: int, says: str
) -> None:
    """It would wait for the deadline of each call: the threads that gRPC needs are gone."""
    forking = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FORKING, when, stderr=asyncio.subprocess.PIPE
    )
    _, told = await forking.communicate()
    assert (forking.returncode, says in told.decode()) == (status, True)


async def test_a_client_that_is_opened_again_tries_again(gateway: Running) -> None:
    client = Client(gateway.address, NAMESPACE, timeout_s=60)
    async with client:
        pass
    gateway.store.failure = Overloaded("full")
    async with client as kv:
        reading = asyncio.create_task(kv.get("k"))
        await until(lambda: reading.done() or gateway.store.reads >= 2)
        gateway.store.failure = None
        assert await reading is None
