"""The life that a cluster is in, and what is done in one life only: floors, removals, a new life.

A request names the life that it knows, and the opening of the file. So one that was on its way
while the file was replaced, or since before KVSP was started again, changes nothing.
"""

from asyncio import Future, shield
from collections.abc import Callable, Collection, Sequence
from typing import cast

from kvsp.sqlite.collecting import PurgeNamespace, PurgeRows, RaiseFloor, Renew
from kvsp.sqlite.transaction import Work
from tandem.core.cluster_life import next_incarnation
from tandem.core.removal import (
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    Span,
)
from tandem.core.reply import Failed
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy


class Lives:
    """Knows one cluster's life; `submit` puts works into the cluster's transactions."""

    def __init__(
        self,
        incarnation: str,
        submit: Callable[[Sequence[Work]], Future[list[object]]],
        *,
        deleted: Collection[str],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self.incarnation = incarnation
        """Of the life that it is in."""
        self.opening = entropy.token(8).hex()
        """Of this process: a file that is opened anew in it goes on with the same."""
        self._possible = {incarnation}
        self._submit = submit
        self._deleted = deleted
        self._clock = clock
        self._entropy = entropy

    @property
    def possible(self) -> Collection[str]:
        """What the file may call itself: more than one after a renewal without an answer."""
        return self._possible

    def is_in(self, incarnation: str) -> None:
        """The file, or the answer to a renewal, says which one it is."""
        self.incarnation = incarnation
        self._possible = {incarnation}

    async def raise_floor(
        self, incarnation: str, span: Span, floor: Version
    ) -> FloorReply | Failed:
        """Raises the floor of a range of names, unless this is not `incarnation`."""
        outcome = await self._one(RaiseFloor(self._named(incarnation), span, floor))
        return cast(FloorReply | Failed, outcome)

    async def purge(
        self, incarnation: str, namespace: str, rows: Sequence[PurgeRow]
    ) -> Sequence[Removal | Failed]:
        """Removes dead rows at or below their floor; answers in the order of `rows`."""
        outcome = await self._one(PurgeRows(self._named(incarnation), namespace, rows))
        return (
            [outcome] * len(rows) if isinstance(outcome, Failed) else cast(list[Removal], outcome)
        )

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """Begins a new life, which comes after this one and after what is known of the past."""
        random = self._entropy.token(16).hex()
        past = renewal.past.incarnation
        incarnation = next_incarnation(random, self._clock.now_us(), self.incarnation, past)
        self._possible.add(incarnation)
        renewing = self._submit(
            [Renew(self._named(renewal.incarnation), incarnation, renewal.past)]
        )
        renewing.add_done_callback(self._renewed)
        [outcome] = await shield(renewing)
        return cast(Renewed | Removal | Failed, outcome)

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """Removes up to `limit` rows of a deleted namespace."""
        if namespace not in self._deleted:
            return Removal.LIVE
        outcome = await self._one(PurgeNamespace(namespace, limit))
        return cast(NamespacePurge | Failed, outcome)

    def _named(self, named: str) -> str:
        """The incarnation that a request names; none that any file has, if it is older than this
        opening."""
        incarnation, _, opening = named.rpartition("/")
        return incarnation if opening == self.opening else ""

    def _renewed(self, renewing: Future[list[object]]) -> None:
        """Whoever asked may be gone by now."""
        [outcome] = renewing.result()
        if isinstance(outcome, Renewed):
            self.is_in(outcome.incarnation)

    async def _one(self, work: Work) -> object:
        [outcome] = await self._submit([work])
        return outcome
