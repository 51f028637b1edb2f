"""One HTTP/1.1 connection: flow control, deadlines, and one request at a time to the application.

Bytes behind the request that is being answered wait unparsed and reading pauses, so pipelining
costs no memory. A request with a small body is started once that has come; what becomes of it is in
`answering`.
"""

import asyncio
from enum import Enum, auto
from typing import cast

from tandem.runtime.httpd.answering import Answering
from tandem.runtime.httpd.head import CLOSE, TOO_MANY_CONNECTIONS, encode_head
from tandem.runtime.httpd.head import CONTINUE as CONTINUE_HEAD
from tandem.runtime.httpd.in_place import InPlace
from tandem.runtime.httpd.inbound import Inbound
from tandem.runtime.httpd.message import (
    App,
    BodyMalformed,
    BodyTimeout,
    ClientGone,
    HttpError,
)
from tandem.runtime.httpd.outbound import Outbound
from tandem.runtime.httpd.site import Guest, Site

_STEPS_MAX = 16  # requests of one pipelining client, or pieces, before others get their turn
_NEVER = float("inf")


class Phase(Enum):
    """What the connection waits for; with it, what happens when its deadline passes."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    CLOSING = auto()


class Connection(asyncio.Protocol):
    def __init__(self, site: Site, app: App, handshake: Guest | None = None) -> None:
        """`handshake` was admitted for this connection, which takes its place."""
        self._site = site
        self._app = app
        self._handshake = handshake
        self._limits = site.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._inbound: Inbound
        self._outbound: Outbound
        self._answering: Answering
        self._phase = Phase.IDLE
        self.deadline = _NEVER  # in loop time; the server's sweep calls `expire` past it
        self._in_place = InPlace(self)
        self._landing = False
        self._pumping = False
        self._reading = True
        self.half_closed = False
        self._lingered_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._inbound = Inbound(self._limits, self, self._site.heads, self._app)
        self._outbound = Outbound(self._site, self._transport)
        self._answering = Answering(self._site, self._app, self._inbound, self._outbound, self)
        if self._handshake is not None:
            self._site.dismiss(self._handshake)
        if self._site.admit(self):
            self._wait(Phase.IDLE, self._limits.head_timeout_s)
        else:
            self._inbound.drop()
            self._transport.write(TOO_MANY_CONNECTIONS)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbound.fail_body(ClientGone())
        self._inbound.forget()
        self._outbound.lose()
        self._writing_resumed()
        if not self._answering.under_way:
            self._site.dismiss(self)

    def eof_received(self) -> bool:
        """Half-closed: the client still waits for the answers to what it has sent. TLS is never
        half-closed."""
        self.half_closed = True
        self._inbound.fail_body(BodyMalformed(400, b"Request body ended early"))
        self._pump()
        waits = self._answering.busy or bool(self._inbound.held)
        return waits and not self._transport.get_extra_info("sslcontext")

    def data_received(self, data: bytes) -> None:
        if self._inbound.broken:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > self._limits.drain_bytes_max:
                self._transport.abort()
            return
        self._inbound.hold(data)
        self._pump()

    def place(self) -> memoryview:
        """Where the next bytes of the body under way belong."""
        place = self._inbound.place
        assert place is not None, "no body lands"
        return place

    def put(self, size: int) -> None:
        """So many of them have come there."""
        self._inbound.put(size)
        self._set_deadline()
        self._pump()

    def pause_writing(self) -> None:
        self._outbound.pause()
        self.deadline = self._loop.time() + self._limits.write_idle_s

    def resume_writing(self) -> None:
        self._outbound.resume()
        self._writing_resumed()

    def _writing_resumed(self) -> None:
        if self._phase is Phase.ANSWER:
            self.deadline = _NEVER
        self._pump()

    def body_wanted(self) -> None:
        if self._inbound.continue_due:
            self._inbound.continue_due = False
            self._transport.write(CONTINUE_HEAD)
            self._wait(Phase.BODY, self._limits.body_idle_s)
        self._pump()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = _NEVER
        if self._outbound.paused or self._phase is Phase.CLOSING:
            self._transport.abort()
        elif self._phase is Phase.IDLE:
            self._transport.close()
        elif self._phase is Phase.HEAD:
            self._site.stats.timeouts += 1
            self._inbound.drop()
            self._inbound.refusal = HttpError(408, b"Request Timeout")
            self._pump()
        elif self._phase is Phase.BODY:
            self._site.stats.timeouts += 1
            self._inbound.drop()
            self._inbound.fail_body(BodyTimeout())
            self._pump()

    def retire(self) -> None:
        """Close now if idle; else the answer under way says `Connection: close` and is the last."""
        if self._phase is Phase.IDLE:
            self._transport.close()

    def abort(self) -> None:
        self._answering.cancel()
        self._transport.abort()

    def answered(self, keep: bool) -> None:
        if self._outbound.gone:
            self._site.dismiss(self)
        elif keep:
            self._wait(Phase.IDLE, self._limits.keep_alive_s)
            self._pump()
        else:
            self._close()

    def cut(self) -> None:
        self._transport.abort()

    def _wait(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self.deadline = self._loop.time() + seconds

    def _pump(self) -> None:
        """Go on with what has come, and see to what shall come next."""
        if self._pumping:
            return
        inbound = self._inbound
        if inbound.held or inbound.ready is not None:
            self._work_off(inbound)
        if inbound.refusal is not None and inbound.ready is None and self._free:
            self._refuse(inbound.refusal)
        if inbound.held or inbound.receiving is not None or self._landing or not self._reading:
            self._set_landing()
            self._set_reading(not inbound.full)
        if self.half_closed and not (self._answering.busy or inbound.held):
            self._transport.close()

    def _work_off(self, inbound: Inbound) -> None:
        """Parse and start requests until one waits for its answer or the bytes are used up."""
        self._pumping = True
        try:
            for _ in range(_STEPS_MAX):
                if not self._step() or not (inbound.held or inbound.ready is not None):
                    break
            else:
                self._loop.call_soon(self._pump)  # others have waited long enough
        finally:
            self._pumping = False

    @property
    def _free(self) -> bool:
        """Whether another request may be answered now."""
        return not (self._answering.busy or self._outbound.paused)

    def _step(self) -> bool:
        """Parse a piece of what is held, start the request that is ready; whether either could be
        done."""
        inbound, free = self._inbound, self._free
        receiving = inbound.receiving
        parses = bool(inbound.held) and (
            free if receiving is None else receiving.body.buffered < self._limits.body_buffer_max
        )
        if parses:
            inbound.advance()
            self._set_deadline()
        ready = inbound.ready
        if ready is None or not free or inbound.comes_whole:
            return parses
        inbound.ready = None
        self._answering.start(ready)
        return True

    def _set_deadline(self) -> None:
        inbound = self._inbound
        if inbound.receiving is not None:
            if inbound.progressed:
                inbound.progressed = False
                self._wait(Phase.BODY, self._limits.body_idle_s)
            if inbound.continue_due:
                self.deadline = _NEVER  # it is the application's turn
        elif inbound.in_head:
            if self._phase is not Phase.HEAD:
                self._wait(Phase.HEAD, self._limits.head_timeout_s)
        elif inbound.ready is not None or self._phase is Phase.BODY:
            self._phase = Phase.ANSWER
            self.deadline = _NEVER

    def _set_landing(self) -> None:
        """Who receives: this, or what puts a body straight into its place."""
        landing = self._inbound.place is not None
        if landing is not self._landing and not self._transport.is_closing():
            self._landing = landing
            self._transport.set_protocol(self._in_place if landing else self)

    def _set_reading(self, wanted: bool) -> None:
        if wanted is self._reading or self._transport.is_closing():
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()
        if self._phase is Phase.BODY:  # while reading pauses, it is the application that is slow
            self.deadline = self._loop.time() + self._limits.body_idle_s if wanted else _NEVER

    def _refuse(self, error: HttpError) -> None:
        self._site.stats.rejected += 1
        self._inbound.refusal = None
        self._transport.write(encode_head(error.response(), self._site.date, CLOSE))
        self._close()

    def _close(self) -> None:
        """Close after what was written; unread input is swallowed, or it would reset us."""
        inbound = self._inbound
        unread = bool(inbound.held) or inbound.receiving is not None or inbound.broken
        inbound.forget()
        if self._transport.is_closing():
            return
        writing = self._transport.get_write_buffer_size() > 0
        self._wait(Phase.CLOSING, self._limits.write_idle_s if writing else self._limits.linger_s)
        if unread and not self.half_closed and self._transport.can_write_eof():
            self._set_landing()
            self._set_reading(True)
            self._transport.write_eof()
        else:
            self._transport.close()
