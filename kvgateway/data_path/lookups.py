"""Requests of namespaces that are not known here: they wait until the homes have been asked."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeAlias, TypeVar

from kvgateway.outcome import fail, pass_on
from kvgateway.registry.lookup_bound import LookupBound
from kvgateway.registry.namespaces import Registry
from tandem.core.request import Read, ReadResult, Write, Written
from tandem.errors import NamespaceNotFound, Overloaded, TandemError
from tandem.runtime.clock import Clock

LOOKUPS_MAX: Final = 1000
LOOKUPS_PER_S_MAX: Final = 200
"""One message may name a thousand namespaces that there are not, and a lookup of each asks both
homes. What is not found so is listed by the homes within a second or two."""
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

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._known = registry.book.known
        self._bound = LookupBound(clock, LOOKUPS_MAX, LOOKUPS_PER_S_MAX)
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
            elif namespace not in groups and not self._bound.begins():
                answers[position] = Overloaded(
                    "too many unknown namespaces are being looked for; try again in a second"
                )
            else:
                answers[position] = groups.setdefault(namespace, _Late([], [])).enter(request)
        for namespace, group in groups.items():
            lookup = asyncio.create_task(self._resolved(namespace, group, start))
            self._tasks[lookup] = None
            self._idle.clear()
            lookup.add_done_callback(partial(self._ended, group.answers))
        return answers

    async def _resolved(
        self,
        namespace: str,
        group: "_Late[Request, Result]",
        start: Callable[[Sequence[Request]], Sequence[Answer[Result]]],
    ) -> None:
        await self._registry.resolve(namespace)
        for answer, started in zip(group.answers, start(group.requests), strict=True):
            pass_on(started, answer)

    def _ended(self, answers: Sequence[asyncio.Future[Result]], task: asyncio.Task[None]) -> None:
        """Whatever a lookup ends with, nobody goes on waiting for it."""
        del self._tasks[task]
        self._bound.ended()
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
