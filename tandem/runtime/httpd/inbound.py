"""Bytes to requests, without IO: parses one piece at a time.

The parser is fed pieces that end where a head or a chunked body can end, so that it never runs
ahead of the request that is being answered. A body of known length goes past it: there is nothing
to parse, and it would copy each piece. What heads may say is in `framing`.
"""

import httptools

from tandem.runtime.httpd.framing import body_length, check_bytes
from tandem.runtime.httpd.heads import Heads
from tandem.runtime.httpd.limits import HttpLimits
from tandem.runtime.httpd.message import (
    NO_BODY,
    App,
    Body,
    BodyMalformed,
    BodySource,
    HttpError,
    Request,
)

_HEAD_END = b"\r\n\r\n"


class Inbound:
    """`hold` bytes, `advance` while there is room for a request; read `ready` and `refusal`."""

    def __init__(self, limits: HttpLimits, source: BodySource, heads: Heads, app: App) -> None:
        """`heads` are those that came lately, for this `app` and for others."""
        self._limits = limits
        self._heads = heads
        self._app = app
        self._whole_bytes_max = min(limits.whole_body_bytes_max, limits.body_buffer_max)
        self._source = source
        self._parser = self._new_parser()
        self.held = b""  # what is not parsed yet begins at `_held_at`
        self._held_at = 0
        self.ready: Request | None = None
        self.receiving: Request | None = None  # the request whose body is under way
        self.refusal: HttpError | None = None  # to be answered after what is ready; then close
        self.broken = False  # nothing that still arrives is parsed
        self.in_head = False
        self._may_begin = False  # what the parser has is the beginning of a head
        self.progressed = False  # the body under way has earned a new deadline
        self.continue_due = False  # the client waits for `100 Continue`
        self._quiet_bytes = 0  # fed since the parser last yielded body bytes or a whole message
        self._unpaid_bytes = 0  # body bytes since `progressed` was last set
        self._tail = b""  # the last three bytes of what the parser has, unless a head could end
        self._target = b""
        self._headers: dict[bytes, bytes] = {}  # of the head under way; the first of each name
        self._repeated: list[bytes] = []  # the names of the others
        self._left = 0  # bytes to come of a body of known length

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
    def place(self) -> memoryview | None:
        """Where the next bytes may be put by whoever receives them, who then calls `put`: in the
        place of a body of known length that lands, which they do not pass."""
        if self.receiving is None or self.receiving.body.place is None or self.held:
            return None
        most = min(self._left, self._limits.landed_unread_max)
        return self.receiving.body.place[:most] if most else None

    @property
    def full(self) -> bool:
        """Whether so much waits to be taken that nothing more should be read."""
        if self.held or self.receiving is None or self.place is None:
            return bool(self.held)
        return self.receiving.body.buffered >= self._limits.landed_unread_max

    def hold(self, data: bytes) -> None:
        self.held = self.held[self._held_at :] + data if self.held else data
        self._held_at = 0

    def drop(self) -> None:
        """Nothing held or still to come is wanted."""
        self.broken = True
        self.held = b""

    def forget(self) -> None:
        """Nobody is answered any more."""
        self.drop()
        self.ready = self.receiving = self.refusal = None

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        parser.set_dangerous_leniencies(lenient_headers=True)
        return parser

    def fail_body(self, error: HttpError) -> None:
        if self.receiving is not None:
            self.receiving.body.fail(error)
            self.receiving = None

    def advance(self) -> None:
        """Parse the next head, or so much of the body under way as is held, or both."""
        if self.receiving is None:
            self._advance_head()
        if self.receiving is not None and self.held:
            self._advance_body()

    def _advance_head(self) -> None:
        before, piece = self._tail, self._for_parser()
        if before:
            self._parse_head(before.lstrip(b"\n") + piece, piece)
            return
        known = self._heads.get((self._app, piece))
        if known is not None:
            self.ready = known
            return
        self._parse_head(piece, piece)
        if self.ready is not None:
            self._heads.keep(self._app, piece, self.ready)

    def _parse_head(self, seen: bytes, piece: bytes) -> None:
        """Feeds a piece of a head; `seen` is the piece behind the last bytes before it."""
        self._may_begin = not self.in_head
        try:
            check_bytes(seen)
        except HttpError as error:
            self._stop(error)
        else:
            self._feed(piece)

    def _advance_body(self) -> None:
        assert self.receiving is not None, "nobody takes it"
        if not self._left:
            self._feed(self._for_parser())
            return
        piece = self._taken(min(self._held_at + self._left, len(self.held)))
        self.continue_due = False
        self.receiving.body.push(piece)
        self._came(len(piece))

    def put(self, size: int) -> None:
        """So many bytes have been received into `place`."""
        assert self.receiving is not None, "there was no place"
        self.receiving.body.put(size)
        self._came(size)

    def _came(self, size: int) -> None:
        """So many bytes of the body of known length that is under way."""
        self._left -= size
        if self._left:
            self._pay(size)
        else:
            self._end_body()

    def _pay(self, size: int) -> None:
        self._unpaid_bytes += size
        if self._unpaid_bytes >= self._limits.body_progress_bytes:
            self._unpaid_bytes = 0
            self.progressed = True

    def _for_parser(self) -> bytes:
        """What the parser may have next: up to where a head or a chunked body can end."""
        before, held, start = self._tail, self.held, self._held_at
        end = self._head_end(before, held, start)
        if end:
            self._tail = b""
            return self._taken(end)
        self._tail = (before + held[max(start, len(held) - 3) :])[-3:]
        return self._taken(len(held))

    def _head_end(self, before: bytes, held: bytes, start: int) -> int:
        """Where the first empty line ends in what is held; 0 when there is none."""
        if before:
            found = (before + held[start : start + 3]).find(_HEAD_END)
            if found >= 0:
                return start + found + len(_HEAD_END) - len(before)
        found = held.find(_HEAD_END, start)
        return found + len(_HEAD_END) if found >= 0 else 0

    def _taken(self, end: int) -> bytes:
        """What is held up to there, and from now on no more."""
        held, start = self.held, self._held_at
        if end == len(held):
            self.held = b""
        self._held_at = end
        return held[start:end]

    def _feed(self, piece: bytes) -> None:
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

    def on_message_begin(self) -> None:
        if not self._may_begin:
            self.refusal = HttpError(400, b"Bad Request: a message that ends in a strange way")
            raise self.refusal
        self._may_begin = False
        self.in_head = True
        self.continue_due = False
        self._target = b""
        self._headers = {}
        self._repeated = []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self._headers:
            self._repeated.append(name)
        else:
            self._headers[name] = value.rstrip(b" \t")  # the parser takes what is before it

    def on_headers_complete(self) -> None:
        self.in_head = False
        headers, self._headers = self._headers, {}  # trailers go nowhere
        try:
            self._begin(headers)
        except HttpError as error:
            self.refusal = error
            raise

    def _begin(self, headers: dict[bytes, bytes]) -> None:
        """A request, whose head is there."""
        parser, limits = self._parser, self._limits
        count = len(headers) + len(self._repeated)
        if self._quiet_bytes > limits.head_bytes_max or count > limits.headers_max:
            raise HttpError(431, b"Request Header Fields Too Large")
        method, version = parser.get_method(), parser.get_http_version()
        length = body_length(headers, self._repeated, version)
        upgrade = parser.should_upgrade()
        if upgrade and (length != 0 or method == b"CONNECT"):
            raise HttpError(501, b"Upgrade is not supported")  # llhttp would lose the body
        keep_alive = parser.should_keep_alive() and not upgrade
        body = NO_BODY if length == 0 else self._body(length)
        request = Request(method, self._target, headers, body, length, keep_alive, version == "1.0")
        self.ready = request
        if not body.complete:
            self.receiving = request
            self.continue_due = b"expect" in headers

    def _body(self, length: int | None) -> Body:
        """The body behind the head that is there; most small ones have come with it."""
        if length is not None:
            self._parser = self._new_parser()  # this one would wait for the body
            self._quiet_bytes = 0
            end = self._held_at + length
            if end <= len(self.held):
                return Body(None, complete=True, came=self._taken(end))
        self._left = length or 0
        self._unpaid_bytes = 0
        self.progressed = True
        return Body(self._source)

    def on_body(self, chunk: bytes) -> None:
        self._quiet_bytes = 0
        self.continue_due = False
        if self.receiving is not None:
            self.receiving.body.push(chunk)
            self._pay(len(chunk))

    def on_message_complete(self) -> None:
        self._quiet_bytes = 0
        self._end_body()

    def _end_body(self) -> None:
        self.continue_due = False
        if self.receiving is not None:
            self.receiving.body.finish()
            self.receiving = None
