"""Values and their metadata: every way to send one, every key, every limit."""

import asyncio
import json
from urllib.parse import quote

import pytest

from kvgateway.access.body_room import BodyRoom
from tandem.core.limits import KIB, MIB, VALUE_BYTES_MAX
from tandem.core.request import ReadResult
from tests.kvgateway.http.rest.api import FORM, NOW_S, ONE, Api, failure_in, form, opened, request

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


@pytest.mark.parametrize("file", [False, True])
@pytest.mark.parametrize("value", [b"", b"plain", _BYTES, b"\r\n--cu\r\n--", b"x" * 200_000])
async def test_a_form_brings_value_and_metadata_in_any_order(
    api: Api, value: bytes, file: bool
) -> None:
    parts = [("value", value), ("metadata", b'{"a": [1.50, null]}')]
    for order in (parts, parts[::-1], [("other", b"x"), *parts]):
        await api.done("PUT", ONE + "/values/k", form(*order, file=file), FORM)
        assert (await api.ask("GET", ONE + "/values/k")).body == value
        answer = await api.ask("GET", ONE + "/metadata/k")
        assert b'"result":{"a": [1.50, null]}' in answer.body
        await api.done("DELETE", ONE + "/values/k")


@pytest.mark.parametrize("metadata", [None, b"", b"null"])
async def test_a_form_without_metadata(api: Api, metadata: bytes | None) -> None:
    parts = [("value", b"v")] if metadata is None else [("value", b"v"), ("metadata", metadata)]
    await api.done("PUT", ONE + "/values/k", form(*parts), FORM)
    assert api.record("k").metadata == b""


@pytest.mark.parametrize("metadata", [b"false", b"0", b'""', b'"\xc3\xa9"', b"[]", b' {"a":1} '])
async def test_metadata_is_any_json(api: Api, metadata: bytes) -> None:
    await api.done("PUT", ONE + "/values/k", form(("metadata", metadata), ("value", b"v")), FORM)
    envelope = await api.done("GET", ONE + "/metadata/k")
    assert envelope["result"] == json.loads(metadata)


@pytest.mark.parametrize(
    ("parts", "status", "code", "message"),
    [
        ([("metadata", b"{}")], 400, 10047, "the form has no part named value"),
        ([], 400, 10047, "the form has no part named value"),
        ([("value", b"a"), ("value", b"b")], 400, 10012, "part 'value' is given twice"),
        ([("value", b"a"), ("metadata", b"str")], 400, 10012, "metadata: is not valid JSON"),
        ([("value", b"a"), ("metadata", b"NaN")], 400, 10012, "metadata: is not valid JSON"),
        ([("value", b"a"), ("metadata", b'"\xff"')], 400, 10012, "metadata: is not valid JSON"),
        (
            [("value", b"a"), ("metadata", b'"' + b"m" * 1023 + b'"')],
            413,
            10024,
            "Metadata length of 1025 exceeds limit of 1024.",
        ),
        (
            [("value", b"a"), ("metadata", b'"' + b"m" * 70_000 + b'"')],
            413,
            10024,
            "part 'metadata' is larger than 65536 bytes",
        ),
        (
            [(str(n), b"") for n in range(9)],
            400,
            10012,
            "the form is broken: Maximum segment count exceeded",
        ),
    ],
    ids=lambda value: str(value)[-30:],
)
async def test_forms_that_cannot_be_stored(
    api: Api, parts: list[tuple[str, bytes]], status: int, code: int, message: str
) -> None:
    await api.put("k", b"before")
    refused = await api.refused("PUT", ONE + "/values/k", form(*parts), FORM)
    assert refused[:2] == (status, code)
    assert refused[2].startswith(f"put: '{message}")
    assert api.record("k").value == b"before"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        b"--cut",
        b"--cut--",
        b"--cut\r\n",
        b"--cut\nContent-Disposition: form-data; name=value\n\nv\n--cut--\n",
        b'--cut\r\nContent-Disposition: form-data; name="value"\r\n\r\nv\r\n',
        b'--cut\r\nContent-Disposition: form-data; name="value"\r\n\r\nv\r\n--cut',
        b"--cut\r\nContent-Disposition: attachment; name=value\r\n\r\nv\r\n--cut--\r\n",
        b"--cut\r\n\r\nv\r\n--cut--\r\n",
        b"--cut\r\n" + b"X: y\r\n" * 20 + b"\r\nv\r\n--cut--\r\n",
        b"--cut\r\nContent-Disposition: form-data; name="
        + b"v" * 9000
        + b"\r\n\r\n\r\n--cut--\r\n",
        b"--cut\r\nContent-Disposition: form-data; name=\xff\r\n\r\nv\r\n--cut--\r\n",
        form(("value", b"v")).replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n"),
        b"x" * 100_000,
    ],
    ids=lambda body: repr(body)[:40],
)
async def test_a_broken_form_stores_nothing(api: Api, body: bytes) -> None:
    status, code, _ = await api.refused("PUT", ONE + "/values/k", body, FORM)
    assert (status, code) in ((400, 10012), (400, 10047))
    assert not api.stored()


@pytest.mark.parametrize("kind", [b"multipart/form-data", b'multipart/form-data; boundary=""'])
async def test_a_form_without_a_boundary(api: Api, kind: bytes) -> None:
    refused = await api.refused("PUT", ONE + "/values/k", b"v", b"Content-Type: " + kind)
    assert refused == (400, 10012, "put: 'multipart/form-data without a boundary'")


async def test_a_form_that_arrives_byte_by_byte(api: Api) -> None:
    body = form(("metadata", b"[1]"), ("value", b"\r\n--cu \r\n"))
    wire = await api.served.connect()
    head = b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%b\r\n\r\n"
    await wire.send(head % ((ONE + "/values/k").encode(), FORM))
    for byte in body:
        await wire.send(b"1\r\n%c\r\n" % byte)
    await wire.send(b"0\r\n\r\n")
    assert (await wire.answer()).status == 200
    assert (api.record("k").value, api.record("k").metadata) == (b"\r\n--cu \r\n", b"[1]")


@pytest.mark.parametrize("kind", [b"Content-Type: text/plain", FORM])
async def test_a_body_that_breaks_off_stores_nothing(api: Api, kind: bytes) -> None:
    wire = await api.served.connect()
    head = b"PUT %b HTTP/1.1\r\nContent-Length: 999\r\n%b\r\n\r\n--cut\r\n"
    await wire.send(head % ((ONE + "/values/k").encode(), kind))
    wire.half_close()
    assert failure_in(await wire.answer())[:2] == (400, 10012)
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


_NOT_POSITIVE = "Invalid expiration_ttl of {}. Please specify integer greater than 0."
_NEAR = "Invalid expiration of {}. Expiration times must be at least 60 seconds in the future."
_NOT_FUTURE = (
    "Invalid expiration of {}. Please specify integer greater than the current number of seconds"
    " since the UNIX epoch."
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("expiration_ttl=59", "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."),
        ("expiration_ttl=1", "Invalid expiration_ttl of 1. Expiration TTL must be at least 60."),
        ("expiration_ttl=0", _NOT_POSITIVE.format(0)),
        ("expiration_ttl=-5", _NOT_POSITIVE.format(-5)),
        ("expiration_ttl=abc", _NOT_POSITIVE.format("abc")),
        ("expiration_ttl=", _NOT_POSITIVE.format("")),
        ("expiration_ttl=60.5", _NOT_POSITIVE.format("60.5")),
        ("expiration_ttl=NaN", _NOT_POSITIVE.format("NaN")),
        (f"expiration_ttl=abc&expiration={NOW_S + 99}", _NOT_POSITIVE.format("abc")),
        (f"expiration={NOW_S}", _NOT_FUTURE.format(NOW_S)),
        ("expiration=0", _NOT_FUTURE.format(0)),
        ("expiration=-1", _NOT_FUTURE.format(-1)),
        ("expiration=soon", _NOT_FUTURE.format("soon")),
        (
            f"expiration={NOW_S + 59}",
            _NEAR.format(NOW_S + 59),
        ),
        (f"expiration={NOW_S * 1000}", "expiration: 1700000000000 is not a time in seconds"),
        (f"expiration_ttl={2**41}", f"expiration_ttl: {NOW_S + 2**41} is not a time in seconds"),
    ],
)
async def test_expirations_that_cannot_be(api: Api, query: str, message: str) -> None:
    refused = await api.refused("PUT", f"{ONE}/values/k?{query}", b"v")
    assert refused == (400, 10012, f"put: '{message}'")
    assert api.store.calls == 0


@pytest.mark.parametrize(
    ("query", "expires_at_s"),
    [
        ("expiration_ttl=60", NOW_S + 60),
        ("expiration_ttl=60.0", NOW_S + 60),
        (f"expiration_ttl={2**31}", NOW_S + 2**31),
        (f"expiration={NOW_S + 60}", NOW_S + 60),
        (f"expiration={NOW_S + 60}.", NOW_S + 60),
        (f"expiration={NOW_S + 3600}&expiration_ttl=60", NOW_S + 60),
        ("expiration=1&expiration_ttl=60", NOW_S + 60),
        ("expiration=bad&expiration_ttl=60", NOW_S + 60),
        ("", 0),
    ],
)
async def test_expirations(api: Api, query: str, expires_at_s: int) -> None:
    await api.put("k", b"v", f"?{query}")
    assert api.record("k").expires_at_s == expires_at_s
    answer = await api.ask("GET", ONE + "/values/k")
    assert answer.headers.get(b"expiration", b"0") == b"%d" % expires_at_s


async def test_an_expiration_that_came_too_near_while_the_body_arrived(api: Api) -> None:
    api.clock.advance(0.99)
    head = request("PUT", f"{ONE}/values/k?expiration={NOW_S + 60}", bytes(MIB))
    wire = await api.served.connect()
    await wire.send(head[:-1])
    async with asyncio.timeout(60):
        while not api.store.admitted:
            await asyncio.sleep(0.001)
    api.clock.advance(0.01)
    await wire.send(head[-1:])
    status, code, text = failure_in(await wire.answer())
    assert (status, code) == (400, 10012)
    assert _NEAR.format(NOW_S + 60) in text
    assert not api.stored()
    wire.close()


async def test_the_other_parts_of_a_form_take_room_too() -> None:
    side = bytes(60 * KIB)
    async with opened(room=BodyRoom(0)) as api:
        one, two = (
            form(("value", b"v"), *parts) for parts in ((("a", side),), (("a", side), ("b", side)))
        )
        await api.done("PUT", f"{ONE}/values/k", one, FORM)
        status, *_ = await api.refused("PUT", f"{ONE}/values/k2", two, FORM)
        assert status == 503
        assert list(api.stored()) == ["k"]


async def test_what_has_expired_is_gone_in_that_second(api: Api) -> None:
    await api.put("k", b"v", "?expiration_ttl=60")
    api.clock.advance(59.9)
    assert (await api.ask("GET", ONE + "/values/k")).status == 200
    api.clock.advance(0.1)
    for place, operation in (("values", "get"), ("metadata", "get metadata")):
        refused = await api.refused("GET", f"{ONE}/{place}/k")
        assert refused == (404, 10009, f"{operation}: 'key not found'")


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
