"""A value with its metadata in one form: whole, in pieces, and what cannot be stored."""

import json

import pytest

from kvgateway.access.body_room import BodyRoom
from tandem.core.limits import KIB
from tests.kvgateway.http.rest.api import FORM, ONE, Api, form, opened

_BYTES = bytes(range(256))


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
            [("value", b"a"), ("metadata", b"m" * 64 * KIB)],
            413,
            10024,
            "Metadata length of 65536 exceeds limit of 1024.",
        ),
        (
            [("value", b"a"), ("metadata", b"m" * (64 * KIB + 1))],
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
