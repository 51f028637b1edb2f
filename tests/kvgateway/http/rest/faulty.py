"""A data path on which some names fail."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tandem.core.request import Listing, ListPage, Put, Read, ReadResult, Write, Written
from tandem.errors import TandemError
from tests.kvgateway.rpc.memory_store import MemoryStore


@dataclass
class FaultyStore:
    """Passes everything on but the writes of some names, and keeps the sizes of the groups."""

    store: MemoryStore
    faults: Mapping[str, TandemError] = field(default_factory=dict)
    groups: list[tuple[int, int]] = field(default_factory=list)
    """Writes and bytes of values of each group."""

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        return self.store.read(reads)

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        size = sum(len(write.value) for write in writes if isinstance(write, Put))
        self.groups.append((len(writes), size))
        return [self._write(write) for write in writes]

    async def list(self, listing: Listing) -> ListPage:
        return await self.store.list(listing)

    def admit_body(self, namespace: str, size: int | None) -> AbstractContextManager[None]:
        return self.store.admit_body(namespace, size)

    def _write(self, write: Write) -> TandemError | asyncio.Future[Written]:
        fault = self.faults.get(write.key.name)
        if fault is not None:
            return fault
        [outcome] = self.store.write([write])
        return outcome
