"""Framing of replies, without a socket: however the bytes are cut, the reply is the same."""

import gc
import weakref
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.backends.s3.exchange import FailureKind, HttpReply
from tandem.backends.s3.reply_reader import HEAD_BYTES_MAX, BadReply, ReplyReader

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\nETag: abc\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;note=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: y\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\nX-Interim: y\r\n\r\n" + SIZED
TWICE = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"


def read(data: bytes, *, expect_body: bool = True, body_bytes_max: int = 100) -> ReplyReader:
    reader = ReplyReader(body_bytes_max=body_bytes_max)
    reader.begin(expect_body=expect_body)
    reader.feed(data)
    return reader


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (SIZED, HttpReply(200, {"content-length": "5", "date": "x", "etag": "abc"}, b"hello")),
        (CHUNKED, HttpReply(200, {"transfer-encoding": "chunked"}, b"hello")),
        (INTERIM, HttpReply(200, {"content-length": "5", "date": "x", "etag": "abc"}, b"hello")),
        (TWICE, HttpReply(200, {"x-a": "1, 2", "content-length": "0"}, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", HttpReply(204, {}, b"")),
        (
            b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
            HttpReply(304, {"content-length": "9"}, b""),
        ),
    ],
)
def test_whole_replies(data: bytes, reply: HttpReply) -> None:
    reader = read(data)
    assert reader.complete
    assert reader.reusable
    assert reader.take() == reply


@given(
    data=st.sampled_from([SIZED, CHUNKED, INTERIM]), cuts=st.lists(st.integers(0, 120), max_size=6)
)
def test_cuts_between_packets_do_not_matter(data: bytes, cuts: list[int]) -> None:
    reader = ReplyReader(body_bytes_max=100)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        assert not reader.complete
        reader.feed(data[start:end])
    assert reader.take().body == b"hello"


def test_one_reader_reads_reply_after_reply() -> None:
    reader = ReplyReader(body_bytes_max=100)
    for expect_body in (True, False, False, True):
        reader.begin(expect_body=expect_body)
        reader.feed(SIZED if expect_body else SIZED.removesuffix(b"hello"))
        assert reader.reusable
        assert reader.take().body == (b"hello" if expect_body else b"")


def test_reply_to_head_has_a_length_but_no_body() -> None:
    reader = read(SIZED.removesuffix(b"hello"), expect_body=False)
    assert reader.complete
    assert reader.reusable
    assert reader.take().headers["content-length"] == "5"


@pytest.mark.parametrize(
    ("data", "expect_body"),
    [
        (SIZED, False),  # a body where none may be
        (SIZED + SIZED, True),
        (SIZED + b"rubbish", True),
        (SIZED.replace(b"Date: x", b"Connection: close"), True),
        (SIZED.replace(b"Date: x", b"Connection: Close").removesuffix(b"hello"), False),
        (SIZED.replace(b"HTTP/1.1", b"HTTP/1.0"), True),
    ],
)
def test_connection_is_not_reused_after(data: bytes, expect_body: bool) -> None:
    reader = read(data, expect_body=expect_body)
    assert reader.complete
    assert not reader.reusable
    assert reader.take().body == (b"hello" if expect_body else b"")


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", False),
        (SIZED[:20], False),
        (SIZED[:-1], False),
        (CHUNKED[:-2], False),
        (b"HTTP/1.1 503 Slow Down\r\n\r\nuntil clo", True),
    ],
)
def test_whole_when_the_connection_ends(data: bytes, whole: bool) -> None:
    assert read(data).complete_at_close() is whole


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", FailureKind.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", FailureKind.MALFORMED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", FailureKind.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + 101 * b"x",
         FailureKind.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n\r\n" + 101 * b"x", FailureKind.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\nX: " + HEAD_BYTES_MAX * b"x", FailureKind.TOO_LARGE),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
         FailureKind.MALFORMED),
    ],
)  # fmt: skip
def test_refused(data: bytes, kind: FailureKind) -> None:
    with pytest.raises(BadReply) as refusal:
        read(data)
    assert refusal.value.kind is kind


def test_body_at_its_bound_is_taken() -> None:
    assert read(SIZED, body_bytes_max=5).take().body == b"hello"


def test_closed_reader_needs_no_garbage_collection() -> None:
    reader = read(SIZED[:-1])
    gone = weakref.ref(reader)
    gc.disable()
    try:
        reader.close()
        del reader
        assert gone() is None
    finally:
        gc.enable()
