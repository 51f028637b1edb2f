"""Large bodies, slow and vanishing clients, bugs in the application, and shutdown."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tandem.runtime.httpd import BodyTooLarge, ClientGone, HttpLimits, Request, Response
from tests.runtime.wire import DEADLINE_S, echo, echo_body, get, put, serving

MIB = 1 << 20


async def test_25_mib_echo_as_bytes_and_as_stream() -> None:
    async def stream(request: Request) -> Response:
        return Response(200, request.body, length=request.content_length)

    body = bytes(range(256)) * (25 * 4096)
    for app in (echo_body, stream):
        async with serving(app) as served:
            wire = await served.connect()
            sending = asyncio.ensure_future(wire.send(put(body)))
            assert (await wire.answer()).body == body
            await sending
            await wire.send(put(b"after"))
            assert (await wire.answer()).body == b"after"


async def test_a_body_that_nobody_reads_is_not_buffered() -> None:
    release = asyncio.Event()
    requests: list[Request] = []

    async def app(request: Request) -> Response:
        requests.append(request)
        await release.wait()
        return Response(200, b"%d" % len(await request.body.read(32 * MIB)))

    async with serving(app) as served:
        wire = await served.connect()
        sending = asyncio.ensure_future(wire.send(put(b"x" * (25 * MIB))))
        while not requests or requests[0].body.buffered < 256 << 10:
            await asyncio.sleep(0)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert requests[0].body.buffered <= 1 * MIB
        assert not sending.done()
        release.set()
        assert (await wire.answer()).body == b"%d" % (25 * MIB)
        await sending


async def test_a_producer_waits_for_a_slow_reader() -> None:
    made = 0
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 1
                yield b"x" * 65536
        finally:
            closed.set()

    async with serving(lambda _: Response(200, endless())) as served:
        wire = await served.connect()
        await wire.send(get())
        await wire.head()
        for _ in range(2000):
            await asyncio.sleep(0)
        assert made * 65536 < 32 * MIB
        wire.close()
        await asyncio.wait_for(closed.wait(), DEADLINE_S)


async def test_an_early_answer_swallows_the_body_and_keeps_the_connection() -> None:
    async def app(request: Request) -> Response:
        if request.method == b"GET":
            return Response(200, b"next")
        try:
            return Response(200, await request.body.read(MIB))
        except BodyTooLarge:
            return Response(413, reason=b"Value length exceeds limit")

    for body in (b"x" * (25 * MIB), b"x" * (MIB + 1)):
        async with serving(app) as served:
            wire = await served.connect()
            await wire.send(put(body))
            assert (await wire.answer()).reason == b"Value length exceeds limit"
            await wire.send(get())
            assert (await wire.answer()).body == b"next"


async def test_a_body_over_the_drain_bound_gets_its_answer_and_a_close() -> None:
    limits = HttpLimits(drain_bytes_max=MIB)
    async with serving(lambda _: Response(413), limits) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * MIB)
        answer = await wire.answer()
        assert (answer.status, answer.headers[b"connection"]) == (413, b"close")


async def test_timeouts_answer_408_or_close_quietly() -> None:
    limits = HttpLimits(head_timeout_s=0.5, body_idle_s=0.05, keep_alive_s=1.0)
    async with serving(echo_body, limits) as served:
        for raw in (b"GET / HT", b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"):
            wire = await served.connect()
            await wire.send(raw)
            assert (await wire.answer()).status == 408
            assert await wire.rest() == b""
        wire = await served.connect()
        assert await wire.rest() == b""
        await (wire := await served.connect()).send(get())
        assert (await wire.answer()).status == 200
        assert await wire.rest() == b""
        assert served.server.stats.timeouts == 2


async def test_trickling_does_not_extend_the_head_deadline() -> None:
    async with serving(echo, HttpLimits(head_timeout_s=0.5)) as served:
        wire = await served.connect()
        await wire.send(b"GET / HTTP/1.1\r\n")

        async def trickle() -> None:
            while True:
                await wire.send(b"a: b\r\n")
                await asyncio.sleep(0.01)

        trickling = asyncio.ensure_future(trickle())
        assert (await wire.answer()).status == 408
        trickling.cancel()


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    limits = HttpLimits(write_idle_s=0.1)
    async with serving(lambda _: Response(200, b"x" * (64 * MIB)), limits) as served:
        wire = await served.connect()
        await wire.send(get())
        await wire.head()
        async with asyncio.timeout(DEADLINE_S):
            while served.server.open_connections:
                await asyncio.sleep(0.01)


async def test_a_client_that_was_refused_and_does_not_leave_is_cut_off() -> None:
    async with serving(lambda _: Response(413), HttpLimits(linger_s=0.1)) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
        assert (await wire.answer()).status == 413
        async with asyncio.timeout(DEADLINE_S):
            while served.server.open_connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("synchronous", [True, False])
async def test_a_bug_is_500_logged_once_and_the_connection_lives(synchronous: bool) -> None:
    async def late(request: Request) -> Response:
        raise RuntimeError("bug")

    def app(request: Request):  # type: ignore[no-untyped-def]  # noqa: ANN202
        if request.target == b"/ok":
            return Response(200)
        if synchronous:
            raise RuntimeError("bug")
        return late(request)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get(b"/bug") + get(b"/ok"))
        assert [(await wire.answer()).status for _ in range(2)] == [500, 200]
        assert [event for event, _ in served.log.events] == ["http_request_failed"]
        assert served.server.stats.failures == 1


@pytest.mark.parametrize(("length", "sent"), [(None, b"3\r\nabc\r\n"), (1000, b"abc")])
async def test_a_stream_that_breaks_off_is_visible_to_the_client(
    length: int | None, sent: bytes
) -> None:
    """Nothing follows that could pass for more of it, such as an apology."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise RuntimeError("bug")

    async with serving(lambda _: Response(200, broken(), length=length)) as served:
        wire = await served.connect()
        await wire.send(get())
        await wire.head()
        assert await wire.rest() == sent
        assert served.server.stats.failures == 1


async def test_an_answer_that_cannot_be_written_is_500_even_behind_one_that_was() -> None:
    async def app(request: Request) -> Response:
        return Response(200, headers=((b"a", b"\n" if request.target == b"/bug" else b""),))

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get(b"/ok") + get(b"/bug"))
        assert [(await wire.answer()).status for _ in range(2)] == [200, 500]
        assert await wire.rest() == b""
        assert served.server.stats.failures == 1


@pytest.mark.parametrize("length", [3, None])
async def test_a_stream_ends_as_other_answers_do(length: int | None) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    async with serving(lambda _: Response(200, pieces(), length=length)) as served:
        wire = await served.connect()
        await wire.send(put(b"x" * MIB) + get() + get(b"/last", b"Connection: close"))
        for connection in (None, None, b"close"):
            answer = await wire.answer()
            assert (answer.body, answer.headers.get(b"connection")) == (b"abc", connection)
        assert await wire.rest() == b""


async def test_an_echo_breaks_off_with_the_body_that_it_echoes() -> None:
    async with serving(lambda request: Response(200, request.body)) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await wire.head()
        await wire.send(b"no chunk\r\n")
        assert await wire.rest() == b"1\r\na\r\n"
        assert served.server.stats.failures == 0


async def test_a_client_that_leaves_in_the_body_is_seen() -> None:
    seen: asyncio.Future[type[Exception]] = asyncio.get_running_loop().create_future()

    async def app(request: Request) -> Response:
        try:
            return Response(200, await request.body.read(MIB))
        except Exception as error:
            seen.set_result(type(error))
            raise

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        await asyncio.sleep(0)
        wire.close()
        assert issubclass(await asyncio.wait_for(seen, DEADLINE_S), Exception)
        assert ClientGone().status == 499
        assert served.server.stats.failures == 0


async def test_a_half_closed_client_gets_its_answer() -> None:
    async def app(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, b"late")

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get())
        wire.half_close()
        assert (await wire.answer()).body == b"late"
        assert await wire.rest() == b""


async def test_connections_over_the_limit_get_503() -> None:
    async with serving(echo, HttpLimits(connections_max=1)) as served:
        first = await served.connect()
        await first.send(get())
        await first.answer()
        second = await served.connect()
        assert (await second.answer()).status == 503
        assert served.server.stats.connections_refused == 1


async def test_drain_finishes_what_runs_and_says_close() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def app(request: Request) -> Response:
        started.set()
        await release.wait()
        return Response(200, b"done")

    async with serving(app) as served:
        idle = await served.connect()
        wire = await served.connect()
        await wire.send(get())
        await asyncio.wait_for(started.wait(), DEADLINE_S)
        draining = asyncio.ensure_future(served.server.drain(DEADLINE_S))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await served.connect()
        release.set()
        answer = await wire.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"done", b"close")
        assert await draining == 0


async def test_a_request_that_is_on_its_way_at_a_drain_is_answered_as_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tandem.runtime.httpd.server.LAST_REQUEST_S", DEADLINE_S)

    async def app(request: Request) -> Response:
        return Response(200, b"done")

    async with serving(app) as served:
        idle, wire = await served.connect(), await served.connect()
        draining = asyncio.ensure_future(served.server.drain(DEADLINE_S))
        for _ in range(50):
            await asyncio.sleep(0)
        await wire.send(get())
        answer = await wire.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"done", b"close")
        idle.close()
        assert await draining == 0


async def test_a_drain_waits_for_what_a_client_that_left_has_begun() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def app(request: Request) -> Response:
        started.set()
        await release.wait()
        return Response(200)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get())
        await asyncio.wait_for(started.wait(), DEADLINE_S)
        await wire.reset()
        draining = asyncio.ensure_future(served.server.drain(DEADLINE_S))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not draining.done()
        release.set()
        assert await draining == 0
        assert served.server.open_connections == 0


async def test_drain_cuts_off_what_outlives_its_deadline() -> None:
    started = asyncio.Event()

    async def app(request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        return Response(200)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get())
        await asyncio.wait_for(started.wait(), DEADLINE_S)
        assert await served.server.drain(0) == 1
        assert await wire.rest() == b""
        assert served.server.open_connections == 0
