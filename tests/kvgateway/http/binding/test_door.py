"""Get, put, delete and list through the door, as workerd speaks and listens."""

import asyncio
import json

import pytest

from tandem.core.request import ReadResult
from tandem.core.version import Version
from tandem.errors import (
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    Unavailable,
)
from tandem.runtime.done import done
from tests.kvgateway.http.doors import HEADER, NOW_S, Door, request
from tests.kvgateway.rpc.memory_store import NAMESPACE

STORED = b"\x1f\x8b\x08\x00 gzip, or so it seems \x00\xff"
METADATA = '{"a":1,"u":"🤓é\\n","del":"\x7f","sep":"\u2028","c1":"\x85"}'.encode()


async def test_a_value_comes_back_as_it_was_put(door: Door) -> None:
    put = await door.ask(
        "PUT",
        f"/a%2Fb?urlencoded=true&expiration={NOW_S + 99}",
        b"Content-Type: text/plain;charset=UTF-8",
        b"Content-Encoding: gzip",
        b"CF-KV-Metadata: " + METADATA,
        b"CF-KV-FLPROD-405: https://fake-host/a%2Fb?urlencoded=true",
        body=STORED,
    )
    assert (put.status, put.body) == (200, b"")
    got = await door.ask("GET", "/a%2Fb?urlencoded=true")
    assert (got.status, got.body) == (200, STORED)
    assert got.headers[b"cf-kv-metadata"] == METADATA
    assert got.headers[b"cf-expiration"] == b"%d" % (NOW_S + 99)
    assert got.headers[b"tandem-version"] == put.headers[b"tandem-version"]
    assert got.headers[b"content-type"] == b"application/octet-stream"
    assert b"content-encoding" not in got.headers


async def test_an_overwrite_drops_metadata_and_expiration(door: Door) -> None:
    await door.ask("PUT", "/k?urlencoded=true&expiration_ttl=60", b"CF-KV-Metadata: 1", body=b"a")
    await door.put("k", b"b")
    got = await door.get("k")
    assert (got.body, got.headers.keys() & {b"cf-kv-metadata", b"cf-expiration"}) == (b"b", set())


async def test_metadata_on_several_lines_is_sent_on_one(door: Door) -> None:
    await door.put("k", b"v", b'CF-KV-Metadata: {"a":[1,2]}')
    key, record = next(iter(door.store.records.items()))
    door.store.records[key] = record._replace(metadata=b'{\r\n  "a": "b c",\n"d":1}\n', digest=b"x")
    got = await door.get("k")
    assert json.loads(got.headers[b"cf-kv-metadata"]) == {"a": "b c", "d": 1}


@pytest.mark.parametrize("header", [b"CF-KV-Metadata:", b"CF-KV-Metadata:  \t"])
async def test_empty_metadata_is_none(door: Door, header: bytes) -> None:
    await door.put("k", b"v", header)
    assert b"cf-kv-metadata" not in (await door.get("k")).headers


@pytest.mark.parametrize("value", [b"", b"v", b"x" * 16_384, b"x" * 16_385, b"x" * 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_values_of_every_size(door: Door, value: bytes, chunked: bool) -> None:
    if chunked:
        head = b"PUT /k?urlencoded=true HTTP/1.1\r\n" + HEADER + b"\r\nTransfer-Encoding: chunked"
        pieces = [value[at : at + 50_000] for at in range(0, len(value), 50_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        answer = await door.raw(head + b"\r\n\r\n" + body + b"0\r\n\r\n")
    else:
        answer = await door.ask("PUT", "/k?urlencoded=true", body=value)
    assert answer.status == 200
    assert door.record("k").value == value
    for deferred in (False, True):
        door.store.deferred = deferred
        assert (await door.get("k")).body == value


async def test_a_head_has_the_length_and_no_body(door: Door) -> None:
    await door.put("k", b"12345")
    head = await door.ask("HEAD", "/k?urlencoded=true")
    assert (head.status, head.headers[b"content-length"], head.body) == (200, b"5", b"")
    assert (await door.ask("HEAD", "/none?urlencoded=true")).status == 404


async def test_a_missing_a_deleted_and_an_expired_key_are_not_found(door: Door) -> None:
    await door.put("deleted")
    deleted = await door.ask("DELETE", "/deleted?urlencoded=true")
    assert (deleted.status, deleted.body) == (200, b"")
    await door.ask("PUT", "/expired?urlencoded=true&expiration_ttl=60", body=b"v")
    assert (await door.get("expired")).status == 200
    door.clock.advance(60)
    versions = {}
    for name in ("missing", "deleted", "expired"):
        answer = await door.get(name)
        assert (answer.status, answer.reason, answer.body) == (404, b"Not Found", b"")
        assert b"cf-kv-metadata" not in answer.headers
        versions[name] = answer.headers.get(b"tandem-version")
    assert versions["missing"] is None
    assert versions["deleted"] == deleted.headers[b"tandem-version"]
    assert versions["expired"] is not None


async def test_deleting_what_is_not_there_succeeds(door: Door) -> None:
    answer = await door.ask("DELETE", "/none?urlencoded=true")
    assert (answer.status, answer.headers[b"content-length"]) == (200, b"0")


async def test_cache_status_and_marks(door: Door) -> None:
    await door.put("k", b"v")
    record = door.record("k")
    table = {
        ReadResult(record, cached=True): (b"HIT", False, False),
        ReadResult(record): (b"MISS", False, False),
        ReadResult(record, cached=True, stale=True): (b"STALE", True, False),
        ReadResult(record, stale=True): (b"STALE", True, False),
        ReadResult(None): (b"MISS", False, False),
        ReadResult(None, cached=True): (b"HIT", False, False),
        ReadResult(None, unconfirmed=True): (b"MISS", False, True),
    }
    for result, (status, stale, unconfirmed) in table.items():
        for later in (False, True):
            door.store.read = _answering(result, later)  # type: ignore[method-assign]
            answer = await door.get("k")
            assert answer.headers[b"cf-cache-status"] == status, result
            assert (b"tandem-stale" in answer.headers) == stale, result
            assert (b"tandem-unconfirmed" in answer.headers) == unconfirmed, result


def _answering(result: ReadResult, later: bool):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def read(_: object) -> object:
        return [done(result) if later else result]

    return read


async def test_a_hit_is_the_same_however_often_it_is_asked(door: Door) -> None:
    await door.put("k", b"one", b'CF-KV-Metadata: "m"')
    first = await door.get("k")
    assert await door.get("k") == first
    await door.put("k", b"two")
    second = await door.get("k")
    assert second.body == b"two"
    assert b"cf-kv-metadata" not in second.headers


async def test_a_session_token(door: Door) -> None:
    first = (await door.put("k", b"1")).headers[b"tandem-version"]
    token = b"Tandem-Min-Version: " + first
    assert (await door.get("k", token)).body == b"1"
    beyond = str(Version.at(2**51 - 1)).encode()
    refused = await door.get("k", b"Tandem-Min-Version: " + beyond)
    assert refused.status == 503
    assert beyond in refused.reason
    later = await door.put("k", b"2", b"Tandem-Min-Version: " + beyond)
    assert later.headers[b"tandem-version"] > beyond
    deleted = await door.ask("DELETE", "/k?urlencoded=true", b"Tandem-Min-Version: " + beyond)
    assert deleted.headers[b"tandem-version"] > later.headers[b"tandem-version"]


async def test_lists(door: Door) -> None:
    await door.put("b", b"", b'CF-KV-Metadata: {"u": "\xc3\xa9"}')
    await door.put("a", b"", b'CF-KV-Metadata: "s"')
    await door.ask("PUT", "/c?urlencoded=true&expiration_ttl=60", body=b"")
    whole = await door.ask("GET", "/")
    assert whole.headers[b"content-type"] == b"application/json"
    assert b"content-encoding" not in whole.headers
    assert json.loads(whole.body) == {
        "keys": [
            {"name": "a", "metadata": '"s"'},
            {"name": "b", "metadata": '{"u": "é"}'},
            {"name": "c", "expiration": NOW_S + 60},
        ],
        "list_complete": True,
    }
    names, cursor, pages = [], "", 0
    while pages < 3:
        answer = await door.ask("GET", f"/?key_count_limit=1&prefix=&cursor={cursor}")
        page = json.loads(answer.body)
        names += [key["name"] for key in page["keys"]]
        pages += 1
        assert page["list_complete"] == ("cursor" not in page) == (pages == 3)
        cursor = page.get("cursor", "")
    assert names == ["a", "b", "c"]


async def test_a_list_goes_by_utf8_bytes(door: Door) -> None:
    for name in ("%F0%9F%98%80", "%EF%BD%9E", "Z", "a", "%C3%A9", "e%CC%81"):
        await door.put(name)
    keys = json.loads((await door.ask("GET", "/")).body)["keys"]
    in_order = ["Z", "a", "e\u0301", "\xe9", "\uff5e", "\U0001f600"]
    assert [key["name"] for key in keys] == in_order


ERRORS = [
    (Unavailable("kvsp: down; s3: down"), 503, "Unavailable: kvsp: down; s3: down", b"1"),
    (Overloaded("20000 reads are under way"), 503, "Overloaded: 20000 reads are under way", b"1"),
    (QuotaExceeded("1000 a second are used up", 0.2), 429, "Too Many Requests", b"1"),
    (QuotaExceeded("1000 a second are used up", 7.01), 429, "Too Many Requests", b"8"),
    (PermissionDenied("t may read"), 403, "Forbidden: t may read", None),
    (NamespaceNotFound(NAMESPACE), 400, f"Namespace not found: {NAMESPACE}", None),
    (Unavailable("naïve"), 503, "Unavailable: na\\xefve", b"1"),
]


@pytest.mark.parametrize(("error", "status", "reason", "retry_after"), ERRORS)
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_fails_is_an_error_in_javascript_and_changes_nothing(
    door: Door,
    error: TandemError,
    status: int,
    reason: str,
    retry_after: bytes | None,
    at_once: bool,
) -> None:
    await door.put("k", b"old")
    door.store.failure = error if at_once else None
    if not at_once:
        door.store.read = door.store.write = _failing(error)  # type: ignore[method-assign]
        door.store.failure = error
    asked = [
        await door.get("k"),
        await door.ask("PUT", "/k?urlencoded=true", body=b"new"),
        await door.ask("DELETE", "/k?urlencoded=true"),
        await door.ask("GET", "/"),
        await door.ask("POST", "/bulk/get", body=b'{"keys":["k"]}'),
    ]
    for answer in asked:
        assert (answer.status, answer.reason.decode()) == (status, reason)
        assert answer.headers.get(b"retry-after") == retry_after
        assert answer.body.endswith(b"\n")
    assert door.record("k").value == b"old"


def _failing(error: TandemError):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def operate(_: object) -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return [future]

    return operate


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_a_stop_cuts_off_is_answered(door: Door, method: str) -> None:
    await door.put("k", b"v")
    door.store.failure = asyncio.CancelledError()
    cut_off = await door.ask(method, "/k?urlencoded=true", body=b"w" if method == "PUT" else b"")
    assert cut_off.status == 503
    assert cut_off.reason.startswith(b"Unavailable: the gateway is stopping;")


async def test_a_reason_is_cut_and_has_no_line_ends(door: Door) -> None:
    door.store.failure = Unavailable("why\r\nX-Forged: 1 " + "x" * 2000)
    answer = await door.get("k")
    assert 500 < len(answer.reason) <= 512
    assert b"x-forged" not in answer.headers


async def test_who_is_not_let_in(door: Door) -> None:
    door.entrance.refused = {"bad"}
    door.entrance.unknown = {"bad later", "good later"}
    await door.put("k", b"v", b"Authorization: Bearer good")
    cases = {
        b"Authorization: Bearer bad": 401,
        b"Authorization: Basic YTpi": 401,
        b"Authorization: Bearer good": 200,
        b"authorization: bearer good later": 200,
        b"X-Auth-Key: bad": 401,
    }
    for header, status in cases.items():
        answer = await door.get("k", header)
        assert answer.status == status, header
        assert (answer.headers.get(b"www-authenticate") == b"Bearer") == (status == 401)
    door.entrance.refused = {"bad later"}
    for method in ("GET", "PUT", "DELETE"):
        answer = await door.ask(method, "/k?urlencoded=true", b"Authorization: Bearer bad later")
        assert (answer.status, answer.reason) == (401, b"Unauthorized: the token is not valid")
    assert door.record("k").value == b"v"


@pytest.mark.parametrize("header", [b"Authorization: Bearer t", b"X-Auth-Key: t"])
async def test_the_same_words_are_judged_and_answered_anew_each_time(
    door: Door, header: bytes
) -> None:
    for value in (b"1", b"2"):
        await door.put("k", value)
        for deferred in (False, True):
            door.store.deferred = deferred
            assert (await door.get("k", header)).body == value
    door.entrance.unknown = {"t"}
    assert (await door.get("k", header)).body == b"2"
    door.entrance.refused = {"t"}
    assert (await door.get("k", header)).status == 401
    door.entrance.unknown = set()
    assert (await door.get("k", header)).status == 401
    assert (await door.get("k")).status == 200


async def test_the_same_words_demand_the_same_version_each_time(door: Door) -> None:
    version = (await door.put("k", b"1")).headers[b"tandem-version"]
    later = b"Tandem-Min-Version: " + b"f" * 32
    for demanded, status in ((b"Tandem-Min-Version: " + version, 200), (later, 503)):
        for _ in range(2):
            assert (await door.get("k", demanded)).status == status


async def test_a_caller_who_is_looked_for_may_do_everything_too(door: Door) -> None:
    door.entrance.unknown = {"late"}
    late = b"Authorization: Bearer late"
    assert (await door.ask("PUT", "/k?urlencoded=true", late, body=b"v")).status == 200
    assert (await door.get("k", late)).body == b"v"
    assert (await door.ask("GET", "/.?urlencoded=true", late)).status == 400
    assert (await door.ask("PATCH", "/k", late)).status == 405
    bulk = await door.ask("POST", "/bulk/get", late, body=b'{"keys":["k"]}')
    assert json.loads(bulk.body) == {"k": "v"}


async def test_a_refused_body_is_read_to_its_end_and_the_connection_lives(door: Door) -> None:
    wire = await door.served.connect()
    await wire.send(request("PUT", "/.?urlencoded=true", HEADER, body=b"x" * 3_000_000))
    assert (await wire.answer()).status == 400
    await wire.send(request("GET", "/none?urlencoded=true", HEADER))
    assert (await wire.answer()).status == 404


async def test_a_body_that_breaks_off_stores_nothing(door: Door) -> None:
    await door.put("k", b"old")
    head = b"PUT /k?urlencoded=true HTTP/1.1\r\n" + HEADER + b"\r\n"
    for body in (
        b"Content-Length: 9\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ):
        wire = await door.served.connect()
        await wire.send(head + body)
        wire.half_close()
        assert (await wire.answer()).status == 400
    wire = await door.served.connect()
    await wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n")
    assert (await wire.answer()).status == 400
    assert door.record("k").value == b"old"


async def test_a_client_that_goes_away_takes_its_write_with_it_to_the_end(door: Door) -> None:
    door.store.held = []
    wire = await door.served.connect()
    await wire.send(request("PUT", "/k?urlencoded=true", HEADER, body=b"v"))
    while not door.store.held:
        await asyncio.sleep(0)
    await wire.abort()
    while door.served.server.open_connections and not door.store.held:
        await asyncio.sleep(0)
    door.store.release()
    assert door.record("k").value == b"v"
    assert door.store.abandoned == 0
