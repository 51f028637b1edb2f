"""A head that comes again brings the request that it was, and nothing else does."""

import asyncio
from pathlib import Path

import pytest

from tandem.runtime.httpd import Request, Response
from tandem.runtime.httpd.heads import Heads
from tests.runtime.wire import Served, Wire, get, put, serving

PLAIN = get(b"/a")


class Seen:
    """An application that keeps what it was asked, and marks it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        answer = b"again" if request.note is self else b"new"
        request.note = self
        return Response(200, answer + (request.body.whole() or b""))


async def answered(wire: Wire, sent: bytes) -> bytes:
    await wire.send(sent)
    return (await wire.answer(head_only=sent.startswith(b"HEAD"))).body


async def bodies(served: Served, *sent: bytes) -> list[bytes]:
    wire = await served.connect()
    return [await answered(wire, one) for one in sent]


async def test_the_same_head_brings_the_same_request_on_any_connection() -> None:
    seen = Seen()
    async with serving(seen) as served:
        assert await bodies(served, PLAIN, PLAIN) == [b"new", b"again"]
        assert await bodies(served, PLAIN) == [b"again"]
        assert len(set(map(id, seen.requests))) == 1


@pytest.mark.parametrize(
    "other",
    [get(b"/b"), PLAIN.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nM: v\r\n"), b"\r\n" + PLAIN],
)
async def test_any_other_head_is_another_request(other: bytes) -> None:
    async with serving(Seen()) as served:
        assert await bodies(served, PLAIN, other, PLAIN) == [b"new", b"new", b"again"]


async def test_each_request_of_a_pipeline_is_the_one_that_its_head_was() -> None:
    async with serving(Seen()) as served:
        await bodies(served, PLAIN)
        wire = await served.connect()
        await wire.send(PLAIN + get(b"/b") + PLAIN)
        assert [(await wire.answer()).body for _ in range(3)] == [b"again", b"new", b"again"]


async def test_where_a_head_is_cut_it_is_parsed() -> None:
    seen = Seen()
    async with serving(seen) as served:
        wire = await served.connect()
        assert await answered(wire, PLAIN) == b"new"
        for cut in range(1, len(PLAIN)):
            await wire.send(PLAIN[:cut])
            await asyncio.sleep(0)
            assert await answered(wire, PLAIN[cut:]) in (b"new", b"again")
        assert {request.target for request in seen.requests} == {b"/a"}


@pytest.mark.parametrize(
    "sent",
    [
        put(b""),
        put(b"body"),
        b"HEAD /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        get(b"/" + b"a" * 4096),
    ],
)
async def test_what_has_a_body_or_changes_something_is_parsed_each_time(sent: bytes) -> None:
    seen = Seen()
    async with serving(seen) as served:
        first, second = await bodies(served, sent, sent)
        assert first == second
        assert seen.requests[0] is not seen.requests[1]


async def test_a_connection_that_is_to_be_closed_is() -> None:
    last = b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"
    async with serving(Seen()) as served:
        for body in (b"new", b"again"):
            wire = await served.connect()
            await wire.send(last + PLAIN)
            answer = await wire.answer()
            assert (answer.body, answer.headers[b"connection"]) == (body, b"close")
            assert await wire.rest() == b""


async def test_what_one_application_notes_is_not_shown_to_another(sockets: Path) -> None:
    async with serving(Seen()) as served:
        await served.server.listen_unix(sockets / "a.sock", Seen())
        assert await bodies(served, PLAIN) == [b"new"]
        wire = Wire(*await asyncio.open_unix_connection(str(sockets / "a.sock")))
        assert await answered(wire, PLAIN) == b"new"
        assert await answered(wire, PLAIN) == b"again"
        await wire.abort()


def test_what_is_kept_is_bounded() -> None:
    heads, app = Heads(), Seen()
    for number in range(20_000):
        head = get(b"/%d" % number)
        heads.keep(app, head, Request(b"GET", b"/%d" % number, {}))
    known = [number for number in range(20_000) if heads.get((app, get(b"/%d" % number)))]
    assert 0 < len(known) <= 8192
    assert known[-1] == 19_999
