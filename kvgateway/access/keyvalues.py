"""The data path as one caller may use it.

For a caller that reaches every namespace the check is one comparison a group; for any other one, a
look into a set for each request besides, and what is allowed stays a group. A namespace that is not
known here is looked for first, and its requests are then judged like the rest.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from kvgateway.access.gate import Gate
from kvgateway.data_path.lookups import Answer, Begun, Lookups, Request, Result
from kvgateway.registry.namespaces import Registry
from kvgateway.service import KeyValues
from tandem.backends.port import Ahead
from tandem.core.access import Permission
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import TandemError


class GatedKeyValues:
    """See `kvgateway.service.KeyValues`; what the gate lets through goes to `behind`."""

    def __init__(self, gate: Gate, behind: KeyValues, registry: Registry, lookups: Lookups) -> None:
        self._gate = gate
        self._wide_open = gate.wide_open
        self._may_write = gate.grant.lacks(Permission.WRITE) is None
        self._ended = gate.standing.ended
        self._behind = behind
        self._registry = registry
        self._lookups = lookups
        self._reached: set[str] = set()
        """Namespaces that were found within reach. That holds for good, since neither an account
        nor a grant ever changes; one that is deleted is for `behind` to refuse."""

    def read(self, reads: Sequence[Read]) -> Sequence[Answer[ReadResult]]:
        """See `kvgateway.service.KeyValues`."""
        error = self._ended()  # there is no grant that may not read
        if error is not None:
            return [error] * len(reads)
        if self._wide_open or self._all_reached(reads):
            return self._behind.read(reads)
        return self._judged(reads, self._behind.read, self.read)

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | Future[Written]]:
        """See `kvgateway.service.KeyValues`."""
        error = self._ended() if self._may_write else self._gate.closed_to(Permission.WRITE)
        if error is not None:
            return [error] * len(writes)
        if self._wide_open or self._all_reached(writes):
            return self._behind.write(writes)
        return self._judged(writes, self._behind.write, self.write)

    async def list(self, listing: Listing) -> ListPage:
        """See `kvgateway.service.KeyValues`."""
        self._gate.demand(Permission.READ)
        if not self._gate.names(listing.namespace):
            raise self._gate.unnamed(listing.namespace)
        if not self._wide_open:
            namespace = await self._registry.resolve(listing.namespace)
            if (error := self._gate.objection(namespace)) is not None:
                raise error
        return await self._behind.list(listing)

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[Ahead | None]:
        """See `kvgateway.service.KeyValues`. What is not allowed is refused before it is read."""
        self._gate.demand(Permission.WRITE)
        if not self._gate.names(namespace):
            raise self._gate.unnamed(namespace)
        known = self._registry.book.get(namespace)
        if known is not None and (error := self._gate.objection(known)) is not None:
            raise error
        return self._behind.admit_body(namespace, size)

    def _all_reached(self, requests: Sequence[Request]) -> bool:
        """Whether all are known to be within reach, without judging any again."""
        reached = self._reached
        for request in requests:  # noqa: SIM110 - a generator would cost as much as all the rest
            if request.key.namespace not in reached:
                return False
        return True

    def _judged(
        self,
        requests: Sequence[Request],
        start: Callable[[Sequence[Request]], Sequence[Begun]],
        later: Callable[[Sequence[Request]], Sequence[Answer[Result]]],
    ) -> Sequence[Begun | TandemError | Future[Result]]:
        refused: dict[int, TandemError] = {}
        unknown = False
        for position, request in enumerate(requests):
            namespace = self._registry.book.get(request.key.namespace)
            if namespace is not None:
                objection = self._gate.objection(namespace)
            elif self._gate.names(request.key.namespace):
                objection, unknown = None, True
            else:
                objection = self._gate.unnamed(request.key.namespace)
            if objection is not None:
                refused[position] = objection
            elif namespace is not None:
                self._reached.add(namespace.id)
        if not refused and not unknown:
            return start(requests)
        passed = [request for i, request in enumerate(requests) if i not in refused]
        rest = iter(self._lookups.begin(passed, start, later))
        return [refused[i] if i in refused else next(rest) for i in range(len(requests))]
