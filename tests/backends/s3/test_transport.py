"""The transport against real sockets: a server that answers, dawdles and breaks off by script."""

import asyncio

import pytest

from tandem.backends.s3.exchange import (
    FailureKind,
    HttpReply,
    HttpRequest,
    Method,
)
from tandem.backends.s3.transport import PoolLimits
from tests.backends.s3.exchanges import (
    ANSWER,
    LARGE,
    LARGE_HEAD,
    OK,
    PLENTY_S,
    UNFRAMED,
    failure_of,
    get,
    put,
    transport_to,
)
from tests.backends.s3.scripted_server import (
    ClientGone,
    HangUp,
    Reset,
    Say,
    SayNoMore,
    Take,
    TakeHead,
    Until,
    scripted,
)


async def test_request_as_it_travels() -> None:
    async with scripted(ANSWER) as server, transport_to(server.port) as transport:
        reply = await transport.request(put(), deadline_s=PLENTY_S)
    assert reply == HttpReply(200, {"content-length": "2"}, b"ok")
    assert server.seen[0].head == (
        "PUT /b/k HTTP/1.1\r\nhost: x\r\nif-match: abc\r\n"
        "user-agent: tandem-kv\r\ncontent-length: 4\r\n\r\n"
    )
    assert server.seen[0].body == b"body"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_no_length_without_a_body(method: Method) -> None:
    head = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with scripted((Take(), Say(head))) as server, transport_to(server.port) as transport:
        assert (await transport.request(get(method), deadline_s=PLENTY_S)).status == 204
    assert "content-length" not in server.seen[0].head


@pytest.mark.parametrize("text", ["a\r\nx-evil: 1", "a\nb", "a\rb", "ä"])
async def test_header_that_would_break_out_is_refused(text: str) -> None:
    async with scripted() as server, transport_to(server.port) as transport:
        with pytest.raises(ValueError, match=r"line break|ascii"):
            transport.start(HttpRequest("GET", "/", {"x": text}), deadline_s=PLENTY_S)


async def test_connection_is_kept_and_reused() -> None:
    async with scripted(ANSWER * 3) as server, transport_to(server.port) as transport:
        for _ in range(3):
            assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"
    assert server.connections == 1


async def test_head_then_get_on_one_connection() -> None:
    script = (Take(), Say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), *ANSWER)
    async with scripted(script) as server, transport_to(server.port) as transport:
        assert (await transport.request(get("HEAD"), deadline_s=PLENTY_S)).body == b""
        assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
    assert server.connections == 1


async def test_connection_close_is_obeyed() -> None:
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    scripts = ((Take(), Say(last), ClientGone()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"
        await server.until_finished(0)
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"


async def test_idle_connection_is_not_used_beyond_its_time() -> None:
    limits = PoolLimits(idle_s=-1.0)
    scripts = ((*ANSWER, ClientGone()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port, limits) as transport:
        for _ in range(2):
            await transport.request(put(), deadline_s=PLENTY_S)
        await server.until_finished(0)
    assert server.connections == 2


async def test_25_mib_both_ways() -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode()
    async with (
        scripted((Take(), Say(head + LARGE), *ANSWER)) as server,
        transport_to(server.port) as transport,
    ):
        reply = await transport.request(put(LARGE), deadline_s=PLENTY_S)
        assert server.seen[0].body == LARGE
        assert reply.body == LARGE
        assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
    assert server.connections == 1


async def test_body_above_its_bound() -> None:
    limits = PoolLimits(body_bytes_max=1)
    script = (*ANSWER, ClientGone())
    async with scripted(script) as server, transport_to(server.port, limits) as transport:
        exchange = transport.start(put(), deadline_s=PLENTY_S)
        assert await failure_of(exchange) == (FailureKind.TOO_LARGE, True)
        await server.until_finished(0)


async def test_chunked_reply() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    script = (Take(), Say(chunked), *ANSWER)
    async with scripted(script) as server, transport_to(server.port) as transport:
        for _ in range(2):
            assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
    assert server.connections == 1


async def test_answer_that_ends_with_the_connection() -> None:
    script = (Take(), Say(UNFRAMED), HangUp())
    async with scripted(script) as server, transport_to(server.port) as transport:
        reply = await transport.request(put(), deadline_s=PLENTY_S)
    assert reply == HttpReply(503, {}, b"busy")


async def test_early_answer_to_a_large_put_ends_the_connection() -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    scripts = ((TakeHead(), Say(refusal), ClientGone()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        assert (await transport.request(put(LARGE), deadline_s=PLENTY_S)).status == 403
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"
        await server.until_finished(0)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((Take(), HangUp()), id="before the answer"),
        pytest.param((Take(), Reset()), id="reset before the answer"),
        pytest.param((Take(), Say(OK[:9]), HangUp()), id="in the head"),
        pytest.param((Take(), Say(OK[:-1]), HangUp()), id="in the body"),
        pytest.param((Take(), Say(OK[:-1]), Reset()), id="reset in the body"),
        pytest.param((Take(), Say(UNFRAMED), Reset()), id="reset after an answer without length"),
        pytest.param((HangUp(),), id="before the request"),
    ],
)
@pytest.mark.parametrize("request_", [put(), get()], ids=["PUT", "GET"])
async def test_connection_that_ends_early(
    script: tuple[Take | Say | HangUp | Reset, ...], request_: HttpRequest
) -> None:
    async with scripted(script) as server, transport_to(server.port) as transport:
        exchange = transport.start(request_, deadline_s=PLENTY_S)
        kind, sent = await failure_of(exchange)
    assert kind is FailureKind.RESET or (script == (HangUp(),) and kind is FailureKind.REFUSED)
    assert sent or kind is FailureKind.REFUSED
    assert server.connections == 1


async def test_server_that_stops_listening_ends_a_large_put() -> None:
    end = asyncio.Event()
    script = (TakeHead(), SayNoMore(), Until(end))
    async with scripted(script) as server, transport_to(server.port) as transport:
        exchange = transport.start(put(LARGE), deadline_s=PLENTY_S)
        assert await failure_of(exchange) == (FailureKind.RESET, True)
        end.set()


async def test_put_on_a_stale_connection_is_ambiguous_and_not_repeated() -> None:
    scripts = ((*ANSWER, Take(), HangUp()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(put(), deadline_s=PLENTY_S)
        stale = transport.start(put(b"second"), deadline_s=PLENTY_S)
        assert await failure_of(stale) == (FailureKind.RESET, True)
        await transport.request(put(b"third"), deadline_s=PLENTY_S)
    assert [seen.body for seen in server.seen] == [b"body", b"second", b"third"]


@pytest.mark.parametrize("end", [HangUp(), Reset()])
async def test_get_on_a_stale_connection_goes_once_more(end: HangUp | Reset) -> None:
    scripts = ((*ANSWER, Take(), end), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        for _ in range(2):
            assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
    assert [seen.connection for seen in server.seen] == [0, 0, 1]


async def test_stale_connection_discredits_all_that_idled_for_longer() -> None:
    may_answer = asyncio.Event()
    held = (Take(), Until(may_answer), Say(OK))
    scripts = ((*held, Take(), HangUp()), (*held, Take(), HangUp()), ANSWER * 3, ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        both = [transport.start(get(), deadline_s=PLENTY_S) for _ in range(2)]
        await server.until_seen(2)
        may_answer.set()
        await asyncio.gather(*(exchange.reply for exchange in both))
        assert (await transport.request(get(), deadline_s=PLENTY_S)).body == b"ok"
        writes = [transport.start(put(), deadline_s=PLENTY_S) for _ in range(2)]
        await asyncio.gather(*(exchange.reply for exchange in writes))
    assert {seen.connection for seen in server.seen[3:]} <= {2, 3}


async def test_get_is_not_repeated_twice() -> None:
    scripts = ((*ANSWER, Take(), HangUp()), (Take(), HangUp()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(get(), deadline_s=PLENTY_S)
        exchange = transport.start(get(), deadline_s=PLENTY_S)
        assert await failure_of(exchange) == (FailureKind.RESET, True)
    assert server.connections == 2


async def test_get_is_not_repeated_twice_over_a_used_connection() -> None:
    may_hang_up, may_answer = asyncio.Event(), asyncio.Event()
    first = (*ANSWER, Take(), Until(may_hang_up), HangUp())
    second = (Take(), Until(may_answer), Say(OK), Take(), HangUp())
    async with scripted(first, second) as server, transport_to(server.port) as transport:
        await transport.request(get(), deadline_s=PLENTY_S)
        exchange = transport.start(get(), deadline_s=PLENTY_S)
        other = transport.start(put(), deadline_s=PLENTY_S)
        await server.until_seen(3)
        server.stop_listening()
        may_hang_up.set()
        while not transport._waiting:
            await asyncio.sleep(0)
        may_answer.set()
        assert (await other.reply).body == b"ok"
        assert await failure_of(exchange) == (FailureKind.RESET, True)


async def test_get_is_not_repeated_once_the_answer_began() -> None:
    scripts = ((*ANSWER, Take(), Say(OK[:9]), HangUp()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(get(), deadline_s=PLENTY_S)
        exchange = transport.start(get(), deadline_s=PLENTY_S)
        assert await failure_of(exchange) == (FailureKind.RESET, True)
    assert server.connections == 1


async def test_connection_closed_while_idle_is_not_used() -> None:
    may_close = asyncio.Event()
    scripts = ((*ANSWER, Until(may_close), HangUp()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(put(), deadline_s=PLENTY_S)
        may_close.set()
        await server.until_finished(0)
        while transport._open:
            await asyncio.sleep(0)
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"


async def test_bytes_nobody_asked_for_end_an_idle_connection() -> None:
    may_speak = asyncio.Event()
    scripts = ((*ANSWER, Until(may_speak), Say(OK), ClientGone()), ANSWER)
    async with scripted(*scripts) as server, transport_to(server.port) as transport:
        await transport.request(put(), deadline_s=PLENTY_S)
        may_speak.set()
        await server.until_finished(0)
        assert (await transport.request(put(), deadline_s=PLENTY_S)).body == b"ok"


async def test_large_body_is_cut_when_headers_suffice() -> None:
    script = (Take(), Say(LARGE_HEAD + b"beginning"), ClientGone())
    async with scripted(script) as server, transport_to(server.port) as transport:
        reply = await transport.request(get(), deadline_s=PLENTY_S, needed=lambda: False)
        await server.until_finished(0)
    assert (reply.status, reply.headers["etag"], reply.body, reply.cut) == (200, "e", b"", True)


async def test_large_body_is_cut_on_its_way() -> None:
    asked, may_go_on = asyncio.Event(), asyncio.Event()
    script = (Take(), Say(LARGE_HEAD + b"beginning"), Until(may_go_on), Say(b"more"), ClientGone())

    def needed() -> bool:
        asked.set()
        return not may_go_on.is_set()

    async with scripted(script) as server, transport_to(server.port) as transport:
        exchange = transport.start(get(), deadline_s=PLENTY_S, needed=needed)
        await asked.wait()
        assert not exchange.reply.done()
        may_go_on.set()
        assert (await exchange.reply).cut
        await server.until_finished(0)


async def test_small_body_is_read_even_when_headers_suffice() -> None:
    async with scripted(ANSWER * 2) as server, transport_to(server.port) as transport:
        for _ in range(2):
            reply = await transport.request(get(), deadline_s=PLENTY_S, needed=lambda: False)
            assert (reply.body, reply.cut) == (b"ok", False)
    assert server.connections == 1


async def test_small_rest_is_awaited_when_headers_suffice() -> None:
    may_go_on = asyncio.Event()
    script = (Take(), Say(OK[:-1]), Until(may_go_on), Say(OK[-1:]))
    async with scripted(script) as server, transport_to(server.port) as transport:
        exchange = transport.start(get(), deadline_s=PLENTY_S, needed=lambda: False)
        await server.until_seen(1)
        for _ in range(100):  # turns enough for the head to arrive: it must not end the exchange
            await asyncio.sleep(0)
        may_go_on.set()
        assert await exchange.reply == HttpReply(200, {"content-length": "2"}, b"ok")
