"""The limits of Workers KV: status and reason phrase to the letter, and nothing is changed."""

import pytest

from tandem.core.limits import VALUE_BYTES_MAX
from tandem.errors import SAID_BYTES_MAX
from tandem.runtime.httpd.head import REASON_BYTES_MAX
from tests.kvgateway.http.doors import NOW_S, Door

_TTL = "Invalid expiration_ttl of {}. Please specify integer greater than 0."
_TTL_SHORT = "Invalid expiration_ttl of {}. Expiration TTL must be at least 60."
_TIME = (
    "Invalid expiration of {}. Please specify integer greater than the current number of seconds"
    " since the UNIX epoch."
)
_TIME_NEAR = "Invalid expiration of {}. Expiration times must be at least 60 seconds in the future."
_LONG = "UTF-8 encoded length of {} exceeds key length limit of 512."
_CACHE = "Invalid cache_ttl of {}. Cache TTL must be at least 30."
_LIMIT_LOW = "Invalid key_count_limit of {}. Please specify an integer greater than 0."
_LIMIT_HIGH = "Invalid key_count_limit of {}. Please specify an integer less than 1000."
_UNDECODED = "Could not URL-decode key name"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/.", 400, 'Illegal key name ".". Please use a different name.'),
        ("/%2E%2e", 400, 'Illegal key name "..". Please use a different name.'),
        ("/" + "k" * 513, 414, _LONG.format(513)),
        ("/" + "%C3%A9" * 256 + "k", 414, _LONG.format(513)),
        ("/" + "%F0%9F%A4%93" * 129, 414, _LONG.format(516)),
        ("/%ED%A0%80", 400, _UNDECODED),
        ("/%FF", 400, _UNDECODED),
        ("/%C3", 400, _UNDECODED),
        ("/%C0%80", 400, _UNDECODED),
        ("/100%", 400, _UNDECODED),
        ("/%4", 400, _UNDECODED),
        ("/%zz", 400, _UNDECODED),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_keys(door: Door, method: str, path: str, status: int, reason: str) -> None:
    answer = await door.ask(method, f"{path}?urlencoded=true")
    assert (answer.status, answer.reason.decode()) == (status, reason)
    assert door.store.calls == 0


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("target", ["/", "/?urlencoded=true", "?urlencoded=true"])
async def test_an_empty_key(door: Door, method: str, target: str) -> None:
    target = target if target.startswith("/") else f"https://fake-host{target}"
    answer = await door.ask(method, target)
    assert (answer.status, answer.reason) == (400, b"Key names must not be empty")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("expiration_ttl=0", _TTL.format(0)),
        ("expiration_ttl=-1", _TTL.format(-1)),
        ("expiration_ttl=-2147483648", _TTL.format(-2147483648)),
        ("expiration_ttl=", _TTL.format("")),
        ("expiration_ttl=NaN", _TTL.format("NaN")),
        ("expiration_ttl=60.5", _TTL.format("60.5")),
        ("expiration_ttl=%C2%B2", _TTL.format(r"\xb2")),
        (f"expiration_ttl={'6' * 5000}", _TTL.format("6" * 40)),
        ("expiration_ttl=1", _TTL_SHORT.format(1)),
        ("expiration_ttl=59", _TTL_SHORT.format(59)),
        ("expiration=0", _TIME.format(0)),
        ("expiration=-5", _TIME.format(-5)),
        ("expiration=soon", _TIME.format("soon")),
        (f"expiration={NOW_S}", _TIME.format(NOW_S)),
        (f"expiration={NOW_S + 1}", _TIME_NEAR.format(NOW_S + 1)),
        (f"expiration={NOW_S + 59}", _TIME_NEAR.format(NOW_S + 59)),
        (f"expiration={NOW_S * 1000}", f"expiration: {NOW_S * 1000} is not a time in seconds"),
        (f"expiration={NOW_S + 999}&expiration_ttl=59", _TTL_SHORT.format(59)),
        (f"expiration={NOW_S + 999}&expiration_ttl=0", _TTL.format(0)),
    ],
)
async def test_expirations(door: Door, query: str, reason: str) -> None:
    await door.put("k", b"old")
    answer = await door.ask("PUT", f"/k?urlencoded=true&{query}", body=b"new")
    assert (answer.status, answer.reason.decode()) == (400, reason)
    assert door.record("k").value == b"old"


@pytest.mark.parametrize(
    ("query", "expires_at_s"),
    [
        ("", 0),
        ("expiration_ttl=60", NOW_S + 60),
        ("expiration_ttl=2147483647", NOW_S + 2147483647),
        (f"expiration={NOW_S + 60}", NOW_S + 60),
        ("expiration=2147483647", 2147483647),
        (f"expiration={NOW_S + 999}&expiration_ttl=120", NOW_S + 120),
        ("expiration=0&expiration_ttl=120", NOW_S + 120),
        ("expiration=never&expiration_ttl=120", NOW_S + 120),
    ],
)
async def test_expirations_that_are_taken(door: Door, query: str, expires_at_s: int) -> None:
    answer = await door.ask("PUT", f"/k?urlencoded=true&{query}", body=b"v")
    assert answer.status == 200
    assert door.record("k").expires_at_s == expires_at_s
    got = await door.get("k")
    assert got.headers.get(b"cf-expiration") == (b"%d" % expires_at_s if expires_at_s else None)


@pytest.mark.parametrize(
    ("metadata", "status", "reason"),
    [
        (b'"' + b"m" * 1023 + b'"', 413, "Metadata length of 1025 exceeds limit of 1024."),
        ('"' + "é" * 512 + '"', 413, "Metadata length of 1026 exceeds limit of 1024."),
        (b'"' + b"m" * 300_000 + b'"', 413, "Metadata length of 300002 exceeds limit of 1024."),
        (b"undefined", 400, "metadata: is not valid JSON"),
        (b"{", 400, "metadata: is not valid JSON"),
        (b"NaN", 400, "metadata: is not valid JSON"),
        (b'"\xff"', 400, "metadata: is not valid JSON"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_metadata(door: Door, metadata: bytes | str, status: int, reason: str) -> None:
    raw = metadata if isinstance(metadata, bytes) else metadata.encode()
    await door.put("k", b"old")
    answer = await door.ask("PUT", "/k?urlencoded=true", b"CF-KV-Metadata: " + raw, body=b"new")
    assert answer.status == status
    assert answer.reason.decode().startswith(reason)
    assert door.record("k").value == b"old"


@pytest.mark.parametrize("chunked", [False, True])
async def test_values(door: Door, chunked: bool) -> None:
    await door.put("k", b"old")
    value = b"x" * (VALUE_BYTES_MAX + 3)
    answer = await _sent(door, value, chunked)
    assert answer == (413, f"Value length of {len(value)} exceeds limit of 26214400.")
    assert door.record("k").value == b"old"
    assert await _sent(door, value[:VALUE_BYTES_MAX], chunked) == (200, "OK")
    assert door.record("k").value_size == VALUE_BYTES_MAX


async def _sent(door: Door, value: bytes, chunked: bool) -> tuple[int, str]:
    target = "/k?urlencoded=true"
    if not chunked:
        answer = await door.ask("PUT", target, body=value)
    else:
        head = f"PUT {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n".encode()
        named = b"CF-KV-Namespace-ID: " + b"ab" * 16 + b"\r\n\r\n"
        piece = 1 << 20
        parts = [value[at : at + piece] for at in range(0, len(value), piece)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        answer = await door.raw(head + named + body + b"0\r\n\r\n")
    return answer.status, answer.reason.decode()


@pytest.mark.parametrize("ttl", [-1, 0, 1, 29, "x", "", "30.0"])
async def test_cache_ttls(door: Door, ttl: object) -> None:
    answer = await door.ask("GET", f"/k?urlencoded=true&cache_ttl={ttl}")
    assert (answer.status, answer.reason.decode()) == (400, _CACHE.format(ttl))
    assert door.store.calls == 0
    bulk = await door.ask("POST", "/bulk/get", body=f'{{"keys":["k"],"cacheTtl":"{ttl}"}}'.encode())
    assert (bulk.status, bulk.reason.decode()) == (400, _CACHE.format(ttl))
    assert (await door.ask("GET", "/k?urlencoded=true&cache_ttl=30")).status == 404


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("key_count_limit=0", 400, _LIMIT_LOW.format(0)),
        ("key_count_limit=-1", 400, _LIMIT_LOW.format(-1)),
        ("key_count_limit=ten", 400, _LIMIT_LOW.format("ten")),
        ("key_count_limit=1001", 400, _LIMIT_HIGH.format(1001)),
        ("key_count_limit=1000", 200, "OK"),
        ("key_count_limit=1", 200, "OK"),
        ("prefix=" + "p" * 513, 414, _LONG.format(513)),
        ("prefix=" + "p" * 512, 200, "OK"),
        ("prefix=&cursor=", 200, "OK"),
        ("prefix=%ED%A0%80", 400, "prefix: is not valid UTF-8 at byte 0"),
        ("cursor=aGVsbG8", 400, "cursor: is not from a listing of this namespace and prefix"),
        ("cursor=%00%E2", 400, "cursor: is not valid UTF-8 at byte 1"),
        ("foo=bar&prefix=x", 200, "OK"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_lists(door: Door, query: str, status: int, reason: str) -> None:
    answer = await door.ask("GET", f"/?{query}")
    assert (answer.status, answer.reason.decode()) == (status, reason)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/k", b"GET, HEAD, PUT, DELETE"),
        ("POST", "/bulk%2Fget", b"GET, HEAD, PUT, DELETE"),
        ("PATCH", "/bulk/get", b"GET, HEAD, PUT, DELETE, POST"),
        ("POST", "/", b"GET, HEAD"),
        ("OPTIONS", "/?prefix=k", b"GET, HEAD"),
    ],
)
async def test_other_methods(door: Door, method: str, path: str, allowed: bytes) -> None:
    answer = await door.ask(method, path)
    assert (answer.status, answer.reason) == (405, b"Method Not Allowed")
    assert answer.headers[b"allow"] == allowed
    assert answer.headers[b"content-type"] == b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (b"xyz", "Tandem-Min-Version: is not a version: 32 hex digits"),
        (b"00", "Tandem-Min-Version: a version has 16 bytes, not 1"),
        (b"\xc3\xa9", "Tandem-Min-Version: is not a version: 32 hex digits"),
    ],
)
async def test_versions(door: Door, version: bytes, reason: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await door.ask(method, "/k?urlencoded=true", b"Tandem-Min-Version: " + version)
        assert (answer.status, answer.reason.decode()) == (400, reason)
    assert door.store.calls == 0


@pytest.mark.parametrize("kind", ["x" * 50_000, "\N{PILE OF POO}" * 50_000], ids=["ascii", "wide"])
async def test_a_refusal_quotes_so_much_and_no_more(door: Door, kind: str) -> None:
    body = f'{{"keys":["k"],"type":"{kind}"}}'.encode()
    answer = await door.ask("POST", "/bulk/get", body=body)
    assert answer.status == 400
    assert answer.headers.keys() == {b"date", b"content-type", b"content-length"}
    assert len(answer.body) <= SAID_BYTES_MAX + 1
    assert len(answer.reason) <= REASON_BYTES_MAX
    assert b"[...]" in answer.reason
    assert answer.reason.endswith(b'is not a valid type. Use "json" or "text"')
