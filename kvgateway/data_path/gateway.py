"""The data path behind every front door: is the namespace one that is served, then do it.

For a namespace that is known, which is nearly always, that is one look into a dictionary per
request, and a group stays a group. For one that is not, because another gateway has just made it,
the homes are asked first; its requests then go on as a group of their own.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from kvgateway.data_path.gathering import Gatherer
from kvgateway.data_path.lists import Lister
from kvgateway.data_path.lookups import Answer, Lookups
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.writes import Writer
from kvgateway.registry.namespaces import Registry
from tandem.backends.port import Ahead
from tandem.core.limits import LARGE_BODY_BYTES
from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import TandemError


class Gateway:
    """See `kvgateway.service.KeyValues`."""

    def __init__(
        self,
        *,
        registry: Registry,
        reader: Reader,
        writer: Writer,
        lister: Lister,
        lookups: Lookups,
    ) -> None:
        self._registry = registry
        self._known = registry.book.known
        self._reader = reader
        self._writer = writer
        self._waiting = Gatherer(writer.begin)
        self._lister = lister
        self._lookups = lookups

    def read(self, reads: Sequence[Read]) -> Sequence[Answer[ReadResult]]:
        """See `kvgateway.service.KeyValues`."""
        known = self._known
        for read in reads:
            if not known(read.key.namespace):
                break
        else:
            return self._reader.read(reads)
        begin = self._reader.read
        return self._lookups.begin(reads, begin, begin)

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        """See `kvgateway.service.KeyValues`."""
        known = self._known
        for write in writes:
            if not known(write.key.namespace):
                break
        else:
            return self._waiting.write(writes)
        begin = self._waiting.write
        return self._lookups.begin(writes, begin, begin)

    def write_apart(
        self, writes: Sequence[Write]
    ) -> Sequence[TandemError | asyncio.Future[Written]]:
        """Begins writes as a group of their own, which the writes of others do not wait for."""
        return self._lookups.begin(writes, self._writer.write, self._waiting.write)

    async def list(self, listing: Listing) -> ListPage:
        """See `kvgateway.service.KeyValues`."""
        if not self._known(listing.namespace):
            await self._registry.resolve(listing.namespace)
        return await self._lister.list(listing)

    def flush(self) -> None:
        """Begins the writes that wait for others; for a gateway that ends."""
        self._waiting.flush()

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[Ahead | None]:
        """See `kvgateway.service.KeyValues`; the data path itself admits any."""
        if not self._known(namespace) or (size is not None and size <= LARGE_BODY_BYTES):
            return nullcontext()
        return self._writer.ahead(namespace)
