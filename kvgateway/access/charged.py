"""The data path with quotas: what there is no room for is refused before anything of it is begun.

A group is charged as one, and what is refused of it is refused one by one. Bytes of a write are
charged before it, those of an answer when it is there: a namespace or token may get into debt by
what was under way, and then waits until the rate has repaid it.
"""

from asyncio import Future
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from kvgateway.access.charging import Charging, Payers, Refused, metered
from kvgateway.access.quotas import Allowance, Quotas
from kvgateway.service import KeyValues
from tandem.backends.port import Ahead
from tandem.core.limits import LARGE_BODY_BYTES
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import TandemError

_Request = TypeVar("_Request", Read, Write)


class ChargedKeyValues:
    """See `kvgateway.service.KeyValues`. With a `token`'s allowance everything is charged to it
    too; without one, a namespace that has no limit costs one look into a dictionary."""

    def __init__(self, inner: KeyValues, quotas: Quotas, token: Allowance | None = None) -> None:
        self._inner = inner
        self._quotas = quotas
        self._charging = Charging(quotas)
        self._settings_of = quotas.settings_of
        self._token: Payers = () if token is None else (token,)

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | Future[ReadResult]]:
        """See `kvgateway.service.KeyValues`."""
        if self._free(reads):
            return self._inner.read(reads)
        refused: Refused = {}
        payers_at: dict[int, Payers] = {}
        for namespace, places in _by_namespace(reads).items():
            payers = self._payers(namespace)
            refused |= self._charging.reads(namespace, payers, places)
            if metered(payers):
                payers_at |= dict.fromkeys(places, payers)
        begun = [read for place, read in enumerate(reads) if place not in refused]
        outcomes = iter(self._inner.read(begun) if begun else ())
        return [
            refused[place] if place in refused else self._noted(next(outcomes), payers_at, place)
            for place in range(len(reads))
        ]

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | Future[Written]]:
        """See `kvgateway.service.KeyValues`."""
        if self._free(writes):
            return self._inner.write(writes)
        refused: Refused = {}
        for namespace, places in _by_namespace(writes).items():
            settings = self._settings_of(namespace)
            refused |= self._charging.writes(
                namespace,
                self._payers(namespace),
                writes,
                places,
                key_write_interval=settings is not None and settings.key_write_interval,
            )
        begun = [write for place, write in enumerate(writes) if place not in refused]
        outcomes = iter(self._inner.write(begun) if begun else ())
        return [
            refused[place] if place in refused else next(outcomes) for place in range(len(writes))
        ]

    async def list(self, listing: Listing) -> ListPage:
        """See `kvgateway.service.KeyValues`. A page is one operation, and its names are bytes."""
        payers = self._payers(listing.namespace)
        if not payers:
            return await self._inner.list(listing)
        for refusal in self._charging.reads(listing.namespace, payers, (0,)).values():
            raise refusal
        page = await self._inner.list(listing)
        if metered(payers):
            size = sum(len(one.name.encode()) + len(one.metadata) for one in page.names)
            self._charging.answered(payers, size)
        return page

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[Ahead | None]:
        """See `kvgateway.service.KeyValues`."""
        payers = self._payers(namespace)
        if not payers or (size is not None and size <= LARGE_BODY_BYTES):
            return self._inner.admit_body(namespace, size)
        return self._charged_body(namespace, size, payers)

    @contextmanager
    def _charged_body(
        self, namespace: str, size: int | None, payers: Payers
    ) -> Iterator[Ahead | None]:
        with (
            self._charging.body(namespace, payers),
            self._inner.admit_body(namespace, size) as ahead,
        ):
            yield ahead

    def _free(self, requests: Sequence[Read] | Sequence[Write]) -> bool:
        """Whether nothing limits any of them."""
        if self._token:
            return False
        settings_of = self._settings_of
        for request in requests:  # noqa: SIM110 - a generator would cost as much as all the rest
            if settings_of(request.key.namespace) is not None:
                return False
        return True

    def _payers(self, namespace: str) -> Payers:
        settings = self._settings_of(namespace)
        if settings is None:
            return self._token
        own = self._quotas.of_namespace(namespace, settings.quota)
        return self._token if own is None else (own, *self._token)

    def _noted(
        self,
        outcome: ReadResult | TandemError | Future[ReadResult],
        payers_at: Mapping[int, Payers],
        place: int,
    ) -> ReadResult | TandemError | Future[ReadResult]:
        """The outcome; what it answers is charged, now or when it is there."""
        if place in payers_at:
            if isinstance(outcome, Future):
                outcome.add_done_callback(partial(self._answered, payers_at[place]))
            elif isinstance(outcome, ReadResult):
                self._charging.answer(payers_at[place], outcome)
        return outcome

    def _answered(self, payers: Payers, answer: Future[ReadResult]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self._charging.answer(payers, answer.result())


def _by_namespace(requests: Sequence[_Request]) -> Mapping[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request.key.namespace, []).append(place)
    return places
