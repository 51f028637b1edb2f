"""The data path behind every front door: is the namespace one that is served, then do it.

For a namespace that is known, which is nearly always, that is one look into a dictionary per
request, and a group stays a group. For one that is not, because another gateway has just made it,
the homes are asked first; its requests then go on as a group of their own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from kvgateway.lists import Lister
from kvgateway.reads import Reader
from kvgateway.registry import Registry
from kvgateway.writes import Writer
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import NamespaceNotFound, Overloaded, TandemError

_Request = TypeVar("_Request", Read, Write)
_Result = TypeVar("_Result", ReadResult, Written)
_Answer: TypeAlias = _Result | TandemError | asyncio.Future[_Result]


@dataclass(frozen=True, slots=True)
class _Late(Generic[_Request, _Result]):
    """Requests of one namespace that wait until it is found, and their answers."""

    requests: list[_Request]
    answers: list[asyncio.Future[_Result]]

    def enter(self, request: _Request) -> asyncio.Future[_Result]:
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self.requests.append(request)
        self.answers.append(answer)
        return answer


class Gateway:
    """See `kvgateway.service.KeyValues`."""

    def __init__(
        self,
        *,
        registry: Registry,
        reader: Reader,
        writer: Writer,
        lister: Lister,
        lookups_max: int = 1000,
    ) -> None:
        self._registry = registry
        self._known = registry.book.known
        self._reader = reader
        self._writer = writer
        self._lister = lister
        self._lookups_max = lookups_max
        self._lookups: dict[asyncio.Task[None], None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def lookups(self) -> int:
        """How many unknown namespaces are being looked for."""
        return len(self._lookups)

    def read(self, reads: Sequence[Read]) -> Sequence[_Answer[ReadResult]]:
        """See `kvgateway.service.KeyValues`."""
        known = self._known
        for read in reads:
            if not known(read.key.namespace):
                break
        else:
            return self._reader.read(reads)
        late = self._late(reads, self._reader.read)
        served = [read for position, read in enumerate(reads) if position not in late]
        rest = iter(self._reader.read(served) if served else ())
        return [late[i] if i in late else next(rest) for i in range(len(reads))]

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        """See `kvgateway.service.KeyValues`."""
        known = self._known
        for write in writes:
            if not known(write.key.namespace):
                break
        else:
            return self._writer.write(writes)
        late = self._late(writes, self._writer.write)
        served = [write for position, write in enumerate(writes) if position not in late]
        rest = iter(self._writer.write(served) if served else ())
        return [late[i] if i in late else next(rest) for i in range(len(writes))]

    async def list(self, listing: Listing) -> ListPage:
        """See `kvgateway.service.KeyValues`."""
        if not self._known(listing.namespace):
            await self._registry.resolve(listing.namespace)
        return await self._lister.list(listing)

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[None]:
        """See `kvgateway.service.KeyValues`; the data path itself admits any."""
        return nullcontext()

    def _late(
        self,
        requests: Sequence[_Request],
        start: Callable[[Sequence[_Request]], Sequence[_Answer[_Result]]],
    ) -> Mapping[int, TandemError | asyncio.Future[_Result]]:
        """Answers, by position, to those requests of which the namespace is not known here."""
        answers: dict[int, TandemError | asyncio.Future[_Result]] = {}
        groups: dict[str, _Late[_Request, _Result]] = {}
        for position, request in enumerate(requests):
            namespace = request.key.namespace
            if self._known(namespace):
                continue
            if self._registry.missing(namespace):
                answers[position] = NamespaceNotFound(namespace)
            elif namespace not in groups and self._lookups_full(len(groups)):
                answers[position] = Overloaded(f"{len(self._lookups)} lookups are under way")
            else:
                answers[position] = groups.setdefault(namespace, _Late([], [])).enter(request)
        for namespace, group in groups.items():
            lookup = asyncio.create_task(self._resolved(namespace, group, start))
            self._lookups[lookup] = None
            self._idle.clear()
            lookup.add_done_callback(partial(self._ended, group.answers))
        return answers

    def _lookups_full(self, more: int) -> bool:
        return len(self._lookups) + more >= self._lookups_max

    async def _resolved(
        self,
        namespace: str,
        group: "_Late[_Request, _Result]",
        start: Callable[[Sequence[_Request]], Sequence[_Answer[_Result]]],
    ) -> None:
        await self._registry.resolve(namespace)
        for answer, started in zip(group.answers, start(group.requests), strict=True):
            if isinstance(started, asyncio.Future):
                started.add_done_callback(partial(_copy, answer))
            elif isinstance(started, TandemError):
                _fail(answer, started)
            elif not answer.done():
                answer.set_result(started)

    def _ended(self, answers: Sequence[asyncio.Future[_Result]], task: asyncio.Task[None]) -> None:
        """Whatever a lookup ends with, nobody goes on waiting for it."""
        del self._lookups[task]
        if not self._lookups:
            self._idle.set()
        if task.cancelled():
            for answer in answers:
                answer.cancel()
            return
        error = task.exception()
        if error is not None:
            for answer in answers:
                _fail(answer, error)

    async def drained(self) -> None:
        """Returns when no request waits for its namespace to be found."""
        await self._idle.wait()


def _copy(answer: asyncio.Future[_Result], started: asyncio.Future[_Result]) -> None:
    if started.cancelled():
        answer.cancel()
        return
    error = started.exception()
    if error is not None:
        _fail(answer, error)
    elif not answer.done():
        answer.set_result(started.result())


def _fail(answer: asyncio.Future[_Result], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
        answer.exception()
