"""The HTTP server with TLS."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from tandem.runtime.clock import SystemClock
from tandem.runtime.httpd import App, HttpLimits, Request, Response, Server
from tandem.runtime.tls import ServerTls, TlsFiles
from tests.runtime.wire import Recorded, Wire, echo_body, echo_landed, put
from tests.servers.certificates import Authority

WITHIN_S = 60.0
LARGE = bytes(range(256)) * 4096 * 4


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Door:
    """A server with TLS."""

    def __init__(self, tls: ServerTls, port: int, server: Server, faults: list[object]) -> None:
        self.tls = tls
        self.port = port
        self.server = server
        self.faults = faults
        """What reached the loop's exception handler."""

    def get(self, files: TlsFiles, body: bytes = b"hello") -> bytes:
        """What a client of the standard library gets back; blocking."""
        connection = HTTPSConnection("localhost", self.port, context=trusting(files))
        try:
            connection.request("POST", "/", body)
            return connection.getresponse().read()
        finally:
            connection.close()

    async def said(self, files: TlsFiles, body: bytes = b"hello") -> bytes:
        return await asyncio.to_thread(self.get, files, body)

    async def shown(self, files: TlsFiles) -> str:
        """The serial of the certificate that a new connection is shown."""
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trusting(files))
        serial = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return str(serial).lstrip("0")


def trusting(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files.ca)
    if files.certificate:
        context.load_cert_chain(files.certificate, files.key)
    return context


@asynccontextmanager
async def open_door(
    files: TlsFiles, limits: HttpLimits | None = None, app: App = echo_body
) -> AsyncIterator[Door]:
    limits = limits or HttpLimits()
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    tls = ServerTls(files, SystemClock())
    server = Server(app, limits, SystemClock(), Recorded())
    port = await server.listen("127.0.0.1", 0, tls=tls.http())
    try:
        yield Door(tls, port, server, faults)
    finally:
        await server.drain(0.0)
        await asyncio.sleep(0)
        assert not faults


def asks_nobody(files: TlsFiles) -> TlsFiles:
    return replace(files, ca="")


@pytest.mark.parametrize("body", [b"hello", LARGE], ids=["small", "large"])
async def test_bodies_come_and_go(authority: Authority, body: bytes) -> None:
    files = authority.files()
    async with open_door(asks_nobody(files)) as door:
        assert await door.said(TlsFiles(files.ca), body) == body


async def test_bodies_land_in_their_place(authority: Authority) -> None:
    files = authority.files()
    async with open_door(asks_nobody(files), app=echo_landed) as door:
        reader, writer = await asyncio.open_connection(
            "localhost", door.port, ssl=trusting(TlsFiles(files.ca))
        )
        wire = Wire(reader, writer)
        sending = asyncio.ensure_future(wire.send(put(LARGE) + put(b"next") + put(LARGE)))
        for sent in (LARGE, b"next", LARGE):
            assert (await wire.answer()).body == sent
        await sending
        await wire.abort()
    assert not door.faults


async def test_who_does_not_trust_the_authority_is_told_nothing(authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    async with open_door(asks_nobody(authority.files())) as door:
        with pytest.raises(ssl.SSLCertVerificationError):
            await door.said(TlsFiles(str(stranger.file)))


async def test_with_authorities_of_clients_only_those_come_in(authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    async with open_door(authority.files()) as door:
        assert await door.said(authority.files("friend")) == b"hello"
        strange = replace(stranger.files("strange"), ca=str(authority.file))
        for refused in (TlsFiles(str(authority.file)), strange):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await door.said(refused)
        assert not door.server.stats.requests - 1


async def test_plain_text_is_cut_off(authority: Authority) -> None:
    async with open_door(asks_nobody(authority.files())) as door:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", door.port))
        await wire.send(b"GET / HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n")
        assert b"HTTP" not in await wire.rest()
        await wire.abort()


async def test_versions_before_1_2_are_refused(authority: Authority) -> None:
    files = authority.files()
    async with open_door(asks_nobody(files)) as door:
        old = trusting(TlsFiles(files.ca))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", door.port, ssl=old)
        new = trusting(TlsFiles(files.ca))
        _, writer = await asyncio.open_connection("localhost", door.port, ssl=new)
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() is None
        writer.close()


async def test_http_1_1_is_what_is_spoken(authority: Authority) -> None:
    files = authority.files()
    async with open_door(asks_nobody(files)) as door:
        context = trusting(TlsFiles(files.ca))
        context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("localhost", door.port, ssl=context)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()


async def test_a_new_pair_is_shown_to_new_connections_and_old_ones_go_on(
    authority: Authority,
) -> None:
    files = authority.files()
    async with open_door(asks_nobody(files)) as door:
        trusted = TlsFiles(files.ca)
        wire = Wire(*await asyncio.open_connection("localhost", door.port, ssl=trusting(trusted)))
        pair = authority.pair()
        pair.write(authority.directory)
        door.tls._watched.look()
        assert await door.shown(trusted) == pair.serial
        assert door.tls.in_use().certificate.serial == pair.serial
        await wire.send(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nold")
        assert (await wire.answer()).body == b"old"
        await wire.abort()


async def test_authorities_of_clients_may_be_replaced(authority: Authority) -> None:
    files = authority.files()
    successor = Authority(authority.directory, "successor")
    client_ca = authority.directory / "clients.crt"
    client_ca.write_bytes(authority.file.read_bytes())
    async with open_door(replace(files, ca=str(client_ca))) as door:
        old = authority.files("old")
        new = replace(successor.files("new"), ca=str(authority.file))
        assert await door.said(old) == b"hello"
        client_ca.write_bytes(successor.file.read_bytes())
        door.tls._watched.look()
        assert await door.said(new) == b"hello"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await door.said(old)


async def test_handshakes_that_go_on_for_too_long_are_cut_off(authority: Authority) -> None:
    limits = HttpLimits(handshake_timeout_s=0.2)
    async with open_door(asks_nobody(authority.files()), limits) as door:
        for begun in (b"", b"\x16\x03\x01"):
            wire = Wire(*await asyncio.open_connection("127.0.0.1", door.port))
            await wire.send(begun)
            await asyncio.wait_for(wire.rest(), WITHIN_S)
            await wire.abort()


async def test_handshakes_count_as_connections(authority: Authority) -> None:
    """Above the bound nobody comes in; one that ends leaves its place at once."""
    files = authority.files()
    async with open_door(asks_nobody(files), HttpLimits(connections_max=3)) as door:
        trusted = TlsFiles(files.ca)
        idle = [Wire(*await asyncio.open_connection("127.0.0.1", door.port)) for _ in range(3)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await door.said(trusted)
        for wire in idle:
            await wire.abort()
        assert await _until_said(door, trusted) == b"hello"
        assert door.server.stats.handshakes_failed == len(idle)
        assert door.server.stats.connections_refused > 0


@pytest.mark.parametrize("connections_max", [1, 2])
async def test_the_last_place_is_as_good_as_any(authority: Authority, connections_max: int) -> None:
    """A connection takes the place of its handshake."""
    files = authority.files()
    limits = HttpLimits(connections_max=connections_max)
    async with open_door(asks_nobody(files), limits) as door:
        for _ in range(3):
            assert await _until_said(door, TlsFiles(files.ca)) == b"hello"
        assert door.server.stats.requests == 3
        assert door.server.stats.handshakes_failed == 0


async def test_many_handshakes_at_once(authority: Authority) -> None:
    """No byte of one is lost, however soon it comes."""
    files = authority.files()
    context = trusting(TlsFiles(files.ca))
    async with open_door(asks_nobody(files)) as door:

        async def said(at: int) -> bytes:
            wire = Wire(*await asyncio.open_connection("localhost", door.port, ssl=context))
            body = str(at).encode()
            await wire.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            answer = await wire.answer()
            await wire.abort()
            return answer.body

        assert await asyncio.gather(*map(said, range(64))) == [b"%d" % at for at in range(64)]


async def test_draining_waits_for_no_handshake(authority: Authority) -> None:
    async with open_door(asks_nobody(authority.files())) as door:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", door.port))
        async with asyncio.timeout(WITHIN_S):
            while not door.server.open_connections:
                await asyncio.sleep(0.01)
            assert await door.server.drain(WITHIN_S * 2) == 0
        assert await wire.rest() == b""
        await wire.abort()


async def _until_said(door: Door, files: TlsFiles) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await door.said(files)
            except (ssl.SSLError, ConnectionError):
                await asyncio.sleep(0.02)


async def test_an_early_end_of_the_client_ends_the_connection(authority: Authority) -> None:
    """TLS has no half-closed connections: the server says nothing to the loop's log."""
    begun = asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await asyncio.sleep(WITHIN_S)
        return Response(200)

    files = authority.files()
    tls = ServerTls(asks_nobody(files), SystemClock())
    server = Server(slow, HttpLimits(), SystemClock(), Recorded())
    port = await server.listen("127.0.0.1", 0, tls=tls.http())
    context = trusting(TlsFiles(files.ca))
    wire = Wire(*await asyncio.open_connection("localhost", port, ssl=context))
    await wire.send(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.wait_for(begun.wait(), WITHIN_S)
    wire.close()
    assert await asyncio.wait_for(wire.rest(), WITHIN_S) == b""
    await server.drain(0.0)
