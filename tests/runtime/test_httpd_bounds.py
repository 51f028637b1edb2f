"""What clients can make the server hold is bounded, and whoever is at a bound disturbs no other."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tandem.runtime.httpd import HttpLimits, Request, Response
from tests.runtime.wire import DEADLINE_S, Served, Wire, echo_body, get, put, serving

MIB = 1 << 20
IDLE = 1000
LARGE = bytes(8 * MIB)


async def test_idle_connections_cost_little_and_disturb_nobody() -> None:
    async with serving(lambda _: Response(200, b"v")) as served, _idle(served, IDLE):
        gc.collect()
        before = _resident_bytes()
        async with _idle(served, IDLE):
            assert served.server.open_connections == 2 * IDLE
            gc.collect()
            each = (_resident_bytes() - before) / IDLE
            assert each < 64 << 10, f"{each:.0f} bytes, client and server together"
            for _ in range(100):
                assert (await served.say(get())).body == b"v"


async def test_connections_are_used_again_after_the_idle_ones_have_left() -> None:
    async with serving(lambda _: Response(200, b"v"), HttpLimits(connections_max=50)) as served:
        async with _idle(served, 50):
            assert (await served.say(get())).status == 503
        while served.server.open_connections:
            await asyncio.sleep(0.001)
        assert (await served.say(get())).body == b"v"


async def test_clients_that_do_not_take_large_answers_cannot_hold_more_than_the_bound() -> None:
    limits = HttpLimits(answers_bytes_max=3 * len(LARGE))

    def app(request: Request) -> Response:
        return Response(200, LARGE if request.target == b"/large" else b"small")

    async with serving(app, limits) as served:
        slow = [await served.connect() for _ in range(3)]
        for wire in slow:
            await wire.send(get(b"/large"))
            assert (await wire.head()).status == 200
        refused = await served.say(get(b"/large"))
        assert (refused.status, refused.reason) == (503, b"Too many large answers are under way")
        assert (await served.say(get(b"/small"))).body == b"small"
        await slow[0].abort()
        while (answer := await served.say(get(b"/large"))).status == 503:
            await asyncio.sleep(0.001)
        assert answer.body == LARGE


async def test_what_streamed_answers_hold_counts_with_the_large_ones() -> None:
    limits = HttpLimits(answers_bytes_max=3 * len(LARGE))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield LARGE

    def app(request: Request) -> Response:
        return Response(200, pieces(), held=int(request.target[1:]))

    async with serving(app, limits) as served:
        slow = [await served.connect() for _ in range(3)]
        for wire in slow:
            await wire.send(get(b"/%d" % len(LARGE)))
            assert (await wire.head()).status == 200
        assert (await served.say(get(b"/1"))).status == 503
        unheld = await served.connect()
        await unheld.send(get(b"/0"))
        assert (await unheld.head()).status == 200
        await slow[0].abort()
        while (answer := await served.say(get(b"/1"))).status == 503:
            await asyncio.sleep(0.001)
        assert len(answer.body) == 3 * len(LARGE)


async def test_a_large_answer_that_was_taken_gives_its_room_back() -> None:
    limits = HttpLimits(answers_bytes_max=len(LARGE))
    async with serving(lambda _: Response(200, memoryview(LARGE)), limits) as served:
        wire = await served.connect()
        for _ in range(5):
            await wire.send(get())
            assert (await wire.answer()).body == LARGE
        await wire.send(b"HEAD / HTTP/1.1\r\n\r\n")
        head = await wire.answer(head_only=True)
        assert head.headers[b"content-length"] == b"%d" % len(LARGE)


@pytest.mark.parametrize("size", [0, 1, 16 << 10, (16 << 10) + 1, 256 << 10, (256 << 10) + 1])
async def test_a_view_is_sent_as_bytes_are(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    async with serving(lambda _: Response(200, memoryview(body)[:size])) as served:
        answer = await served.say(get())
        assert (answer.body, answer.headers[b"content-length"]) == (body[:size], b"%d" % size)


async def test_a_gigabyte_is_refused_at_once_and_nothing_of_it_is_kept() -> None:
    async with serving(lambda _: Response(413), HttpLimits(linger_s=0.2)) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        answer = await wire.answer()
        assert (answer.status, answer.headers[b"connection"]) == (413, b"close")
        before = _resident_bytes()
        with suppress(ConnectionError):
            await _flood(wire, bytes(MIB), 256)
        assert _resident_bytes() - before < 32 * MIB


async def test_an_endless_chunked_body_is_cut_off() -> None:
    limits = HttpLimits(drain_bytes_max=4 * MIB, linger_s=0.2)
    async with serving(lambda _: Response(400), limits) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            await _flood(wire, b"100000\r\n%b\r\n" % bytes(MIB), 1000)
        while served.server.open_connections:
            await asyncio.sleep(0.001)


async def test_a_body_shorter_than_announced_times_out_and_a_longer_one_is_the_next_request() -> (
    None
):
    async with serving(echo_body, HttpLimits(body_idle_s=0.2)) as served:
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nshort")
        assert (await wire.answer()).status == 408
        assert await wire.rest() == b""
        wire = await served.connect()
        await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nlonger")
        assert (await wire.answer()).body == b"lo"
        await wire.send(b"\r\n\r\n")
        assert (await wire.answer()).status == 400


async def test_slow_bodies_hold_nobody_up() -> None:
    async with serving(echo_body) as served:
        slow = [await served.connect() for _ in range(200)]
        for wire in slow:
            await wire.send(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
        for _ in range(50):
            assert (await served.say(put(b"quick"))).body == b"quick"
        for wire in slow:
            await wire.send(b"b")
            assert (await wire.answer()).body == b"ab"


@asynccontextmanager
async def _idle(served: Served, count: int) -> AsyncIterator[None]:
    """So many connections that say nothing."""
    wires = []
    expected = served.server.open_connections + count
    for _ in range(count):
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", served.port, limit=1024), DEADLINE_S
        )
        wires.append(Wire(reader, writer))
    while served.server.open_connections < expected:
        await asyncio.sleep(0)
    try:
        yield
    finally:
        for wire in wires:
            await wire.abort()


async def _flood(wire: Wire, piece: bytes, times: int) -> None:
    for _ in range(times):
        await wire.send(piece)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
