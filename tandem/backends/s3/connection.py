"""One connection to the store: carries one exchange at a time, and is dropped when in doubt."""

import asyncio
from typing import Final, Protocol, cast

from tandem.backends.s3.exchange import Exchange, FailureKind, HttpReply
from tandem.backends.s3.reply_reader import BadReply, ReplyReader

# Up to here one write of a copy is cheaper than two writes; above, the body is never copied.
_JOIN_BYTES_MAX: Final = 16 * 1024
# A rest of this size is read sooner than a new connection is made.
_DRAIN_BYTES_MAX: Final = 64 * 1024


class ConnectionOwner(Protocol):
    """Who is told of a connection's fate; each is called outside of the parser."""

    def on_free(self, connection: "Connection") -> None:
        """The exchange is over and the connection can carry another."""

    def on_stale(self, exchange: Exchange) -> None:
        """A reused connection ended without a byte of answer, and the request may be repeated."""

    def on_lost(self, connection: "Connection") -> None:
        """The connection is gone; called once, last."""


class Connection(asyncio.Protocol):
    def __init__(self, owner: ConnectionOwner, *, body_bytes_max: int) -> None:
        self._owner = owner
        self._reader = ReplyReader(body_bytes_max=body_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._served = 0
        self.idle_since_s = 0.0

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, exchange: Exchange) -> None:
        """Write the whole request, once; precondition: usable and free."""
        assert self._transport is not None
        assert self._exchange is None
        self._exchange = exchange
        exchange.carrier = self
        exchange.sent = True
        request = exchange.request
        self._reader.begin(expect_body=request.method != "HEAD")
        if len(request.body) <= _JOIN_BYTES_MAX:
            self._transport.write(exchange.head + request.body)
        else:
            self._transport.write(exchange.head)
            self._transport.write(request.body)

    def drop(self) -> None:
        """Close at once; an exchange under way hears nothing more from here."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def fail(self, kind: FailureKind, detail: str) -> None:
        """Close at once and fail the exchange under way, if any."""
        exchange = self._exchange
        self.drop()
        if exchange is not None:
            exchange.fail(kind, detail)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:  # nobody asked: what follows could be taken for another's reply
            self.drop()
            return
        try:
            self._reader.feed(data)
        except BadReply as bad:
            self.fail(bad.kind, bad.detail)
            return
        if self._reader.complete:
            self._finish(exchange, self._reader.take())
        elif self._much_is_left() and exchange.headers_suffice:
            self.drop()
            exchange.finish(self._reader.take(cut=True))

    def eof_received(self) -> None:
        # The server will say no more: do not go on writing to its deaf half.
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        exchange = self._exchange
        self._transport = None
        self._exchange = None
        self._owner.on_lost(self)
        if exchange is not None:
            exchange.carrier = None
            self._end_with_connection(exchange, exc)
        self._reader.close()

    def _much_is_left(self) -> bool:
        left = self._reader.body_bytes_left
        return self._reader.head_complete and (left is None or left > _DRAIN_BYTES_MAX)

    def _end_with_connection(self, exchange: Exchange, exc: Exception | None) -> None:
        reader = self._reader
        if exc is None and reader.complete_at_close():
            exchange.finish(reader.take())
        elif self._served and not reader.started and exchange.repeatable:
            self._owner.on_stale(exchange)
        else:
            exchange.fail(FailureKind.RESET, str(exc or "connection closed by the server"))

    def _finish(self, exchange: Exchange, reply: HttpReply) -> None:
        assert self._transport is not None
        self._served += 1
        self._exchange = None
        # An answer that overtook the request's body leaves half a request on the wire.
        whole = self._transport.get_write_buffer_size() == 0
        exchange.finish(reply)
        if self._reader.reusable and whole:
            self._owner.on_free(self)
        else:
            self.drop()
