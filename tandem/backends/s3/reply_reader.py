"""Turns the bytes of one connection into replies: framing, bounds, and when a reply is whole."""

from io import BytesIO
from typing import Final

import httptools

from tandem.backends.s3.exchange import FailureKind, HttpReply

HEAD_BYTES_MAX: Final = 64 * 1024
_ROOM_FROM_BYTES: Final = 64 * 1024
"""A body of known length has its room at once, and is put together there without a copy."""


class BadReply(Exception):
    """The bytes are no reply that can be used; the connection cannot go on."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


class ReplyReader:
    """Reads one reply after the other; `begin` before each, `take` after each."""

    def __init__(self, *, body_bytes_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._parser_spent = True
        self.begin(expect_body=True)

    def begin(self, *, expect_body: bool) -> None:
        """Make ready for the next reply; `expect_body` False after a HEAD."""
        if self._parser_spent:
            self._parser = httptools.HttpResponseParser(self)
        # llhttp cannot be told of a HEAD: its parser then waits for a body and serves only once.
        self._parser_spent = not expect_body
        self._expect_body = expect_body
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = BytesIO()
        self._body_bytes = 0
        self._head_bytes = 0
        self._length: int | None = None
        self._surplus = False
        self.started = False
        self.head_complete = False
        self.complete = False
        self.reusable = False

    @property
    def body_bytes_left(self) -> int | None:
        """What is still to come of the body; None when its length is not known."""
        return None if self._length is None else self._length - self._body_bytes

    def feed(self, data: bytes) -> None:
        """Take bytes; raises BadReply. A reply followed by surplus bytes is not `reusable`."""
        self.started = True
        if not self.head_complete:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise BadReply(FailureKind.MALFORMED, str(error)) from error
            self._surplus = True
        if not self.head_complete and self._head_bytes > HEAD_BYTES_MAX:
            raise BadReply(FailureKind.TOO_LARGE, f"head above {HEAD_BYTES_MAX} bytes")
        if max(self._body_bytes, self._length or 0) > self._body_bytes_max:
            raise BadReply(FailureKind.TOO_LARGE, f"body above {self._body_bytes_max} bytes")
        if self._surplus:
            self.reusable = False

    def complete_at_close(self) -> bool:
        """Whether the end of the connection is the proper end of this reply."""
        unframed = self._length is None and "transfer-encoding" not in self._headers
        return self.complete or (self.head_complete and unframed)

    def take(self, *, cut: bool = False) -> HttpReply:
        body, self._body = self._body, BytesIO()
        if cut:
            return HttpReply(self._status, self._headers, b"", cut=True)
        body.truncate()
        return HttpReply(self._status, self._headers, body.getvalue())

    def close(self) -> None:
        """No more bytes will come. Without it a half-read body lives until a garbage collection."""
        self._body = BytesIO()
        del self._parser  # it holds this reader's methods, and the reader holds it

    def on_message_begin(self) -> None:
        self._surplus = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_complete:
            return  # a trailer: nothing of S3's stands there
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        if self._surplus:
            return
        self._status = self._parser.get_status_code()
        if self._status < 200:  # an interim answer; the real one follows
            return
        self.head_complete = True
        if self._expect_body:
            length = self._headers.get("content-length")
            self._length = int(length) if length is not None else None
            if _ROOM_FROM_BYTES <= (self._length or 0) <= self._body_bytes_max:
                # BytesIO writes in place into bytes that nobody else holds, and gives them away.
                self._body = BytesIO(bytes(self._length or 0))
        else:
            self.complete = True
            self.reusable = self._headers.get("connection", "").lower() != "close"

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self._surplus = True
            return
        self._body_bytes += len(data)
        if self._body_bytes <= self._body_bytes_max:
            self._body.write(data)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._headers = {}
        elif not self.complete:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()
