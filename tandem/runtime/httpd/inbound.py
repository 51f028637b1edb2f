"""Bytes to requests, without IO: parses one piece at a time and owns the framing rules.

The parser is fed pieces that end where a head or a chunked body can end, so that it never runs
ahead of the request that is being answered. It is lenient about header *values* only, because real
metadata holds DEL and other raw bytes; llhttp's leniency also lets through what could smuggle a
request (`Content-Length : 3`, NUL, folded lines), so those rules are checked here once more.
"""

from collections import deque

import httptools

from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import (
    NO_BODY,
    Body,
    BodyMalformed,
    BodySource,
    HttpError,
    Request,
)

_HEAD_END = b"\r\n\r\n"
_FOLDS = (b"\r\n ", b"\r\n\t")


class Inbound:
    """`hold` bytes, `advance` while there is room for a request; read `ready` and `refusal`."""

    def __init__(self, limits: HttpLimits, source: BodySource, peer: str) -> None:
        self._limits = limits
        self._whole_bytes_max = min(limits.whole_body_bytes_max, limits.body_buffer_max)
        self._source = source
        self._peer = peer
        self._parser = self._new_parser()
        self._past_parser = False
        self._held = b""
        self._held_at = 0
        self.ready: deque[Request] = deque()
        self.receiving: Request | None = None  # the request whose body is under way
        self.refusal: HttpError | None = None  # to be answered after what is ready; then close
        self.broken = False  # nothing that still arrives is parsed
        self.in_head = False
        self.progressed = False  # the body under way has earned a new deadline
        self.continue_due = False  # the client waits for `100 Continue`
        self._quiet_bytes = 0  # fed since the parser last yielded body bytes or a whole message
        self._unpaid_bytes = 0  # body bytes since `progressed` was last set
        self._tail = b""  # the last two bytes of a head that is not whole yet
        self._hosted = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._length: int | None = None
        self._left = 0  # bytes to come of a body of known length
        self._chunked = False

    @property
    def comes_whole(self) -> bool:
        """Whether the request under way is ready only when all of its body, a small one, is there:
        then it can be answered without a task. Whoever waits for `100 Continue` sends none before.
        """
        receiving = self.receiving
        return (
            receiving is not None
            and not self.continue_due
            and 0 < (receiving.content_length or 0) <= self._whole_bytes_max
        )

    @property
    def holds(self) -> bool:
        return bool(self._held)

    @property
    def place(self) -> memoryview | None:
        """Where the next bytes may be put by whoever receives them, who then calls `put`: in the
        place of a body of known length that lands, which they do not pass."""
        if self.receiving is None or self.receiving.body.place is None or self._held:
            return None
        most = min(self._left, self._limits.landed_unread_max)
        return self.receiving.body.place[:most] if most else None

    @property
    def full(self) -> bool:
        """Whether so much waits to be taken that nothing more should be read."""
        if self._held or self.receiving is None or self.place is None:
            return bool(self._held)
        return self.receiving.body.buffered >= self._limits.landed_unread_max

    def hold(self, data: bytes) -> None:
        self._held = self._held[self._held_at :] + data if self._held else data
        self._held_at = 0

    def drop(self) -> None:
        """Nothing held or still to come is wanted."""
        self.broken = True
        self._held = b""

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_headers=True)
        return parser

    def fail_body(self, error: HttpError) -> None:
        if self.receiving is not None:
            self.receiving.body.fail(error)
            self.receiving = None

    def advance(self) -> None:
        """Parse the next piece of what is held."""
        held, start = self._held, self._held_at
        if self.receiving is not None and self._left:
            end = min(start + self._left, len(held))
        else:
            found = held.find(_HEAD_END, start)
            end = len(held) if found < 0 else found + len(_HEAD_END)
            if self.receiving is None and self._folded(held, start, end):
                self._stop(HttpError(400, b"Bad Request: folded header line"))
                return
        if end == len(held):
            self._held = b""
        else:
            self._held_at = end
        piece = held if end - start == len(held) else memoryview(held)[start:end]
        if self._goes_past_parser():
            self._push(piece)
        else:
            self._feed(piece)

    def put(self, size: int) -> None:
        """So many bytes have been received into `place`."""
        assert self.receiving is not None, "there was no place"
        self._past_parser = True
        self.receiving.body.put(size)
        self._count(size)

    def _goes_past_parser(self) -> bool:
        """Whether what comes is body and nothing else: the parser would copy each piece of it. It
        is left where it was when the body began to land, and a new one takes the next request."""
        receiving = self.receiving
        if receiving is None or not self._left:
            return False
        self._past_parser = self._past_parser or receiving.body.place is not None
        return self._past_parser

    def _push(self, piece: bytes | memoryview) -> None:
        assert self.receiving is not None, "nobody takes it"
        self.receiving.body.push(piece)
        self._count(len(piece))

    def _count(self, size: int) -> None:
        """So many bytes of the body under way have come."""
        self._left = max(0, self._left - size)
        self._unpaid_bytes += size
        if self._unpaid_bytes >= self._limits.body_progress_bytes:
            self._unpaid_bytes = 0
            self.progressed = True
        if self._past_parser and not self._left:
            self._past_parser = False
            self._parser = self._new_parser()
            self.on_message_complete()

    def _folded(self, held: bytes, start: int, end: int) -> bool:
        """Whether this piece of a head goes on with a line that began before, which is obsolete and
        which no two servers read alike."""
        if self.in_head:
            seam = self._tail + held[start : start + 2]
            self._tail = (self._tail + held[max(start, end - 2) : end])[-2:]
            if any(fold in seam for fold in _FOLDS):
                return True
        else:
            self._tail = held[max(start, end - 2) : end]
        return any(held.find(fold, start, end) >= 0 for fold in _FOLDS)

    def _feed(self, piece: bytes | memoryview) -> None:
        self._quiet_bytes += len(piece)
        try:
            self._parser.feed_data(piece)
            if self._quiet_bytes > self._limits.head_bytes_max:
                self._stop(HttpError(431, b"Request Header Fields Too Large"))
        except httptools.HttpParserUpgrade:
            self.drop()  # what follows would be another protocol, which is not spoken here
        except httptools.HttpParserError as error:
            text = str(error).encode("latin-1", "replace")
            self._stop(self.refusal or BodyMalformed(400, b"Bad Request: " + text))

    def _stop(self, error: HttpError) -> None:
        """The stream can no longer be trusted; an unfinished body takes the blame."""
        self.drop()
        self.refusal = error if self.receiving is None else None
        self.fail_body(error)

    def _reject(self, status: int, reason: bytes) -> HttpError:
        self.refusal = HttpError(status, reason)
        return self.refusal

    def on_message_begin(self) -> None:
        self.in_head = True
        self._target = b""
        self._headers = []
        self._length = None
        self._chunked = self._hosted = self.continue_due = False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer: nothing here has a use for one, and it must not pose as a header
        name = name.lower()
        if b" " in name or b"\0" in value:
            raise self._reject(400, b"Malformed header")
        self._headers.append((name, value))
        match name:
            case b"content-length":
                digits = value.strip(b" \t")
                if self._length is not None or not digits.isdigit():
                    raise self._reject(400, b"Bad Content-Length")
                self._length = int(digits)
            case b"transfer-encoding":
                if self._chunked or value.lower() != b"chunked":
                    raise self._reject(501, b"Transfer-Encoding other than chunked")
                self._chunked = True
            case b"host":
                if self._hosted:
                    raise self._reject(400, b"More than one Host")
                self._hosted = True
            case b"expect":
                if value.lower() != b"100-continue":
                    raise self._reject(417, b"Expectation Failed")
                self.continue_due = True
            case _:
                pass

    def on_headers_complete(self) -> None:
        self.in_head = False
        parser = self._parser
        version = parser.get_http_version()
        has_body = self._chunked or bool(self._length)
        self._check_head(version, has_body)
        request = Request(
            parser.get_method(),
            self._target,
            self._headers,
            Body(self._source) if has_body else NO_BODY,
            None if self._chunked else self._length or 0,
            parser.should_keep_alive() and not parser.should_upgrade(),
            version == "1.0",
            self._peer,
        )
        self.ready.append(request)
        if has_body:
            self.receiving = request
            self._left = self._length or 0
            self._unpaid_bytes = 0
            self.progressed = True
        else:
            self.continue_due = False

    def _check_head(self, version: str, has_body: bool) -> None:
        limits = self._limits
        if self._quiet_bytes > limits.head_bytes_max or len(self._headers) > limits.headers_max:
            raise self._reject(431, b"Request Header Fields Too Large")
        if version not in ("1.1", "1.0"):
            raise self._reject(505, b"HTTP Version Not Supported")
        if self._chunked and (self._length is not None or version == "1.0"):
            raise self._reject(400, b"Conflicting message framing")
        if self._parser.should_upgrade() and (has_body or self._parser.get_method() == b"CONNECT"):
            raise self._reject(501, b"Upgrade is not supported")  # llhttp would lose the body

    def on_body(self, chunk: bytes) -> None:
        self._quiet_bytes = 0
        self.continue_due = False
        if self.receiving is None:
            return
        self._push(chunk)

    def on_message_complete(self) -> None:
        self._quiet_bytes = 0
        self.continue_due = False
        if self.receiving is not None:
            self.receiving.body.finish()
            self.receiving = None
