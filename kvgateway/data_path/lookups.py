"""Requests of namespaces that are not known here: they wait until the homes have been asked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from kvgateway.outcome import fail
from kvgateway.registry.namespaces import Registry
from tandem.core.request import Read, ReadResult, Write, Written
from tandem.errors import NamespaceNotFound, Overloaded, TandemError

Request = TypeVar("Request", Read, Write)
Result = TypeVar("Result", ReadResult, Written)
Begun = TypeVar("Begun")
Answer: TypeAlias = Result | TandemError | asyncio.Future[Result]


@dataclass(frozen=True, slots=True)
class _Late(Generic[Request, Result]):
    """Requests of one namespace that wait until it is found, and their answers."""

    requests: list[Request]
    answers: list[asyncio.Future[Result]]

    def enter(self, request: Request) -> asyncio.Future[Result]:
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.requests.append(request)
        self.answers.append(answer)
        return answer


class Lookups:
    """The lookups under way, of all callers."""

    def __init__(self, registry: Registry, at_once_max: int = 1000) -> None:
        self._registry = registry
        self._known = registry.book.known
        self._at_once_max = at_once_max
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How many namespaces are being looked for."""
        return len(self._tasks)

    def begin(
        self,
        requests: Sequence[Request],
        start: Callable[[Sequence[Request]], Sequence[Begun]],
        later: Callable[[Sequence[Request]], Sequence[Answer[Result]]],
    ) -> Sequence[Begun | TandemError | asyncio.Future[Result]]:
        """Begins requests of known namespaces as one group with `start`, and those of each of the
        others with `later`, once it is found."""
        late = self._late(requests, later)
        served = [request for position, request in enumerate(requests) if position not in late]
        rest = iter(start(served) if served else ())
        return [late[i] if i in late else next(rest) for i in range(len(requests))]

    def _late(
        self,
        requests: Sequence[Request],
        start: Callable[[Sequence[Request]], Sequence[Answer[Result]]],
    ) -> Mapping[int, TandemError | asyncio.Future[Result]]:
        """Answers, by position, to those requests of which the namespace is not known here."""
        answers: dict[int, TandemError | asyncio.Future[Result]] = {}
        groups: dict[str, _Late[Request, Result]] = {}
        for position, request in enumerate(requests):
            namespace = request.key.namespace
            if self._known(namespace):
                continue
            if self._registry.missing(namespace):
                answers[position] = NamespaceNotFound(namespace)
            elif namespace not in groups and self._full(len(groups)):
                answers[position] = Overloaded(f"{len(self._tasks)} lookups are under way")
            else:
                answers[position] = groups.setdefault(namespace, _Late([], [])).enter(request)
        for namespace, group in groups.items():
            lookup = asyncio.create_task(self._resolved(namespace, group, start))
            self._tasks[lookup] = None
            self._idle.clear()
            lookup.add_done_callback(partial(self._ended, group.answers))
        return answers

    def _full(self, more: int) -> bool:
        return len(self._tasks) + more >= self._at_once_max

    async def _resolved(
        self,
        namespace: str,
        group: "_Late[Request, Result]",
        start: Callable[[Sequence[Request]], Sequence[Answer[Result]]],
    ) -> None:
        await self._registry.resolve(namespace)
        for answer, started in zip(group.answers, start(group.requests), strict=True):
            if isinstance(started, asyncio.Future):
                started.add_done_callback(partial(_copy, answer))
            elif isinstance(started, TandemError):
                fail(answer, started)
            elif not answer.done():
                answer.set_result(started)

    def _ended(self, answers: Sequence[asyncio.Future[Result]], task: asyncio.Task[None]) -> None:
        """Whatever a lookup ends with, nobody goes on waiting for it."""
        del self._tasks[task]
        if not self._tasks:
            self._idle.set()
        if task.cancelled():
            for answer in answers:
                answer.cancel()
            return
        error = task.exception()
        if error is not None:
            for answer in answers:
                fail(answer, error)

    async def drained(self) -> None:
        """Returns when no request waits for its namespace to be found."""
        await self._idle.wait()


def _copy(answer: asyncio.Future[Result], started: asyncio.Future[Result]) -> None:
    if started.cancelled():
        answer.cancel()
        return
    error = started.exception()
    if error is not None:
        fail(answer, error)
    elif not answer.done():
        answer.set_result(started.result())
