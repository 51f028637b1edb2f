"""From method, raw target and headers to an operation, without a server."""

import itertools
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.http.binding.operations import Bulk, Operation, Upload, operation_of
from kvgateway.http.target import Target, decoded, query_parameters, split_target
from tandem.core.key import RESERVED_NAMESPACES, Key
from tandem.core.request import Delete, Listing, Put, Read
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument, NamespaceNotFound
from tandem.runtime.httpd import Body, HttpError, Request
from tandem.wire.cursor import encode_cursor

NAMESPACE = "0f2ac74b498b48028cb68387c421e279"
NOW_S = 1_700_000_000
VERSION = Version.at(5, b"nonce678")
SESSION = (b"tandem-min-version", str(VERSION).encode())
PATH_SAFE = "!$&'()*+,-.:;=@[]^_|~"
"""What workerd leaves as it is in the path of a get or a put."""


def _operation(method: str, target: str | bytes, *headers: tuple[bytes, bytes]) -> Operation:
    raw = target if isinstance(target, bytes) else target.encode()
    request = Request(method.encode(), raw, dict(headers))
    return operation_of(request, NAMESPACE, raw, lambda: NOW_S)


def _key(name: str) -> Key:
    return Key(NAMESPACE, name)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"/", (b"", b"/", b"")),
        (b"/a%2Fb?x=1", (b"", b"/a%2Fb", b"x=1")),
        (b"/a?b?c", (b"", b"/a", b"b?c")),
        (b"/http://x/y", (b"", b"/http://x/y", b"")),
        (b"//x/y", (b"", b"//x/y", b"")),
        (b"https://fake-host/a%2Fb?q", (b"fake-host", b"/a%2Fb", b"q")),
        (b"https://fake-host", (b"fake-host", b"", b"")),
        (b"https://fake-host/", (b"fake-host", b"/", b"")),
        (b"https://fake-host?prefix=a/b", (b"fake-host", b"", b"prefix=a/b")),
        (b"http://h:80/x", (b"h:80", b"/x", b"")),
        (b"*", (b"", b"*", b"")),
    ],
)
def test_targets(raw: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    assert split_target(raw) == Target(*parts)


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/k?urlencoded=true", Read(_key("k"))),
        ("HEAD", "/k?urlencoded=true", Read(_key("k"))),
        ("GET", "/k?urlencoded=true&cache_ttl=30", Read(_key("k"), cache_ttl_s=30)),
        ("GET", "/a%2Fb?cache_ttl=31&urlencoded=TRUE", Read(_key("a/b"), cache_ttl_s=31)),
        ("GET", "https://fake-host/a%2Fb?urlencoded=true", Read(_key("a/b"))),
        ("GET", "/a+b?urlencoded=true", Read(_key("a+b"))),
        ("GET", "/a%2Bb?urlencoded=true", Read(_key("a+b"))),
        ("GET", "/a%20b?urlencoded=true", Read(_key("a b"))),
        ("GET", "/a%2520b?urlencoded=true", Read(_key("a%20b"))),
        ("GET", "/%00%0A%7F?urlencoded=true", Read(_key("\0\n\x7f"))),
        ("GET", "/bulk/get?urlencoded=true", Read(_key("bulk/get"))),
        ("GET", "/healthz?urlencoded=true", Read(_key("healthz"))),
        ("GET", "/a/b?urlencoded=true", Read(_key("a/b"))),
        ("GET", "//?urlencoded=true", Read(_key("/"))),
        ("GET", "/a%2Fb", Read(_key("a%2Fb"))),
        ("GET", "/100%?urlencoded=false", Read(_key("100%"))),
        ("GET", "/k?urlencoded", Read(_key("k"))),
        ("GET", "/", Listing(NAMESPACE)),
        ("GET", "https://fake-host", Listing(NAMESPACE)),
        ("GET", "https://fake-host/", Listing(NAMESPACE)),
        ("GET", "https://fake-host?prefix=a", Listing(NAMESPACE, "a")),
        ("GET", "/?prefix=a+b%2Bc%2F", Listing(NAMESPACE, "a b+c/")),
        ("GET", "/?prefix=%C3%A9%00", Listing(NAMESPACE, "é\0")),
        ("GET", "/?key_count_limit=7&prefix=&cursor=", Listing(NAMESPACE, limit=7)),
        ("GET", "/?prefix=a&prefix=b", Listing(NAMESPACE, "a")),
        ("GET", "/?urlencoded=true", Listing(NAMESPACE)),
        ("POST", "/bulk/get", Bulk.READ),
        ("POST", "https://fake-host/bulk/get", Bulk.READ),
        ("PUT", "/k?urlencoded=true", Upload(_key("k"), b"", None, None, NO_VERSION)),
        ("PUT", "/bulk%2Fget", Upload(_key("bulk%2Fget"), b"", None, None, NO_VERSION)),
        (
            "PUT",
            f"/k?urlencoded=true&expiration={NOW_S + 60}",
            Upload(_key("k"), b"", NOW_S + 60, None, NO_VERSION),
        ),
        (
            "PUT",
            "/k?urlencoded=true&expiration=x&expiration_ttl=60",
            Upload(_key("k"), b"", None, 60, NO_VERSION),
        ),
        ("DELETE", "/a%2Cb?urlencoded=true", Delete(_key("a,b"))),
        ("DELETE", "/bulk%2Fget?urlencoded=true", Delete(_key("bulk/get"))),
    ],
)  # fmt: skip
def test_operations(method: str, target: str, operation: Operation) -> None:
    assert _operation(method, target) == operation


def test_a_cursor_goes_on_after_its_name_and_belongs_to_its_listing() -> None:
    cursor = encode_cursor(NAMESPACE, "a", "ab")
    assert _operation("GET", f"/?prefix=a&cursor={cursor}") == Listing(NAMESPACE, "a", "ab")
    for query in (f"prefix=b&cursor={cursor}", f"cursor={cursor}", f"prefix=a&cursor={cursor}x"):
        with pytest.raises(InvalidArgument, match="cursor"):
            _operation("GET", f"/?{query}")


def test_a_session_stamps_writes_and_bounds_reads() -> None:
    target = "/k?urlencoded=true"
    assert _operation("GET", target, SESSION) == Read(_key("k"), VERSION)
    assert _operation("DELETE", target, SESSION) == Delete(_key("k"), VERSION)
    upload = _operation("PUT", target, SESSION)
    assert isinstance(upload, Upload)
    assert upload.put(b"v", NOW_S) == Put(_key("k"), b"v", above=VERSION)
    with pytest.raises(InvalidArgument, match="speaks of one key"):
        _operation("POST", "/bulk/get", SESSION)


def test_a_ttl_counts_from_when_the_value_was_there() -> None:
    upload = _operation("PUT", "/k?urlencoded=true&expiration_ttl=60")
    assert isinstance(upload, Upload)
    assert upload.put(b"v", NOW_S + 1000).expires_at_s == NOW_S + 1060


@pytest.mark.parametrize(
    ("query", "expires_at_s"),
    [("", 0), ("&expiration_ttl=60", NOW_S + 60), (f"&expiration={NOW_S + 61}", NOW_S + 61)],
)
def test_a_put_whose_small_value_is_there_is_one(query: str, expires_at_s: int) -> None:
    target = f"/k?urlencoded=true{query}".encode()
    body = Body(None, complete=True, came=b"v")
    request = Request(b"PUT", target, dict([SESSION]), body, 1)
    put = operation_of(request, NAMESPACE, target, lambda: NOW_S)
    assert put == Put(_key("k"), b"v", b"", expires_at_s, VERSION)


def test_a_time_that_passed_while_the_value_came_is_refused() -> None:
    upload = _operation("PUT", f"/k?urlencoded=true&expiration={NOW_S + 60}")
    assert isinstance(upload, Upload)
    with pytest.raises(InvalidArgument, match="too near"):
        upload.put(b"v", NOW_S + 1)


@pytest.mark.parametrize(
    ("namespace", "error"),
    [
        ("", InvalidArgument),
        ("articles", InvalidArgument),
        (NAMESPACE.upper(), InvalidArgument),
        (NAMESPACE + "0", InvalidArgument),
        *((reserved, NamespaceNotFound) for reserved in sorted(RESERVED_NAMESPACES)),
    ],
)
def test_namespaces_that_nobody_may_name(namespace: str, error: type[Exception]) -> None:
    for method in ("GET", "PUT", "DELETE"):
        with pytest.raises(error):
            operation_of(Request(method.encode(), b"/k", {}), namespace, b"/k", lambda: NOW_S)


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods(method: str) -> None:
    with pytest.raises(HttpError, match="405"):
        _operation(method, "/k")


def test_every_character_is_the_same_key_however_it_is_sent() -> None:
    for code in itertools.chain(range(1, 0x100), (0x3B1, 0x2028, 0xFF5E, 0x1F600)):
        name = f"a{chr(code)}"
        path_encoded, component = quote(name, safe=PATH_SAFE), quote(name, safe="!'()*-._~")
        read = _operation("GET", f"/{path_encoded}?urlencoded=true")
        delete = _operation("DELETE", f"/{component}?urlencoded=true")
        assert read == Read(_key(name)), hex(code)
        assert delete == Delete(_key(name)), hex(code)


@given(st.binary(max_size=40))
def test_decoding_ends_in_text_or_in_invalid_argument(raw: bytes) -> None:
    with suppress(InvalidArgument):
        text = decoded(raw, "key")
        assert decoded(quote(text, safe="").encode(), "key") == text


def test_a_key_that_is_taken_literally_must_be_text_too() -> None:
    with pytest.raises(InvalidArgument, match=r"^key: is not valid UTF-8 at byte 2$"):
        _operation("GET", b"/a%\xff")


@given(st.dictionaries(st.text("abc", min_size=1), st.text(max_size=8), max_size=4))
def test_queries_are_read_as_forms_are_written(parameters: dict[str, str]) -> None:
    valid = {name: value.encode("utf-8", "replace").decode() for name, value in parameters.items()}
    raw = "&".join(f"{n}={quote(v, safe='').replace('%20', '+')}" for n, v in valid.items())
    assert query_parameters(raw.encode()) == valid


@given(st.binary(max_size=64), st.sampled_from(["GET", "PUT", "DELETE", "POST"]))
def test_whatever_comes_is_an_operation_or_refused(tail: bytes, method: str) -> None:
    with suppress(InvalidArgument, HttpError):
        _operation(method, b"/" + tail)
