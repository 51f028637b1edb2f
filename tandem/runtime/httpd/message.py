"""Requests, their streamed bodies, responses, and the errors a body can end in.

HttpError                an answer, raised; an app may raise it, or let these pass through it
  BodyTooLarge     413   `read(limit)` met more
  BodyTimeout      408   the client stopped sending
  BodyMalformed    400   the framing broke, or the client left in the middle
  ClientGone             nobody is there to be answered
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]


class HttpError(Exception):
    def __init__(self, status: int, reason: bytes) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def response(self) -> "Response":
        return Response(self.status, reason=self.reason)


class BodyTooLarge(HttpError):
    def __init__(self, limit: int) -> None:
        super().__init__(413, b"Request body is larger than %d bytes" % limit)


class BodyTimeout(HttpError):
    def __init__(self) -> None:
        super().__init__(408, b"Request Timeout")


class BodyMalformed(HttpError):
    pass


class ClientGone(HttpError):
    def __init__(self) -> None:
        super().__init__(499, b"Client Closed Request")


class BodySource(Protocol):
    def body_wanted(self) -> None:
        """The application waits for more of the body, or has made room for it."""
        ...


class Body:
    """A request body: an async iterator of chunks, each delivered once, under backpressure; or it
    lands in a place that the application has for it."""

    __slots__ = (
        "_chunks",
        "_source",
        "_waiter",
        "buffered",
        "complete",
        "failure",
        "place",
    )

    def __init__(
        self, source: BodySource | None, complete: bool = False, came: bytes = b""
    ) -> None:
        self._source = source
        self._chunks: deque[bytes] = deque((came,) if came else ())
        self._waiter: asyncio.Future[None] | None = None
        self.buffered = len(came)
        self.complete = complete
        self.failure: HttpError | None = None
        self.place: memoryview | None = None
        """Where the next bytes go, while it lands."""

    def push(self, chunk: bytes) -> None:
        if self.place is None:
            self._chunks.append(chunk)
            self._came(len(chunk))
        else:
            self.place[: len(chunk)] = chunk
            self.put(len(chunk))

    def put(self, size: int) -> None:
        """So many bytes have been put into its place."""
        assert self.place is not None, "it does not land"
        self.place = self.place[size:]
        self._came(size)

    def _came(self, size: int) -> None:
        self.buffered += size
        self._wake()

    def finish(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, error: HttpError) -> None:
        if not self.complete and self.failure is None:
            self.failure = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self.complete:
                raise StopAsyncIteration
            await self._more()
        chunk = self._chunks.popleft()
        self.buffered -= len(chunk)
        return chunk

    async def _more(self) -> None:
        if self.failure is not None:
            raise self.failure
        self._waiter = asyncio.get_running_loop().create_future()
        if self._source is not None:
            self._source.body_wanted()  # may push or end the body at once, which wakes us
        await self._waiter
        self._waiter = None

    @contextmanager
    def landing(self, place: memoryview) -> Iterator[None]:
        """Has what was not read yet put into `place`, which must hold all of it, for as long as
        the `with` block runs; `landed` tells how much of it has come."""
        unread, self._chunks = self._chunks, deque()
        self.buffered = 0
        self.place = place
        for chunk in unread:
            self.push(chunk)
        try:
            yield
        finally:
            self.place = None
            self.buffered = 0
            if self._source is not None:
                self._source.body_wanted()  # elsewhere from now on, if more is to come

    async def landed(self) -> int:
        """How many bytes have come into the place since it was last asked; 0 at the end."""
        while not self.buffered and not self.complete:
            await self._more()
        size, self.buffered = self.buffered, 0
        return size

    def whole(self) -> bytes | None:
        """All of a body that has come and was not read; None while it has not."""
        if not self.complete:
            return None
        chunks = self._chunks
        value = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.buffered = 0
        return value

    async def read(self, limit: int) -> bytes:
        """All that is left; `BodyTooLarge` as soon as it is known to pass `limit` bytes."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(limit)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def discard(self, limit: int) -> bool:
        """Read and throw away; False when more than `limit` bytes came or the body broke off."""
        size = 0
        try:
            async for chunk in self:
                size += len(chunk)
                if size > limit:
                    return False
        except HttpError:
            return False
        return True


NO_BODY = Body(None, complete=True)


class Request:
    """One request as it was on the wire: raw target, values untouched, names in lower case; of the
    headers of one name, the first."""

    __slots__ = (
        "body",
        "content_length",
        "get",
        "headers",
        "http10",
        "keep_alive",
        "method",
        "note",
        "target",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Mapping[bytes, bytes],
        body: Body = NO_BODY,
        content_length: int | None = None,
        keep_alive: bool = True,
        http10: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.content_length = content_length
        self.keep_alive = keep_alive
        self.http10 = http10
        self.get = headers.get
        """The first value of a header, whose name is given in lower case."""
        self.note: object = None
        """What the application has made of it. Who sends the same head again may bring the same
        request with its note: only what follows from the head belongs there."""


class Response(NamedTuple):
    """An answer. Framing headers (length, encoding, connection) are the server's, never `headers`.

    `headers` may be lines that `encode_headers` has made before: for what is answered often.
    `reason` replaces the standard phrase. `length` is the size of a streamed body when it is
    known, and for HEAD the size of the body that is not sent. `held` is how many bytes a streamed
    body keeps in memory until it is over: those of all answers have a bound together.
    """

    status: int
    body: bytes | memoryview | AsyncIterator[bytes] = b""
    headers: Headers | bytes = ()
    reason: bytes | None = None
    length: int | None = None
    held: int = 0


class Later(NamedTuple):
    """An answer that is made when a future ends, in whatever: no task waits for it. A client that
    goes away does not cancel the future."""

    outcome: asyncio.Future[Any]
    made: "Callable[[asyncio.Future[Any]], Answer]"
    """Given the `outcome`; what it raises is taken as from the application."""


Answer: TypeAlias = Response | Later | Awaitable[Response]
App: TypeAlias = Callable[[Request], Answer]
