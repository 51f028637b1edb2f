"""Who answers what on the HTTP port."""

import asyncio
from pathlib import Path

import pytest

from kvgateway.http.naming import named_namespace
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.runtime.httpd import HttpLimits, Request, Response, Server
from tests.kvgateway.http.doors import HEADER, Door, opened, request
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.runtime.clocks import StillClock
from tests.runtime.wire import Recorded, Wire

SUFFIX = b".kv.example"


@pytest.mark.parametrize(
    ("target", "headers", "named"),
    [
        ("/k", {}, None),
        ("/k", {"host": "fake-host"}, None),
        ("/k?x=1", {"cf-kv-namespace-id": "id"}, ("id", "/k?x=1")),
        ("/k", {"cf-kv-namespace-id": ""}, ("", "/k")),
        ("/namespaces/a/k", {"cf-kv-namespace-id": "id"}, ("id", "/namespaces/a/k")),
        ("/k", {"host": "id.kv.example"}, ("id", "/k")),
        ("/k", {"host": "ID.KV.Example:8780"}, ("id", "/k")),
        ("/k", {"host": "id.kv.example:"}, ("id", "/k")),
        ("/k", {"host": "[::1]:8780"}, None),
        ("/k", {"host": "kv.example"}, None),
        ("/k", {"host": "id.kv.example.org"}, None),
        ("/k", {"host": "xkv.example"}, None),
        ("https://id.kv.example/k", {}, ("id", "https://id.kv.example/k")),
        ("https://x.kv.example/k", {"host": "y.kv.example"}, ("x", "https://x.kv.example/k")),
        ("/k", {"cf-kv-namespace-id": "id", "host": "x.kv.example"}, ("id", "/k")),
        ("/namespaces/id/k?x=1", {}, ("id", "/k?x=1")),
        ("/namespaces/id/a%2Fb", {}, ("id", "/a%2Fb?")),
        ("/namespaces/id/namespaces/x/y", {}, ("id", "/namespaces/x/y?")),
        ("/namespaces/id/", {}, ("id", "/?")),
        ("/namespaces/id?prefix=a", {}, ("id", "/?prefix=a")),
        ("/namespaces/", {}, ("", "/?")),
        ("/namespaces", {}, None),
        ("https://fake-host/namespaces/id/k", {}, ("id", "/k?")),
    ],
)
def test_the_namespace_of_a_request(
    target: str, headers: dict[str, str], named: tuple[str, str] | None
) -> None:
    lines = {name.encode(): value.encode() for name, value in headers.items()}
    found = named_namespace(Request(b"GET", target.encode(), lines), SUFFIX)
    assert found == (None if named is None else (named[0], named[1].encode()))


def test_without_a_suffix_no_host_is_a_namespace() -> None:
    sent = Request(b"GET", b"/k", {b"host": b"id.kv.example"})
    assert named_namespace(sent, b"") is None


async def test_every_way_to_name_a_namespace_reaches_the_same_keys(tmp_path: Path) -> None:
    async with opened(tmp_path, suffix="kv.example") as door:
        await door.put("k", b"v")
        host = f"{NAMESPACE}.kv.example"
        ways = [
            request("GET", "/k?urlencoded=true", HEADER),
            request("GET", "/k?urlencoded=true", f"Host: {host}".encode()),
            request("GET", f"http://{host}/k?urlencoded=true"),
            request("GET", f"/namespaces/{NAMESPACE}/k?urlencoded=true"),
        ]
        for way in ways:
            assert (await door.raw(way)).body == b"v", way


async def test_a_socket_of_a_namespace_serves_nothing_else(tmp_path: Path, sockets: Path) -> None:
    async with opened(tmp_path) as door:
        await door.put("k", b"v")
        await door.put("healthz", b"sick")
        server = Server(door.site, HttpLimits(), StillClock(), Recorded())
        path = sockets / f"{NAMESPACE}.sock"
        await server.listen_unix(path, door.site.of(NAMESPACE))
        wire = Wire(*await asyncio.open_unix_connection(str(path)))
        other = b"CF-KV-Namespace-ID: " + b"cd" * 16
        for target, body in (("/k", b"v"), ("/healthz", b"sick"), ("/client%2Fv4", b"")):
            await wire.send(request("GET", f"{target}?urlencoded=true", other))
            assert (await wire.answer()).body == body
        await wire.abort()
        await server.drain(0)


@pytest.mark.parametrize(
    "name", ["healthz", "readyz", "metrics", "status", "dashboard", "client/v4/accounts"]
)
async def test_a_key_may_have_the_name_of_a_page(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path, rest=lambda _: Response(418)) as door:
        await door.put(name, b"mine")
        assert (await door.get(name)).body == b"mine"


@pytest.mark.parametrize(
    ("namespace", "reason"),
    [
        ("cd" * 16, f"Namespace not found: {'cd' * 16}"),
        (SYSTEM_NAMESPACE, f"Namespace not found: {SYSTEM_NAMESPACE}"),
        ("x", "namespace: 'x' is not a namespace id, which has 32 lower-case hex digits"),
        ("", "namespace: '' is not a namespace id, which has 32 lower-case hex digits"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "LIST", "BULK"])
async def test_an_unknown_namespace_is_an_error_and_never_a_missing_key(
    tmp_path: Path, namespace: str, reason: str, method: str
) -> None:
    header = b"CF-KV-Namespace-ID: " + namespace.encode()
    async with opened(tmp_path) as door:
        match method:
            case "LIST":
                sent = request("GET", "/", header)
            case "BULK":
                sent = request("POST", "/bulk/get", header, body=b'{"keys":["k"]}')
            case _:
                sent = request(method, "/k?urlencoded=true", header)
        answer = await door.raw(sent)
        assert (answer.status, answer.reason.decode()) == (400, reason)


async def test_rest_is_handed_on_whole(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def rest(asked: Request) -> Response:
        seen.append(asked.target)
        return Response(200, b"rest")

    async with opened(tmp_path, rest=rest) as door:
        for target in ("/client/v4/accounts/a%2Fb?x=1", "/client/v4/"):
            assert (await door.raw(request("DELETE", target))).body == b"rest"
        assert (await door.raw(request("GET", "/client/v5/"))).status == 404
    assert seen == [b"/client/v4/accounts/a%2Fb?x=1", b"/client/v4/"]


async def test_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        assert (await _page(door, "/healthz")) == (200, b"alive\n")
        assert (await _page(door, "/healthz?x=1")) == (200, b"alive\n")
        assert (await _page(door, "/readyz")) == (200, b"ready\n")
        door.unready[0] = "stopping"
        assert (await _page(door, "/readyz")) == (503, b"stopping\n")
        assert (await _page(door, "/metrics"))[0] == 200
        for target in ("/", "/k?urlencoded=true", "/client/v4/accounts", "/healthz/", "*"):
            assert (await _page(door, target))[0] == 404
        answer = await door.raw(request("PUT", "/healthz", body=b"x"))
        assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


async def _page(door: Door, target: str) -> tuple[int, bytes]:
    answer = await door.raw(request("OPTIONS" if target == "*" else "GET", target))
    return answer.status, answer.body
