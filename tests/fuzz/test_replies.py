"""What a store says: bytes of HTTP, headers, listings and errors in XML."""

from collections.abc import Sequence
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from tandem.backends.s3.exchange import HttpReply
from tandem.backends.s3.listing import ObjectPage, parse_page
from tandem.backends.s3.replies import BadXml, digest_in, error_of, failed, held_in
from tandem.backends.s3.reply_reader import HEAD_BYTES_MAX, BadReply, ReplyReader
from tests.fuzz.mutations import malformed

BODY_BYTES_MAX = 1000
REPLIES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\nETag: abc\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.0 500 X\r\n\r\n<Error/>",
]
OBJECT = (
    "<Contents><Key>t/k</Key><LastModified>x</LastModified>"
    "<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>5</Size></Contents>"
)
PAGES = [
    f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3/">{OBJECT}</ListBucketResult>'.encode(),
    b"<ListBucketResult><Contents><Key>&#107;</Key><Size>5</Size></Contents></ListBucketResult>",
    b"<ListBucketResult/>",
]
ERRORS = [b"<Error><Code>SlowDown</Code><Message>m</Message></Error>", b"<Error><Code/></Error>"]
NUMBERS = ("", "-1", "5", " 5", "+5", "5_0", "\u0665", "1e3", "9" * 5000, "0x5", "5.0", "\x00")


def _read(packets: Sequence[bytes], *, expect_body: bool) -> None:
    reader = ReplyReader(body_bytes_max=BODY_BYTES_MAX)
    reader.begin(expect_body=expect_body)
    with suppress(BadReply):
        for packet in packets:
            reader.feed(packet)
            assert reader.body_bytes_left is None or reader.body_bytes_left <= BODY_BYTES_MAX
            reader.complete_at_close()
            if reader.complete:
                reply = reader.take()
                assert len(reply.body) <= BODY_BYTES_MAX
                reader.begin(expect_body=expect_body)
    reader.close()


@given(st.lists(malformed(REPLIES), min_size=1, max_size=4), st.booleans())
def test_any_bytes_are_a_reply_or_a_bad_one(packets: list[bytes], expect_body: bool) -> None:
    _read(packets, expect_body=expect_body)


@given(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS))
def test_lengths_that_are_none(one: str, other: str) -> None:
    for lines in (
        f"Content-Length: {one}\r\nContent-Length: {other}\r\n",
        f"Content-Length: {one}\r\nTransfer-Encoding: {other}\r\n",
        f"Content-Length: {one}, {other}\r\n",
    ):
        _read([f"HTTP/1.1 200 OK\r\n{lines}\r\nhello".encode()], expect_body=True)
        _read([f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode()], expect_body=False)


def test_a_head_without_an_end_is_refused() -> None:
    line = b"X-A: " + b"a" * 1000 + b"\r\n"
    _read([b"HTTP/1.1 200 OK\r\n", *[line] * (HEAD_BYTES_MAX // 1000 + 5)], expect_body=True)


@given(malformed(PAGES))
def test_any_page_is_read_or_refused(body: bytes) -> None:
    with suppress(BadXml):
        assert isinstance(parse_page(body), ObjectPage)


@given(st.sampled_from(NUMBERS), st.text(max_size=20))
def test_sizes_and_etags_that_are_none(size: str, etag: str) -> None:
    for rest in ("", "<Extra/>"):
        body = (
            f"<ListBucketResult><Contents><Key>k</Key><ETag>{etag}</ETag><Size>{size}</Size>{rest}"
            "</Contents></ListBucketResult>"
        )
        with suppress(BadXml):
            for listed in parse_page(body.encode(errors="surrogatepass")).objects:
                digest_in(listed.etag)


@given(st.integers(100, 599), malformed(ERRORS))
def test_any_error_is_a_failure(status: int, body: bytes) -> None:
    reply = HttpReply(status, {}, body)
    assert len(failed(reply, 0).detail) <= 300
    error_of(reply)


@given(
    st.dictionaries(
        st.sampled_from(["x-amz-meta-tandem-version", "etag"]),
        st.text(max_size=40) | st.binary(min_size=16, max_size=16).map(bytes.hex),
    )
)
def test_any_headers_show_an_object_or_none(headers: dict[str, str]) -> None:
    held = held_in(headers)
    if held is not None:
        assert len(held.version) == 16
        assert isinstance(held.digest, bytes)
