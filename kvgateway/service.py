"""What the front doors may ask of a gateway: the one interface behind gRPC and HTTP.

Requests arrive checked (`tandem.core.request`). Reads that this machine can answer by itself are
answered at once, without a task; everything else is a future that ends in a result or in one of
`tandem.errors` (NamespaceNotFound, Unavailable, Overloaded).
"""

from asyncio import Future
from collections.abc import Sequence
from typing import Protocol

from tandem.core.request import Listing, ListPage, Read, ReadResult, Write, Written
from tandem.errors import TandemError


class KeyValues(Protocol):
    """The data path."""

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | Future[ReadResult]]:
        """One answer for each read, in order."""
        ...

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | Future[Written]]:
        """One answer for each write, in order. Writes that are given together become one group:
        one transaction of the clock, one sync of the journal, one message to each home."""
        ...

    async def list(self, listing: Listing) -> ListPage:
        """One page of live names."""
        ...
