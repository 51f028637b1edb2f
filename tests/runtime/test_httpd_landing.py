"""Bodies that go straight into a place of the application's: the same bytes, the same bounds."""

import asyncio

import pytest

from tandem.runtime.httpd import (
    Body,
    BodyMalformed,
    BodyTooLarge,
    ClientGone,
    HttpError,
    HttpLimits,
    Request,
    Response,
)
from tests.runtime.wire import echo_landed, get, landed, put, serving

MIB = 1 << 20
VALUE = bytes(range(256)) * 4096
WITHIN_S = 60.0


@pytest.mark.parametrize("before", [0, 1, MIB])
@pytest.mark.parametrize("size", [1, 70_000, MIB, 25 * MIB])
async def test_what_lands_is_what_was_sent_and_the_next_request_is_not_touched(
    size: int, before: int
) -> None:
    async def app(request: Request) -> Response:
        return Response(200, await landed(request, before))

    value = (VALUE * 25)[:size]
    async with serving(app) as served:
        wire = await served.connect()
        sending = asyncio.ensure_future(wire.send(put(value) + put(b"next") + put(b"last")))
        for sent in (value, b"next", b"last"):
            assert (await wire.answer()).body == sent
        await sending


@pytest.mark.parametrize("cut", [1, 1000, 300_000, 2 * MIB])
async def test_it_does_not_matter_how_the_bytes_are_cut(cut: int) -> None:
    value = VALUE * 3
    sent = put(value) + get()
    async with serving(echo_landed) as served:
        wire = await served.connect()
        await wire.send(sent[:cut])
        for _ in range(20):
            await asyncio.sleep(0)
        await wire.send(sent[cut:])
        assert (await wire.answer()).body == value
        assert (await wire.answer()).status == 200


async def test_a_body_in_chunks_lands_too() -> None:
    async def app(request: Request) -> Response:
        place = bytearray(5)
        with request.body.landing(memoryview(place)):
            while await request.body.landed():
                pass
        return Response(200, bytes(place))

    async with serving(app) as served:
        head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await served.say(head + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
        assert answer.body == b"abcde"


async def test_what_nobody_looks_at_is_held_back() -> None:
    release = asyncio.Event()
    bodies: list[Body] = []

    async def app(request: Request) -> Response:
        bodies.append(request.body)
        place = bytearray(25 * MIB)
        with request.body.landing(memoryview(place)):
            await release.wait()
            while await request.body.landed():
                pass
        return Response(200, b"whole" if place == VALUE * 25 else b"other")

    limits = HttpLimits(landed_unread_max=MIB, body_idle_s=1.0)
    async with serving(app, limits) as served:
        wire = await served.connect()
        sending = asyncio.ensure_future(wire.send(put(VALUE * 25)))
        async with asyncio.timeout(WITHIN_S):
            while not bodies or bodies[0].buffered < MIB:
                await asyncio.sleep(0)
        seen = bodies[0].buffered
        await asyncio.sleep(1.2)  # longer than a client may be silent: here it is not at fault
        assert bodies[0].buffered == seen < 25 * MIB
        assert not sending.done()
        release.set()
        assert (await wire.answer()).body == b"whole"
        await sending


async def test_an_application_that_gives_up_leaves_the_connection_in_order() -> None:
    async def app(request: Request) -> Response:
        if request.method == b"GET":
            return Response(200, b"next")
        with request.body.landing(memoryview(bytearray(25 * MIB))):
            await request.body.landed()
            raise HttpError(503, b"No room")

    async with serving(app) as served:
        wire = await served.connect()
        for _ in range(2):
            sending = asyncio.ensure_future(wire.send(put(VALUE * 25) + get()))
            assert (await wire.answer()).reason == b"No room"
            assert (await wire.answer()).body == b"next"
            await sending


async def test_what_comes_after_the_landing_is_read_as_ever() -> None:
    async def app(request: Request) -> Response:
        with request.body.landing(memoryview(bytearray(3 * MIB))):
            size = await request.body.landed()
        rest = await request.body.read(3 * MIB)
        return Response(200, b"%d" % (size + len(rest)))

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(put(VALUE * 3))
        answer = await wire.answer()
        assert 2 * MIB < int(answer.body) <= 3 * MIB  # what had landed unseen is gone
        await wire.send(put(VALUE * 3))
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("half", [True, False])
async def test_a_client_that_leaves_in_the_middle_is_heard_of(half: bool) -> None:
    failures: asyncio.Queue[HttpError] = asyncio.Queue()

    async def app(request: Request) -> Response:
        try:
            return Response(200, await landed(request))
        except HttpError as error:
            failures.put_nowait(error)
            raise

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(put(VALUE * 3)[: 2 * MIB])
        if half:
            wire.half_close()
            assert (await wire.answer()).reason == b"Request body ended early"
        else:
            await wire.abort()
        failure = await asyncio.wait_for(failures.get(), WITHIN_S)
        assert isinstance(failure, (BodyMalformed, ClientGone))


async def test_a_client_that_stops_sending_is_answered_408() -> None:
    async with serving(echo_landed, HttpLimits(body_idle_s=0.5)) as served:
        wire = await served.connect()
        await wire.send(put(VALUE * 3)[: 2 * MIB])
        assert (await wire.answer()).status == 408
        assert await wire.rest() == b""
        assert served.server.stats.timeouts == 1


async def test_the_place_of_a_body_holds_what_was_not_read() -> None:
    body = Body(None)
    for chunk in (b"abc", b"de"):
        body.push(chunk)
    assert await anext(body) == b"abc"
    place = bytearray(4)
    with body.landing(memoryview(place)):
        assert await body.landed() == 2
        body.push(b"fg")
        body.finish()
        assert (await body.landed(), await body.landed()) == (2, 0)
    assert (bytes(place), body.buffered) == (b"defg", 0)


async def test_a_landing_is_nothing_to_log() -> None:
    async with serving(echo_landed) as served:
        assert (await served.say(put(VALUE * 2))).body == VALUE * 2
        assert served.log.events == []


def test_how_a_body_has_ended_is_not_changed_by_what_comes_later() -> None:
    whole, broken, first = Body(None), Body(None), ClientGone()
    whole.push(b"a")
    whole.finish()
    broken.fail(first)
    for body in (whole, broken):
        body.fail(BodyMalformed(400, b"too late"))
    assert (whole.failure, whole.whole()) == (None, b"a")
    assert broken.failure is first


async def test_a_body_of_exactly_as_many_bytes_as_may_be_is_read_and_thrown_away() -> None:
    def came() -> Body:
        return Body(None, complete=True, came=b"abc")

    assert await came().read(3) == b"abc"
    assert await came().discard(3)
    assert not await came().discard(2)
    with pytest.raises(BodyTooLarge):
        await came().read(2)
