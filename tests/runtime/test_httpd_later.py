"""Answers that a future makes, and small bodies that are whole before the application is asked."""

import asyncio
import gc
from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack

import pytest

from tandem.runtime.httpd import Answer, HttpError, HttpLimits, Later, Request, Response
from tests.runtime.wire import DEADLINE_S, get, put, serving

WHOLE = HttpLimits().whole_body_bytes_max


class Desk:
    """An application whose every answer is made when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.outcomes: list[asyncio.Future[bytes]] = []
        self.arrived = asyncio.Event()
        self.made: Callable[[asyncio.Future[bytes]], Answer] = said

    def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        self.outcomes.append(asyncio.get_running_loop().create_future())
        self.arrived.set()
        return Later(self.outcomes[-1], self.made)

    async def request(self, number: int) -> "asyncio.Future[bytes]":
        """The outcome that so many-th request waits for."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.outcomes) <= number:
                self.arrived.clear()
                await self.arrived.wait()
        return self.outcomes[number]


def said(outcome: "asyncio.Future[bytes]") -> Response:
    return Response(200, outcome.result())


async def test_it_is_answered_when_the_future_ends_and_the_connection_lives() -> None:
    desk = Desk()
    async with serving(desk) as served:
        wire = await served.connect()
        for number, word in enumerate((b"first", b"second")):
            await wire.send(put(b"body"))
            (await desk.request(number)).set_result(word)
            assert (await wire.answer()).body == word


async def test_a_pipelined_request_waits_for_the_answer_before_it() -> None:
    desk = Desk()
    async with serving(desk) as served:
        wire = await served.connect()
        await wire.send(get(b"/1") + get(b"/2"))
        first = await desk.request(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert [request.target for request in desk.asked] == [b"/1"]
        first.set_result(b"one")
        (await desk.request(1)).set_result(b"two")
        assert [(await wire.answer()).body for _ in range(2)] == [b"one", b"two"]


@pytest.mark.parametrize(
    ("error", "status", "failures"),
    [(HttpError(418, b"Teapot"), 418, 0), (KeyError("bug"), 500, 1)],
)
async def test_what_it_raises_is_taken_as_the_applications(
    error: Exception, status: int, failures: int
) -> None:
    desk = Desk()
    async with serving(desk) as served:
        wire = await served.connect()
        await wire.send(get())
        (await desk.request(0)).set_exception(error)
        assert (await wire.answer()).status == status
        assert served.server.stats.failures == failures


async def test_it_may_come_to_an_answer_that_takes_a_task() -> None:
    async def slowly(outcome: "asyncio.Future[bytes]") -> Response:
        await asyncio.sleep(0)
        return said(outcome)

    desk = Desk()
    desk.made = lambda outcome: Later(outcome, slowly)
    async with serving(desk) as served:
        wire = await served.connect()
        await wire.send(get())
        (await desk.request(0)).set_result(b"slow")
        assert (await wire.answer()).body == b"slow"


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_goes_away_cancels_nothing_and_is_forgotten(reset: bool) -> None:
    desk = Desk()
    async with serving(desk) as served:
        _, client = await asyncio.open_connection("127.0.0.1", served.port)
        client.write(get())
        outcome = await desk.request(0)
        if reset:
            client.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        client.transport.abort()
        if reset:
            await until(lambda: not served.server.open_connections)
        assert not outcome.done()
        outcome.set_result(b"for nobody")
        await until(lambda: served.server.stats.requests == 1)
        await until(lambda: not served.server.open_connections)
        assert served.server.stats.failures == 0


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():
            await asyncio.sleep(0.01)


async def test_an_answer_that_is_cut_off_before_it_began_leaves_nothing() -> None:
    """Python warns of a coroutine that nobody began, which fails this test."""
    cut = asyncio.Event()

    async def answer() -> Response:
        return Response(200)

    def cut_off() -> None:
        for connection in [*served.server._site.connections]:
            connection.abort()
        cut.set()

    def app(_: Request) -> Answer:
        asyncio.get_running_loop().call_soon(cut_off)
        return answer()

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get())
        await asyncio.wait_for(cut.wait(), DEADLINE_S)
        await served.server.drain(DEADLINE_S)
        gc.collect()


async def test_drain_waits_for_it() -> None:
    desk = Desk()
    async with serving(desk) as served:
        wire = await served.connect()
        await wire.send(get())
        outcome = await desk.request(0)
        draining = asyncio.ensure_future(served.server.drain(DEADLINE_S))
        await asyncio.sleep(0)
        outcome.set_result(b"last")
        answer = await wire.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"last", b"close")
        assert await draining == 0


@pytest.mark.parametrize("cut", [0, 1, 5])
async def test_a_small_body_is_whole_before_the_application_is_asked(cut: int) -> None:
    desk = Desk()
    async with serving(desk) as served:
        wire = await served.connect()
        sent = put(b"small")
        await wire.send(sent[: len(sent) - cut])
        other = await served.connect()
        await other.send(get(b"/other"))
        await until(lambda: b"/other" in {request.target for request in desk.asked})
        assert len(desk.asked) == 1 + (not cut)
        await wire.send(sent[len(sent) - cut :])
        await until(lambda: len(desk.asked) == 2)
        for request, outcome in zip(desk.asked, desk.outcomes, strict=True):
            outcome.set_result(request.body.whole() or b"")
        assert (await wire.answer()).body == b"small"


async def test_a_larger_body_is_not_waited_for() -> None:
    asked = asyncio.Event()

    async def app(request: Request) -> Response:
        asked.set()
        assert request.body.whole() is None
        return Response(200, await request.body.read(1 << 20))

    async with serving(app) as served, asyncio.timeout(DEADLINE_S):
        wire = await served.connect()
        await wire.send(put(b"x" * (WHOLE + 1))[:-1])
        await asked.wait()
        await wire.send(b"x")
        assert len((await wire.answer()).body) == WHOLE + 1


async def test_who_waits_for_continue_is_asked_for_a_small_body_too() -> None:
    desk = Desk()

    async def app(request: Request) -> Response:
        return Response(200, await request.body.read(10))

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(put(b"", b"Expect: 100-continue").replace(b": 0", b": 5"))
        assert (await wire.head()).status == 100
        await wire.send(b"small")
        assert (await wire.answer()).body == b"small"
    assert not desk.asked


async def test_a_small_body_that_stops_is_told_to_the_application() -> None:
    async def app(request: Request) -> Response:
        return Response(200, await request.body.read(10))

    async with serving(app, HttpLimits(body_idle_s=0.2)) as served:
        wire = await served.connect()
        await wire.send(put(b"small")[:-2])
        assert (await wire.answer()).status == 408
