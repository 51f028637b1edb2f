"""One HTTP exchange: its request, its reply, and what is known for sure when there is none."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol

Method = Literal["GET", "HEAD", "PUT", "POST", "DELETE"]

_REPEATABLE: Final = frozenset({"GET", "HEAD"})
_USER_AGENT: Final = "tandem-kv"
_WITH_LENGTH: Final = frozenset({"PUT", "POST"})


class FailureKind(Enum):
    """Why an exchange ended without a reply."""

    BUSY = "busy"  # every connection in use and the queue full; not sent
    REFUSED = "refused"  # no connection could be made (address, refusal, TLS); not sent
    TIMEOUT = "timeout"  # the deadline, or the time to connect, ran out
    RESET = "reset"  # the connection ended before the reply was whole
    MALFORMED = "malformed"  # the answer is not HTTP/1.1
    TOO_LARGE = "too_large"  # the reply is above its bound
    CLOSED = "closed"  # this client is closed


class TransportError(Exception):
    """No reply. `sent` False: the server cannot have seen any of it; True: it may have applied it.

    A reused connection that turns out to be closed counts as sent: the server may have taken the
    request just before it went away.
    """

    def __init__(self, kind: FailureKind, detail: str, *, sent: bool) -> None:
        super().__init__(f"{kind.value}: {detail}")
        self.kind = kind
        self.detail = detail
        self.sent = sent


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it will travel; `headers` are complete but for length and user agent."""

    method: Method
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    def head(self) -> bytes:
        """The bytes before the body; ValueError for text that would break out of its line."""
        lines = [f"{self.method} {self.target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"user-agent: {_USER_AGENT}")
        if self.body or self.method in _WITH_LENGTH:
            lines.append(f"content-length: {len(self.body)}")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
            raise ValueError("line break in a request header")
        return f"{text}\r\n\r\n".encode("ascii")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply of any status. Header names are lower case; repeated ones are joined by `, `.

    `cut` tells that the body was left unread because the headers sufficed; it is empty then.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False


class Carrier(Protocol):
    """The connection as an exchange sees it."""

    def drop(self) -> None:
        """Close at once, without a word to the exchange."""


class Exchange:
    """A request on its way. Await `reply`: it always resolves by the deadline.

    Cancelling `reply` withdraws a request that still waits for a connection; once sent, the
    exchange runs on to its end or deadline, as cancelling cannot undo what the server does.
    """

    __slots__ = (
        "_needed", "carrier", "head", "order", "repeated", "reply", "request", "sent",
        "timer",
    )  # fmt: skip

    def __init__(
        self,
        request: HttpRequest,
        head: bytes,
        reply: asyncio.Future[HttpReply],
        *,
        order: int,
        needed: Callable[[], bool] | None = None,
    ) -> None:
        self.request = request
        self.head = head
        self.reply = reply
        self.order = order
        self._needed = needed
        self.carrier: Carrier | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.sent = False
        self.repeated = False

    @property
    def headers_suffice(self) -> bool:
        """Whether the rest of the body may be dropped; asked again as the body arrives."""
        return self._needed is not None and not self._needed()

    @property
    def repeatable(self) -> bool:
        return self.request.method in _REPEATABLE and not self.repeated

    def finish(self, reply: HttpReply) -> None:
        self.withdraw()
        if not self.reply.done():
            self.reply.set_result(reply)

    def fail(self, kind: FailureKind, detail: str) -> None:
        self.withdraw()
        if not self.reply.done():
            self.reply.set_exception(TransportError(kind, detail, sent=self.sent))

    def withdraw(self) -> None:
        """Let go of connection and timer; the reply is settled elsewhere."""
        self.carrier = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
