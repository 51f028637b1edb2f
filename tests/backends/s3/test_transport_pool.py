"""Who waits for a connection to the store, how long, and what ends the waiting."""

import asyncio
import socket

import pytest

from tandem.backends.s3.exchange import (
    FailureKind,
)
from tandem.backends.s3.transport import PoolLimits
from tests.backends.s3.exchanges import (
    ANSWER,
    FEW,
    OK,
    PLENTY_S,
    failure_of,
    put,
    transport_to,
)
from tests.backends.s3.scripted_server import (
    ClientGone,
    Say,
    Take,
    Until,
    scripted,
)
from tests.servers.ports import free_port


@pytest.mark.parametrize("said", [b"", OK[:9], OK[:-1]], ids=["nothing", "half a head", "no end"])
async def test_deadline_drops_the_connection(said: bytes) -> None:
    scripts = ((*ANSWER, Take(), Say(said), ClientGone()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(put(), deadline_s=PLENTY_S)
        exchange = transport.start(put(), deadline_s=0.1)
        assert await failure_of(exchange) == (FailureKind.TIMEOUT, True)
        await server.until_finished(0)
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"


async def test_without_any_time_nothing_is_sent() -> None:
    """So it is certain that it did not happen."""
    async with scripted(ANSWER * 2) as server, transport_to(server.port) as transport:
        await transport.request(put(b"first"), deadline_s=PLENTY_S)
        exchange = transport.start(put(b"late"), deadline_s=0.0)
        assert await failure_of(exchange) == (FailureKind.TIMEOUT, False)
        await transport.request(put(b"last"), deadline_s=PLENTY_S)
    assert [seen.body for seen in server.seen] == [b"first", b"last"]


async def test_pool_bounds() -> None:
    may_answer = asyncio.Event()
    script = (Take(), Until(may_answer), Say(OK), *ANSWER * 2)
    async with scripted(script, script) as server, transport_to(server.port, FEW) as transport:
        under_way = [transport.start(put(b"%d" % n), deadline_s=PLENTY_S) for n in range(2)]
        await server.until_seen(2)
        queued = [transport.start(put(b"%d" % n), deadline_s=PLENTY_S) for n in range(2, 4)]
        refused = transport.start(put(b"4"), deadline_s=PLENTY_S)
        assert await failure_of(refused) == (FailureKind.BUSY, False)
        may_answer.set()
        for exchange in under_way + queued:
            assert (await exchange.reply).body == b"ok"
    assert server.connections == 2
    assert sorted(seen.body for seen in server.seen) == [b"0", b"1", b"2", b"3"]


async def test_deadline_and_cancellation_in_the_queue_send_nothing() -> None:
    may_answer = asyncio.Event()
    limits = PoolLimits(connections_max=1)
    script = (Take(), Until(may_answer), Say(OK), *ANSWER)
    async with scripted(script) as server, transport_to(server.port, limits) as transport:
        first = transport.start(put(b"first"), deadline_s=PLENTY_S)
        await server.until_seen(1)
        late = transport.start(put(b"late"), deadline_s=0.05)
        cancelled = transport.start(put(b"cancelled"), deadline_s=PLENTY_S)
        last = transport.start(put(b"last"), deadline_s=PLENTY_S)
        cancelled.reply.cancel()
        assert await failure_of(late) == (FailureKind.TIMEOUT, False)
        assert len(transport._waiting) == 2
        may_answer.set()
        await asyncio.gather(first.reply, last.reply)
    assert [seen.body for seen in server.seen] == [b"first", b"last"]


async def test_cancelled_wait_lets_the_exchange_end_and_keeps_the_connection() -> None:
    may_answer = asyncio.Event()
    limits = PoolLimits(connections_max=1)
    script = (Take(), Until(may_answer), Say(OK), *ANSWER)
    async with scripted(script) as server, transport_to(server.port, limits) as transport:
        cancelled = transport.start(put(), deadline_s=PLENTY_S)
        await server.until_seen(1)
        cancelled.reply.cancel()
        may_answer.set()
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"
    assert server.connections == 1


async def test_refused() -> None:
    async with transport_to(free_port(), FEW) as transport:
        for _ in range(3):
            exchanges = [transport.start(put(), deadline_s=PLENTY_S) for _ in range(2)]
            for exchange in exchanges:
                assert await failure_of(exchange) == (FailureKind.REFUSED, False)


async def test_refused_connection_leaves_the_queue_to_an_open_one() -> None:
    may_answer = asyncio.Event()
    script = (Take(), Until(may_answer), Say(OK), *ANSWER)
    async with scripted(script) as server, transport_to(server.port) as transport:
        first = transport.start(put(b"first"), deadline_s=PLENTY_S)
        await server.until_seen(1)
        server.stop_listening()
        second = transport.start(put(b"second"), deadline_s=PLENTY_S)
        while transport._attempts:
            await asyncio.sleep(0)
        may_answer.set()
        await asyncio.gather(first.reply, second.reply)
    assert server.connections == 1


async def test_no_connection_in_time() -> None:
    """A full backlog: the kernel leaves further connections without an answer."""
    limits = PoolLimits(connect_timeout_s=0.05)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with transport_to(listener.getsockname()[1], limits) as transport:
            exchange = transport.start(put(), deadline_s=PLENTY_S)
            assert await failure_of(exchange) == (FailureKind.TIMEOUT, False)
        for filler in fillers:
            filler.close()


async def test_close_fails_what_is_under_way_and_what_waits() -> None:
    async with scripted((Take(), ClientGone())) as server:
        async with transport_to(server.port, PoolLimits(connections_max=1)) as transport:
            sent = transport.start(put(), deadline_s=PLENTY_S)
            await server.until_seen(1)
            waiting = transport.start(put(), deadline_s=PLENTY_S)
        after = transport.start(put(), deadline_s=PLENTY_S)
        assert await failure_of(sent) == (FailureKind.CLOSED, True)
        assert await failure_of(waiting) == (FailureKind.CLOSED, False)
        assert await failure_of(after) == (FailureKind.CLOSED, False)
        await server.until_finished(0)
