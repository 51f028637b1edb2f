"""The data path with quotas: what there is no room for waits, or is refused, before it is begun.

A group is charged as one, and what there is no room for in it is judged one by one. Bytes of a
write are charged before it, those of an answer when it is there: a namespace or token may get into
debt by what was under way, and then waits until the rate has repaid it.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from kvgateway.access.charging import Charging, Payers, Verdict, metered
from kvgateway.access.quotas import Allowance, Quotas
from kvgateway.access.throttle import Throttle, Throttles
from kvgateway.service import KeyValues
from tandem.backends.port import Ahead
from tandem.core.limits import LARGE_BODY_BYTES
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import TandemError

_Request = TypeVar("_Request", Read, Write)
_Result = TypeVar("_Result", ReadResult, Written)
_Begun = TypeVar("_Begun")


class ChargedKeyValues:
    """See `kvgateway.service.KeyValues`. With a `token`'s allowance everything is charged to it
    too; without one, a namespace that has no limit costs one look into a dictionary."""

    def __init__(
        self,
        inner: KeyValues,
        quotas: Quotas,
        throttles: Throttles,
        token: Allowance | None = None,
    ) -> None:
        self._inner = inner
        self._throttles = throttles
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
        verdict = Verdict()
        payers_at: dict[int, Payers] = {}
        for namespace, places in _by_namespace(reads).items():
            payers = self._payers(namespace)
            verdict.add(self._charging.reads(namespace, payers, places))
            if metered(payers):
                payers_at |= dict.fromkeys(places, payers)
        outcomes = _begun(reads, verdict, self._inner.read, self._throttles.reads)
        if not payers_at:
            return outcomes
        return [self._noted(one, payers_at, place) for place, one in enumerate(outcomes)]

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | Future[Written]]:
        """See `kvgateway.service.KeyValues`."""
        if self._free(writes):
            return self._inner.write(writes)
        verdict = Verdict()
        for namespace, places in _by_namespace(writes).items():
            settings = self._settings_of(namespace)
            verdict.add(
                self._charging.writes(
                    namespace,
                    self._payers(namespace),
                    writes,
                    places,
                    key_write_interval=settings is not None and settings.key_write_interval,
                )
            )
        return _begun(writes, verdict, self._inner.write, self._throttles.writes)

    async def list(self, listing: Listing) -> ListPage:
        """See `kvgateway.service.KeyValues`. A page is one operation, and its names are bytes."""
        payers = self._payers(listing.namespace)
        verdict = self._charging.reads(listing.namespace, payers, (0,))
        for refusal in verdict.refused.values():
            raise refusal
        for moment_us in verdict.booked.values():
            await asyncio.sleep((moment_us - self._quotas.monotonic_us()) / 1e6)
        page = await self._inner.list(listing)
        if metered(payers):
            size = sum(len(one.name.encode()) + len(one.metadata) for one in page.names)
            self._charging.answered(payers, size)
        return page

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[Ahead | None]:
        """See `kvgateway.service.KeyValues`."""
        if size is not None and size <= LARGE_BODY_BYTES:
            return self._inner.admit_body(namespace, size)
        return self._charged_body(namespace, size, self._payers(namespace))

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


def _begun(
    requests: Sequence[_Request],
    verdict: Verdict,
    begin: Callable[[Sequence[_Request]], Sequence[_Begun]],
    throttle: Throttle[_Request, _Result],
) -> Sequence[_Begun | TandemError | Future[_Result]]:
    """Begins what may begin at once as one group; the rest waits, or has its refusal."""
    refused, booked = verdict.refused, verdict.booked
    if not refused and not booked:
        return begin(requests)
    outcomes: list[_Begun | TandemError | Future[_Result]] = []
    now = [one for at, one in enumerate(requests) if at not in refused and at not in booked]
    begun = iter(begin(now) if now else ())
    for place, request in enumerate(requests):
        if place in refused:
            outcomes.append(refused[place])
        elif place in booked:
            outcomes.append(throttle.wait(request, booked[place]))
        else:
            outcomes.append(next(begun))
    return outcomes


def _by_namespace(requests: Sequence[_Request]) -> Mapping[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        places.setdefault(request.key.namespace, []).append(place)
    return places
