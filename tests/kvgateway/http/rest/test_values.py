"""Values by their keys: every key, every limit, and the version that a write answers."""

from urllib.parse import quote

import pytest

from kvgateway.access.body_room import BodyRoom
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.request import ReadResult
from tandem.runtime.httpd import HttpLimits
from tests.kvgateway.http.rest.api import FORM, ONE, Api, failure_in, form, opened

_BYTES = bytes(range(256))


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (b"Content-Type: text/plain;charset=UTF-8",),
        (b"Content-Type: application/octet-stream",),
        (b"Content-Type: application/json",),
        (b"Content-Type: application/x-www-form-urlencoded",),
        (b"Content-Type: multipart/mixed; boundary=cut",),
        (b"Content-Type: ;;",),
    ],
)
@pytest.mark.parametrize("value", [b"", b"v", _BYTES, b'{"metadata":{"a":1},"value":"x"}'])
async def test_a_bare_body_is_the_value_whatever_its_type(
    api: Api, value: bytes, headers: tuple[bytes, ...]
) -> None:
    assert (await api.done("PUT", ONE + "/values/k", value, *headers))["result"] == {}
    answer = await api.ask("GET", ONE + "/values/k")
    assert (answer.status, answer.body) == (200, value)
    assert answer.headers[b"content-type"] == b"application/octet-stream"
    assert b"expiration" not in answer.headers
    assert (await api.done("GET", ONE + "/metadata/k"))["result"] is None


@pytest.mark.parametrize("kind", [b"Content-Type: text/plain", FORM])
async def test_a_body_that_breaks_off_stores_nothing(api: Api, kind: bytes) -> None:
    wire = await api.served.connect()
    head = b"PUT %b HTTP/1.1\r\nContent-Length: 999\r\n%b\r\n\r\n--cut\r\n"
    await wire.send(head % ((ONE + "/values/k").encode(), kind))
    wire.half_close()
    assert failure_in(await wire.answer())[:2] == (400, 10012)
    assert not api.stored()


async def test_a_body_that_does_not_come_is_the_clients_to_send_again() -> None:
    async with opened(limits=HttpLimits(body_idle_s=0.05)) as api:
        wire = await api.served.connect()
        await wire.send(b"PUT %b/values/k HTTP/1.1\r\nContent-Length: 9\r\n\r\nv" % ONE.encode())
        assert failure_in(await wire.answer()) == (408, 10001, "put: 'Request Timeout'")
        assert not api.stored()


@pytest.mark.parametrize("as_form", [False, True])
async def test_the_largest_value_and_one_byte_more(api: Api, as_form: bool) -> None:
    value = b"v" * VALUE_BYTES_MAX
    headers = (FORM,) if as_form else ()
    body = form(("value", value)) if as_form else value
    await api.done("PUT", ONE + "/values/k", body, *headers)
    assert (await api.ask("GET", ONE + "/values/k")).body == value
    body = form(("value", value + b"v")) if as_form else value + b"v"
    status, code, message = await api.refused("PUT", ONE + "/values/large", body, *headers)
    assert (status, code) == (413, 10024)
    assert message == "put: 'Value length of 26214401 exceeds limit of 26214400.'"
    assert list(api.stored()) == ["k"]


async def test_bodies_beyond_what_the_process_holds_are_refused_for_now() -> None:
    async with opened(room=BodyRoom(1 * MIB)) as api:
        for body, headers in ((b"v" * (2 * MIB), ()), (form(("value", b"v" * (2 * MIB))), (FORM,))):
            answer = await api.ask("PUT", ONE + "/values/k", body, *headers)
            assert failure_in(answer)[:2] == (503, 10001)
            assert answer.headers[b"retry-after"] == b"1"
        await api.put("k", b"v" * MIB)


async def test_a_form_takes_the_room_of_what_it_has() -> None:
    async with opened(room=BodyRoom(5 * MIB // 2)) as api:
        await api.done("PUT", ONE + "/values/k", form(("value", b"v" * 2 * MIB)), FORM)


_NAMES = [
    "a",
    "a/b",
    "/",
    "//a//",
    "a b",
    "a+b",
    "a?b=c",
    "a#b",
    "100%",
    "%2F",
    "%zz",
    "ключ",
    "🤓",
    "e\u0301",
    "\u00e9",
    "a\x00b",
    "a\nb\r",
    "\x7f\x80\u2028",
    "...",
    "./a",
    "bulk/get",
    "k" * 512,
    "é" * 256,
    "!$&'()*+,;=:@",
    "keys",
    "?",
]


@pytest.mark.parametrize("name", _NAMES, ids=lambda name: repr(name)[:20])
@pytest.mark.parametrize("safe", ["", "!$&'()*+,;=:@", "/"], ids=["wrangler", "SDK 5", "slashes"])
async def test_keys_that_clients_encode(api: Api, name: str, safe: str) -> None:
    key = quote(name, safe=safe)
    await api.done("PUT", f"{ONE}/values/{key}", b"v")
    assert list(api.stored()) == [name]
    assert (await api.ask("GET", f"{ONE}/values/{key}")).body == b"v"
    assert (await api.done("GET", f"{ONE}/metadata/{key}"))["result"] is None
    await api.done("DELETE", f"{ONE}/values/{key}")
    assert not api.stored()


@pytest.mark.parametrize(
    ("sent", "name"),
    [("a/b", "a/b"), ("a?b", "a"), ("100%", "100%"), ("a%2Fb", "a/b"), ("%25", "%"), ("a/", "a/")],
)
async def test_keys_that_sdk_4_does_not_encode(api: Api, sent: str, name: str) -> None:
    await api.done("PUT", f"{ONE}/values/{sent}", b"v")
    assert list(api.stored()) == [name]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("key", "status", "message"),
    [
        ("", 400, "Key names must not be empty"),
        (".", 400, 'Illegal key name ".". Please use a different name.'),
        ("%2E%2e", 400, 'Illegal key name "..". Please use a different name.'),
        ("k" * 513, 414, "UTF-8 encoded length of 513 exceeds key length limit of 512."),
        ("%C3%A9" * 257, 414, "UTF-8 encoded length of 514 exceeds key length limit of 512."),
        ("%ED%A0%80", 400, "Could not URL-decode key name"),
        ("%FF", 400, "Could not URL-decode key name"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_keys_that_cannot_be(
    api: Api, method: str, key: str, status: int, message: str
) -> None:
    operation = method.lower()
    refused = await api.refused(method, f"{ONE}/values/{key}", b"v" if method == "PUT" else b"")
    assert refused == (status, 10012, f"{operation}: '{message}'")
    assert api.store.calls == 0


async def test_an_overwrite_drops_metadata_and_expiration(api: Api) -> None:
    body = form(("value", b"v"), ("metadata", b"[1]"))
    await api.done("PUT", ONE + "/values/k?expiration_ttl=60", body, FORM)
    await api.put("k", b"w")
    record = api.record("k")
    assert (record.value, record.metadata, record.expires_at_s) == (b"w", b"", 0)


async def test_a_key_that_is_not_there(api: Api) -> None:
    assert await api.refused("GET", ONE + "/values/k") == (404, 10009, "get: 'key not found'")
    refused = await api.refused("GET", ONE + "/metadata/k")
    assert refused == (404, 10009, "get metadata: 'key not found'")
    assert (await api.done("DELETE", ONE + "/values/k"))["result"] == {}


async def test_a_write_answers_the_version_that_a_read_may_demand(api: Api) -> None:
    written = (await api.ask("PUT", ONE + "/values/k", b"v")).headers[b"tandem-version"]
    assert written.decode() == api.record("k").version.hex()
    demand = b"Tandem-Min-Version: " + written
    for place in ("values", "metadata"):
        answer = await api.ask("GET", f"{ONE}/{place}/k", b"", demand)
        assert (answer.status, answer.headers[b"tandem-version"]) == (200, written)
    deleted = (await api.ask("DELETE", ONE + "/values/other")).headers[b"tandem-version"]
    assert deleted > written
    newer = b"Tandem-Min-Version: " + deleted
    status, code, message = await api.refused("GET", ONE + "/values/k", b"", newer)
    assert (status, code) == (503, 10001)
    assert "no home has version" in message
    above = await api.ask("PUT", ONE + "/values/k", b"v", b"Tandem-Min-Version: " + b"7f" * 16)
    assert above.headers[b"tandem-version"] > b"7f" * 16


@pytest.mark.parametrize("version", [b"", b"1", b"zz" * 16, b"ab" * 15, b"\xe9"])
async def test_a_version_that_no_write_answered(api: Api, version: bytes) -> None:
    demand = b"Tandem-Min-Version: " + version
    for method in ("GET", "PUT", "DELETE"):
        status, code, _ = await api.refused(method, ONE + "/values/k", b"", demand)
        assert (status, code) == ((400, 10012) if version else (404, 10009))
        if not version:
            break


async def test_an_answer_says_when_it_may_lack_the_latest(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.put("k")
    record = api.record("k")
    monkeypatch.setattr(api.store, "read", lambda _: [ReadResult(record, stale=True)])
    assert (await api.ask("GET", ONE + "/values/k")).headers[b"tandem-stale"] == b"1"
    monkeypatch.setattr(api.store, "read", lambda _: [ReadResult(None, unconfirmed=True)])
    answer = await api.ask("GET", ONE + "/values/k")
    assert (answer.status, answer.headers[b"tandem-unconfirmed"]) == (404, b"1")
