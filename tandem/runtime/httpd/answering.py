"""From a request to the answer that is written: at once, when a future ends, or in a task."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from tandem.runtime.httpd.inbound import Inbound
from tandem.runtime.httpd.message import Answer, App, HttpError, Later, Request, Response
from tandem.runtime.httpd.outbound import PIECE_BYTES_MAX, Outbound
from tandem.runtime.httpd.site import Site

_Given = TypeVar("_Given")


class Owner(Protocol):
    """The connection, as whoever answers its requests sees it."""

    half_closed: bool
    """Whether the client will send nothing more."""

    def answered(self, keep: bool) -> None:
        """The answer is over; `keep` tells whether the connection can serve another request, which
        it then may start."""
        ...

    def cut(self) -> None:
        """The client cannot be told what happened: close at once."""
        ...


class Answering:
    """One request at a time; owns the one task that makes and writes its answer."""

    def __init__(
        self, site: Site, app: App, inbound: Inbound, outbound: Outbound, owner: Owner
    ) -> None:
        self._site = site
        self._app = app
        self._inbound = inbound
        self._outbound = outbound
        self._owner = owner
        self._task: asyncio.Task[None] | None = None
        self.busy = False
        """Whether a request is being answered."""

    @property
    def under_way(self) -> bool:
        """Whether there is a task, which will say that the answer is over."""
        return self._task is not None and not self._task.done()

    def start(self, request: Request) -> None:
        """Answers a request; none may be under way."""
        self.busy = True
        self._outbound.head_written = False
        self._take(request, self._app, request)

    def cancel(self) -> None:
        """Ends the task, if there is one, once it has begun: the answer that it waits for would
        else be a coroutine that nobody did."""
        if self._task is not None:
            self._task.get_loop().call_soon(self._task.cancel)

    def _take(self, request: Request, make: Callable[[_Given], Answer], given: _Given) -> None:
        """Answers with what `make` makes of `given`: now, when a future ends, or in a task."""
        answer: Answer
        try:
            answer = make(given)
            if isinstance(answer, Later):
                answer.outcome.add_done_callback(partial(self._came, request, answer.made))
                return
            if isinstance(answer, Response) and self._answered_at_once(request, answer):
                return
        except HttpError as error:
            answer = error.response()
        except Exception as error:
            answer = self._site.failed(request, error)
        self._task = asyncio.get_running_loop().create_task(self._run(request, answer))

    def _came(
        self,
        request: Request,
        made: Callable[[asyncio.Future[Any]], Answer],
        outcome: asyncio.Future[Any],
    ) -> None:
        """What a `Later` was waiting for."""
        if self._outbound.gone:
            self._end(keep=False)
        else:
            self._take(request, made, outcome)

    def _answered_at_once(self, request: Request, response: Response) -> bool:
        """The whole answer in one write, without a task, when there is nothing to wait for."""
        body = response.body
        if not (isinstance(body, (bytes, memoryview)) and request.body.complete):
            return False
        if len(body) > PIECE_BYTES_MAX:
            return False
        keep = self._keeps(request)
        self._outbound.write(request, response, keep, body)
        self._end(keep)
        return True

    async def _run(self, request: Request, answer: Response | Awaitable[Response]) -> None:
        keep = False
        try:
            response = (
                answer if isinstance(answer, Response) else await self._outcome(request, answer)
            )
            keep = await self._send(request, response)
        finally:
            self._end(keep)

    async def _outcome(self, request: Request, answer: Awaitable[Response]) -> Response:
        try:
            return await answer
        except HttpError as error:
            return error.response()
        except Exception as error:
            return self._site.failed(request, error)

    async def _send(self, request: Request, response: Response) -> bool:
        """Write the answer; whether the connection can serve another request."""
        body = response.body
        try:
            if isinstance(body, (bytes, memoryview)):
                keep = await self._drained(request) and self._keeps(request)
                await self._outbound.send_bytes(request, response, body, keep)
                return keep
            ends_with_close = request.http10 and response.length is None
            keep = self._keeps(request) and not ends_with_close
            await self._outbound.send_stream(request, response, body, keep)
            return keep and await self._drained(request)
        except HttpError:
            self._owner.cut()  # the client left, or the body that was being echoed broke off
        except Exception as error:
            apology = self._site.failed(request, error)
            if self._outbound.head_written:
                self._owner.cut()
            else:
                self._outbound.write(request, apology, False, b"")
        return False

    async def _drained(self, request: Request) -> bool:
        """Swallow the rest of the request, or its sender may never read the answer.

        False when that is not possible within bounds: the connection must be closed.
        """
        if request.body.complete:
            return True
        if self._inbound.continue_due:
            self._inbound.continue_due = False  # it was never told to send the body
            return False
        drain_bytes_max = self._site.limits.drain_bytes_max
        if (request.content_length or 0) > drain_bytes_max:
            return False
        return await request.body.discard(drain_bytes_max)

    def _keeps(self, request: Request) -> bool:
        return (
            request.keep_alive
            and not self._site.draining
            and not self._inbound.broken
            and not self._owner.half_closed
        )

    def _end(self, keep: bool) -> None:
        self.busy = False
        self._task = None
        self._site.stats.requests += 1
        self._owner.answered(keep)
