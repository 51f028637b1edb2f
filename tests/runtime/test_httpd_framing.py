"""What is accepted, refused and passed on unchanged, seen from the socket."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem.runtime.clock import SystemClock
from tandem.runtime.httpd import (
    HttpError,
    HttpLimits,
    Request,
    Response,
    Server,
    encode_headers,
)
from tandem.runtime.httpd.heads import Heads
from tandem.runtime.httpd.inbound import Inbound
from tests.runtime.wire import Recorded, Wire, echo, echo_body, get, put, serving

HEAD = b"PUT /k HTTP/1.1\r\nHost: h\r\n"


async def test_target_and_header_bytes_arrive_as_sent() -> None:
    async with serving(echo) as served:
        raw = b'\x7f\x01"\xc3\xa9\xff'
        answer = await served.say(get(b"/a%2Fb+c?x=%00", b"M: " + raw))
        assert answer.body == b"GET /a%2Fb+c?x=%00 " + raw
        absolute = await served.say(b"GET https://fake-host/a%2Fb HTTP/1.1\r\n\r\n")
        assert absolute.body == b"GET https://fake-host/a%2Fb -"


async def test_of_several_headers_of_one_name_the_first_counts() -> None:
    async with serving(echo) as served:
        assert (await served.say(get(b"/", b"M: 1", b"N: 2", b"m: 3"))).body == b"GET / 1"


async def test_space_around_the_value_of_a_header_is_no_part_of_it() -> None:
    async with serving(echo) as served:
        for around in (b"%b", b"%b ", b" \t%b\t \t"):
            assert (await served.say(get(b"/", b"M:" + around % b"a \t b"))).body == b"GET / a \t b"
            assert (await served.say(get(b"/", b"M:" + around % b""))).body == b"GET / -"
    async with serving(echo_body) as served:
        for line, body in (
            (b"Content-Length: 1 \t", b"v"),
            (b"Transfer-Encoding: chunked  ", b"1\r\nv\r\n0\r\n\r\n"),
        ):
            answer = await served.say(HEAD + line + b"\r\n\r\n" + body)
            assert (answer.status, answer.body) == (200, b"v")
        answer = await served.say(HEAD + b"Content-Length: 1\r\nExpect: 100-continue \r\n\r\n")
        assert answer.status == 100
        answer = await served.say(HEAD + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n")
        assert (answer.status, answer.headers[b"connection"]) == (400, b"close"), (
            "the parser's word"
        )


async def test_a_header_line_of_half_a_mebibyte_passes() -> None:
    async with serving(echo) as served:
        answer = await served.say(get(b"/", b"M: " + b"x" * (512 << 10)))
        assert len(answer.body) > 512 << 10


async def test_own_reason_phrase_cannot_split_the_response() -> None:
    def app(request: Request) -> Response:
        return Response(400, reason=b"bad\r\nX-Forged: 1\x7f \xc3\xa9")

    async with serving(app) as served:
        answer = await served.say(get())
        assert answer.reason == b"bad  X-Forged: 1  \xc3\xa9"
        assert b"x-forged" not in answer.headers


async def test_headers_may_be_encoded_once_and_sent_often() -> None:
    lines = encode_headers(((b"A", b"1"), (b"B", b"\xff")))
    assert encode_headers(()) == b""
    async with serving(lambda _: Response(200, b"v", lines)) as served:
        for _ in range(2):
            answer = await served.say(get())
            assert (answer.headers[b"a"], answer.headers[b"b"]) == (b"1", b"\xff")
            assert answer.body == b"v"


@pytest.mark.parametrize("value", [b"a\r\nX: 1", b"a\n", b"\0"])
async def test_a_forged_response_header_is_a_bug_not_a_response(value: bytes) -> None:
    async with serving(lambda _: Response(200, headers=((b"a", value),))) as served:
        assert (await served.say(get())).status == 500
        assert served.server.stats.failures == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (HEAD + b"Content-Length: +3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length : 3\r\n\r\nabc", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: \xb2\r\n\r\nab", 400),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabc", 400),
        (HEAD + b"Content-Length:\r\n 3\r\n\r\nabc", 400),
        (HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"M: a\r\n b\r\n\r\n", 400),
        (HEAD + b"M: a\r\n\tb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n M: a\r\nHost: h\r\n\r\n", 400),
        (HEAD + b"host: other\r\n\r\n", 400),
        (HEAD + b"Expect: 100-continue\r\n" * 2 + b"Content-Length: 1\r\n\r\na", 400),
        (HEAD + b": a\r\n\r\n", 400),
        (HEAD + b"M\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (HEAD + b"M: a\r\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (HEAD + b"M: a\0b\r\n\r\n", 400),
        (HEAD + b"M: a\rb\r\n\r\n", 400),
        (HEAD + b"M: a\nb: c\r\n\r\n", 400),
        (HEAD + b"M: a\n\r\n" + get(), 400),
        (HEAD + b"M:\r\r\n" + get(), 400),
        (HEAD + b"M: \r\r\nContent-Length: 3\r\n\r\nabc", 400),
        (HEAD + b"Expect: tea\r\nContent-Length: 1\r\n\r\na", 417),
        (HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc", 501),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00", 400),
        (get(b"/", *[b"a: b"] * 300), 431),
    ],
)
async def test_what_could_smuggle_or_is_not_spoken_is_refused(raw: bytes, status: int) -> None:
    seen: list[bytes] = []

    def app(request: Request) -> Response:
        seen.append(request.target)
        return Response(200)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(raw)
        answer = await wire.answer()
        assert (answer.status, answer.headers[b"connection"]) == (status, b"close")
        assert await wire.rest() == b""
        assert seen == []


@pytest.mark.parametrize("fold", [b"\r\n ", b"\r\n\t"])
def test_a_folded_line_is_seen_however_it_is_cut(fold: bytes) -> None:
    raw = b"GET / HTTP/1.1\r\nM: a" + fold + b"b\r\n\r\n"
    for first in range(len(raw)):
        for second in range(first, len(raw)):
            inbound = Inbound(HttpLimits(), NOBODY_WAITS, HEADS, _no_app)
            for piece in (raw[:first], raw[first:second], raw[second:]):
                inbound.hold(piece)
                while inbound.held and not inbound.broken:
                    inbound.advance()
            assert inbound.refusal is not None, (first, second)
            assert not inbound.ready


def test_it_does_not_matter_where_requests_are_cut() -> None:
    """Nothing of a body or of the next request may reach the parser of the head before it."""
    chunked = b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\nm: v\r\n\r\n"
    raw = put(b"\r\n\r\n!") + chunked + put(b"\n") + b"GET / HTTP/1.1\r\n\r\n"
    seen = [(b"/k", b"\r\n\r\n!"), (b"/c", b"\r\n"), (b"/k", b"\n"), (b"/", b"")]
    for first in range(len(raw)):
        for second in range(first, len(raw)):
            assert parsed(raw[:first], raw[first:second], raw[second:]) == seen, (first, second)


@pytest.mark.parametrize("before", [b"GET /1 HTTP/1.1", b"\r\nA: b", b"\r\nA:"])
def test_the_parser_sees_the_end_of_a_head_where_it_is_seen_here(before: bytes) -> None:
    """Or a second request would be parsed with the first, unchecked, and in its place."""
    first = b"GET /1 HTTP/1.1".removesuffix(before) + before
    for length in range(7):
        for end in itertools.product((b"\r", b"\n", b" "), repeat=length):
            raw = first + b"".join(end) + b"GET /2 HTTP/1.1\r\n\r\n"
            assert parsed(raw) == parsed(*(bytes([byte]) for byte in raw)), end


async def test_nothing_is_parsed_behind_trailers_that_end_in_a_strange_way() -> None:
    seen: list[bytes] = []

    async def app(request: Request) -> Response:
        seen.append(request.target)
        return Response(200, await request.body.read(100))

    async with serving(app) as served:
        wire = await served.connect()
        chunks = b"1\r\na\r\n0\r\nM:\r\r\n"
        await wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + get(b"/hidden"))
        answer = await wire.answer()
        assert (answer.body, answer.headers[b"connection"]) == (b"a", b"close")
        assert await wire.rest() == b""
        assert seen == [b"/k"]


def parsed(*pieces: bytes) -> list[tuple[bytes, bytes | None]]:
    """The targets and bodies of the requests in what comes in these pieces, up to a refused one."""
    inbound, requests = Inbound(HttpLimits(), NOBODY_WAITS, HEADS, _no_app), []
    for piece in pieces:
        if inbound.broken:
            break
        inbound.hold(piece)
        while inbound.held:
            inbound.advance()
            if inbound.ready is not None:
                requests.append(inbound.ready)
                inbound.ready = None
    seen = [(request.target, request.body.whole()) for request in requests]
    return [*seen, (b"refused", None)] if inbound.refusal else seen


class _NobodyWaits:
    def body_wanted(self) -> None:
        raise AssertionError("no body is read")


NOBODY_WAITS = _NobodyWaits()


def _no_app(_: Request) -> Response:
    raise AssertionError("nothing is answered")


HEADS = Heads()
"""Of all tests: which heads have come before makes no difference."""


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\nabc\r\n0\r\n\r\n",
        b"-1\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3;a\nb\r\nabc\r\n0\r\n\r\n",
        b"\r\nabc\r\n0\r\n\r\n",
    ],
)
async def test_a_bad_chunk_ends_the_connection_and_hides_no_request(chunks: bytes) -> None:
    seen: list[bytes] = []

    async def app(request: Request) -> Response:
        await request.body.read(100)
        seen.append(request.target)
        return Response(200)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + get(b"/hidden"))
        answer = await wire.answer()
        assert (answer.status, answer.headers[b"connection"]) == (400, b"close")
        assert await wire.rest() == b""
        assert seen == []


@pytest.mark.parametrize("bomb", [b"1;" + b"x" * 9000, b"0\r\n" + b"M: x\r\n" * 2000])
async def test_chunk_extensions_and_trailers_have_a_bound(bomb: bytes) -> None:
    async with serving(echo_body, HttpLimits(head_bytes_max=8192)) as served:
        wire = await served.connect()
        await wire.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + bomb)
        assert (await wire.answer()).status == 431
        assert await wire.rest() == b""


async def test_a_head_over_the_limit_is_431_whole_or_never_ending() -> None:
    async with serving(echo, HttpLimits(head_bytes_max=4096)) as served:
        assert (await served.say(get(b"/", b"M: " + b"x" * 8192))).status == 431
        wire = await served.connect()
        await wire.send(b"GET / HTTP/1.1\r\nM: " + b"x" * 8192)
        assert (await wire.answer()).status == 431


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    running = most = 0

    async def app(request: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Response(200, request.target)

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(b"".join(get(b"/%d" % n) for n in range(500)))
        for n in range(500):
            assert (await wire.answer()).body == b"/%d" % n
        assert most == 1


@pytest.mark.parametrize("cut", range(1, 90, 4))
async def test_requests_may_be_cut_anywhere(cut: int) -> None:
    raw = put(b"ab\r\n\r\ncd") + get(b"/next") + put(b"")
    async with serving(echo_body) as served:
        wire = await served.connect()
        await wire.send(raw[:cut])
        await asyncio.sleep(0)
        await wire.send(raw[cut:])
        bodies = [(await wire.answer()).body for _ in range(3)]
        assert bodies == [b"ab\r\n\r\ncd", b"", b""]


async def test_a_pipelining_client_lets_others_in() -> None:
    order: list[bytes] = []

    def app(request: Request) -> Response:
        order.append(request.target)
        return Response(200)

    async with serving(app) as served:
        greedy, modest = await served.connect(), await served.connect()
        await asyncio.gather(greedy.send(get(b"/g") * 1000), modest.send(get(b"/m")))
        assert (await modest.answer()).status == 200
        for _ in range(1000):
            await greedy.answer()
        assert order.index(b"/m") < 1000
        assert len(order) == 1001


async def test_a_bad_request_waits_for_the_answer_before_it() -> None:
    release = asyncio.Event()

    async def app(request: Request) -> Response:
        await release.wait()
        return Response(200, b"first")

    async with serving(app) as served:
        wire = await served.connect()
        await wire.send(get() + b"NONSENSE\r\n\r\n")
        release.set()
        assert (await wire.answer()).body == b"first"
        assert (await wire.answer()).status == 400
        assert await wire.rest() == b""


async def test_chunked_both_ways_and_trailers_do_not_become_headers() -> None:
    async def app(request: Request) -> Response:
        body = await request.body.read(100)
        assert request.get(b"m") is None

        async def pieces() -> AsyncIterator[bytes]:
            yield body
            yield b""
            yield b"!"

        return Response(200, pieces())

    async with serving(app) as served:
        raw = (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nM: v\r\n\r\n"
        )
        wire = await served.connect()
        await wire.send(raw + get())
        first = await wire.answer()
        assert first.body == b"abcde!"
        assert (await wire.answer()).body == b"!"


async def test_head_has_the_length_and_no_body() -> None:
    async with serving(lambda _: Response(200, b"12345")) as served:
        wire = await served.connect()
        await wire.send(b"HEAD / HTTP/1.1\r\n\r\n" + get())
        assert (await wire.answer(head_only=True)).headers[b"content-length"] == b"5"
        assert (await wire.answer()).body == b"12345"


async def test_expect_100_is_told_only_when_the_body_is_wanted() -> None:
    head = HEAD + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with serving(echo_body) as served:
        wire = await served.connect()
        await wire.send(head)
        assert (await wire.head()).status == 100
        await wire.send(b"abc")
        assert (await wire.answer()).body == b"abc"
    async with serving(lambda _: Response(413)) as served:
        wire = await served.connect()
        await wire.send(head)
        answer = await wire.answer()
        assert (answer.status, answer.headers[b"connection"]) == (413, b"close")


async def test_http_1_0_keeps_alive_only_when_asked() -> None:
    async with serving(echo) as served:
        wire = await served.connect()
        await wire.send(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await wire.answer()).headers[b"connection"] == b"keep-alive"
        await wire.send(b"GET /2 HTTP/1.0\r\n\r\n")
        assert (await wire.answer()).headers[b"connection"] == b"close"
        assert await wire.rest() == b""


async def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    async with serving(lambda _: Response(200, pieces())) as served:
        wire = await served.connect()
        await wire.send(b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await wire.head()
        assert head.headers[b"connection"] == b"close"
        assert await wire.rest() == b"abc"


async def test_a_raised_http_error_is_the_answer() -> None:
    async def app(request: Request) -> Response:
        raise HttpError(429, b"Too Many Requests")

    async with serving(app) as served:
        assert (await served.say(get())).reason == b"Too Many Requests"
        assert served.server.stats.failures == 0


async def test_a_unix_socket_and_two_listeners_on_one_port(tmp_path: Path) -> None:
    path = tmp_path / "s"
    one = Server(echo, HttpLimits(), SystemClock(), Recorded())
    two = Server(echo, HttpLimits(), SystemClock(), Recorded())
    await one.listen_unix(path)
    port = await one.listen("127.0.0.1", 0, shared=True)
    assert await two.listen("127.0.0.1", port, shared=True) == port
    wire = Wire(*await asyncio.open_unix_connection(str(path)))
    await wire.send(get(b"/u"))
    assert (await wire.answer()).body == b"GET /u -"
    await wire.abort()
    await one.drain(0)
    await two.drain(0)
